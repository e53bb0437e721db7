"""`probe`: a server's dialect card, from about a dozen small requests and eight at once."""
