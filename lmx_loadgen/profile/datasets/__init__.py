"""Prompts from files as people have them: each entry is read, or refused with its line and what is expected."""
