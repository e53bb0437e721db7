"""Prompts of an exact length, by the count of the server that reads them."""
