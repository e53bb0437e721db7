"""`probe`: a server's dialect card, from about fifteen small requests and eight concurrent ones."""
