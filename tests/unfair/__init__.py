"""Servers that cheat, each in its own way, and honest ones beside them: what the audit of a comparison says of them."""
