"""Measures local LLM servers from the outside: time to first token and tokens per second, truthfully."""

__version__ = "0.1.0"
