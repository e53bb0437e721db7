"""The values of a chunk's fields: JSON as servers really write it, and text in whatever it is wrapped."""

import json
from typing import Any

import pydantic_core

from lmx_loadgen.decode.errors import plain

_MAX_FACTS = 16 * 1024
_DEPTH = 5
_TEXT_KEYS = ("text", "content", "thinking", "reasoning", "summary", "value")


def from_json(data: str) -> Any:
    """What a piece of JSON says. Raises ValueError."""
    try:
        return pydantic_core.from_json(data)
    except ValueError:
        # Half a surrogate pair, as some servers send when an emoji is split over two chunks, is legal JSON for
        # the standard library; it becomes a replacement character in `text_of`.
        if "\\ud" not in data.lower():
            raise
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def text_of(value: Any, depth: int = _DEPTH) -> str:
    """The text of a field: a string, an object with text, or a list of either; empty where there is none."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if depth and isinstance(value, list):
        return "".join(text_of(part, depth - 1) for part in value)
    if depth and isinstance(value, dict):
        return next(filter(None, (text_of(value.get(key), depth - 1) for key in _TEXT_KEYS)), "")
    return ""


def name_of(value: Any) -> str | None:
    """A name that the server gave, on one line; None where it gave none."""
    return (plain(text_of(value), 200) or None) if isinstance(value, str) else None


def is_small(facts: dict[str, Any]) -> bool:
    """Whether this can be the figures it should be: they are stored as they came."""
    try:
        return len(repr(facts)) <= _MAX_FACTS
    except RecursionError:
        return False
