"""What a server says when it refuses: the words in an error body of any of the shapes in use."""

import re
from typing import Any

import pydantic_core

MAX_WORDS = 300
_LOOK_AT = 64 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_TAG = re.compile(r"<[^>]{0,500}>")
_BLOCK = re.compile(r"<(script|style)\b", re.IGNORECASE)
_BLOCK_END = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style")}


def plain(text: str, limit: int = MAX_WORDS) -> str:
    """Somebody else's text on one line, without control characters, cut at `limit` characters."""
    line = " ".join(_CONTROL.sub(" ", text[: limit * 20]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def words_of_error(value: Any) -> str | None:
    """The message in an error object: `{"error": {"message"}}`, `{"error": text}`, `{"detail": text or list}`,
    `{"message": text}`. None when there is nothing of the kind."""
    if isinstance(value, str):
        return plain(value) or None
    if not isinstance(value, dict):
        return None
    for key in ("error", "message", "detail", "msg"):
        inner = value.get(key)
        if isinstance(inner, list):
            found = [words_of_error(part) for part in inner[:5]]
            joined = "; ".join(part for part in found if part)
            if joined:
                return plain(joined)
        elif inner is not None and (words := words_of_error(inner)):
            return words
    return None


def words_of_body(body: bytes) -> str:
    """What an error body says, whatever it is made of; empty when it says nothing."""
    if len(body) <= _LOOK_AT:
        try:
            if words := words_of_error(pydantic_core.from_json(body)):
                return words
        except ValueError:
            pass
    text = body[:_LOOK_AT].decode("utf-8", "replace")
    return (
        plain(_TAG.sub(" ", _without_blocks(text)))
        if "\ufffd" not in text
        else plain(f"{len(body)} bytes that are not text")
    )


def _without_blocks(text: str) -> str:
    """The text without scripts and styles. One pattern for it all would take seconds over many that never end."""
    parts: list[str] = []
    at, endless = 0, set()
    for begin in _BLOCK.finditer(text):
        name = begin[1].lower()
        if begin.start() < at or name in endless:
            continue
        end = _BLOCK_END[name].search(text, begin.end())
        if end is None:
            endless.add(name)
        else:
            parts.append(text[at : begin.start()])
            at = end.end()
    return " ".join([*parts, text[at:]])


def refusal(status: int, headers: list[tuple[str, str]], body: bytes) -> str:
    """One sentence for an answer that is not 200: the status, the server's words, and where it points or when to
    come back."""
    parts = [f"HTTP {status}"]
    named = dict(headers)
    if 300 <= status < 400 and "location" in named:
        parts.append(f"redirects to {plain(named['location'], 120)}, which is not followed")
    if words := words_of_body(body):
        parts.append(words)
    if "retry-after" in named:
        parts.append(f"(Retry-After: {plain(named['retry-after'], 40)})")
    text = parts[0] + (": " + " ".join(parts[1:]) if len(parts) > 1 else "")
    return plain(text)
