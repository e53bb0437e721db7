"""What is asked of JSON schemas in a profile, before anything is held against them."""

from typing import Any


def has_pattern(schema: Any, depth: int = 0) -> bool:
    """Whether a schema holds regular expressions, which can take for ever on a text made for it."""
    if isinstance(schema, dict):
        own = isinstance(schema.get("pattern"), str) or "patternProperties" in schema
        return own or depth > 50 or any(has_pattern(part, depth + 1) for part in schema.values())
    return isinstance(schema, list) and any(has_pattern(part, depth + 1) for part in schema)
