"""The sample run of the README: measured on real servers, and its page as a picture."""
