"""What a server says when it refuses: the words in an error body of any of the shapes in use."""

import contextlib
import json
import re
from typing import Any

import pydantic_core

MAX_WORDS = 300
_LOOK_AT = 64 * 1024
_DEPTH = 6
_MOST_BARE = 20
# Where servers put their words, the shorter heading first; and what has to do where there are none.
_MESSAGES = ("error", "errors", "message", "detail", "msg", "error_message", "error_description", "reason")
_INSTEAD = ("details", "title", "description", "code", "type", "error")
_LARGEST_CODE = 10**12
_BAD_CODE = re.compile(
    r"error|fail|invalid|exceed|unavailable|overload|not_|limit|denied|unauthori|timeout", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_TAG = re.compile(r"<[^>]{0,500}>")
_TITLE = re.compile(r"<title[^<>]{0,200}>([^<]{0,500})</title\s{0,9}>", re.IGNORECASE)
_BLOCK = re.compile(r"<(script|style)\b", re.IGNORECASE)
_BLOCK_END = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style")}


def plain(text: str, limit: int = MAX_WORDS) -> str:
    """Somebody else's text on one line, without control characters, cut at `limit` characters."""
    line = " ".join(_CONTROL.sub(" ", text[: limit * 20]).split())
    if not line.isascii():
        line = line.encode("utf-8", "replace").decode()  # half a surrogate pair can neither be shown nor stored
    return line if len(line) <= limit else line[: limit - 1] + "…"


def words_of_error(value: Any, depth: int = _DEPTH) -> str | None:
    """The message in an error of any shape: text, an object with `error`, `message`, `detail` and the like, a list of
    such, JSON in a text. None when there is nothing of the kind."""
    if isinstance(value, str):
        return _words_of_text(value, depth)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST_CODE:
        return str(value)
    if depth and isinstance(value, list):
        found = [words_of_error(part, depth - 1) for part in value[:5] if isinstance(part, dict | list | str)]
        return plain("; ".join(filter(None, found))) or None
    if depth and isinstance(value, dict):
        return _words_of_object(value, depth - 1)
    return None


def _words_of_text(text: str, depth: int) -> str | None:
    if depth and text.lstrip()[:1] in ("{", "[") and len(text) <= _LOOK_AT:
        with contextlib.suppress(ValueError):
            if words := words_of_error(pydantic_core.from_json(text), depth - 1):
                return words
    return plain(text) or None


def _words_of_object(value: dict[str, Any], depth: int) -> str | None:
    """Its messages, those that add nothing left out, and which field or parameter they are about."""
    said: list[str] = []
    for key in _MESSAGES:
        inner = value.get(key)  # a number under `error` says nothing that a message beside it does not
        words = words_of_error(inner, depth) if inner and not isinstance(inner, int) else None
        if words and not any(words in before for before in said):
            said.append(words)
    if not said:
        return next(filter(None, (words_of_error(value.get(key), depth) for key in _INSTEAD if value.get(key))), None)
    words = ": ".join(said)
    where, about = value.get("loc"), value.get("param")
    if isinstance(where, list) and where:
        return plain(f"{'.'.join(str(part) for part in where[:10] if isinstance(part, str | int))}: {words}")
    if isinstance(about, str) and about and about not in words:
        return plain(f"{words} ({about})")
    return plain(words)


def error_in(chunk: dict[str, Any]) -> str | None:
    """The words of a JSON object that is an error and no chunk of an answer; None where it is none.

    An error may stand under `error` or be the object itself. A message alone is none: progress has one too.
    """
    if chunk.get("error"):
        words = words_of_error(chunk)
        # Some servers send an empty error beside every chunk.
        return words or (None if chunk.get("choices") else _as_sent(chunk["error"]))
    if chunk.get("choices") or not _looks_like_error(chunk):
        return None
    return words_of_error(chunk) or _as_sent(chunk)


def _looks_like_error(chunk: dict[str, Any]) -> bool:
    kinds = [str(chunk.get(key, "")).lower() for key in ("object", "type", "status")]
    if chunk.get("errors") or chunk.get("detail") or chunk.get("success") is False:
        return True
    if any(kind.endswith("error") or kind in ("failed", "failure") for kind in kinds):
        return True
    code = next((chunk[key] for key in ("code", "status_code", "statusCode", "status") if chunk.get(key)), None)
    return bool(chunk.get("message") or chunk.get("msg")) and _is_bad_code(code)


def _is_bad_code(code: Any) -> bool:
    if isinstance(code, str) and not code.isdecimal():
        return _BAD_CODE.search(code) is not None
    if isinstance(code, int | str) and not isinstance(code, bool):
        number = code if isinstance(code, int) else int(code[:12])
        return number < 0 or number >= 400
    return False


def _as_sent(value: Any) -> str:
    try:
        return plain(json.dumps(value, ensure_ascii=False))
    except (ValueError, RecursionError):  # among others, an integer of thousands of digits
        return "an error without words"


def bare_error(body: bytes) -> str | None:
    """The words of a JSON error that stands among the events of a stream without `data:` before it, as an HTTP error
    page does that a proxy appends; older servers of llama.cpp write it behind `error:`. None where there is none."""
    before = len(body)
    for _ in range(_MOST_BARE):
        brace, field = body.rfind(b"\n{", 0, before), body.rfind(b"\nerror:", 0, before)
        place = max(brace, field)
        if place < 0 and not body.startswith((b"{", b"error:")):
            return None
        line = body[place + 1 : place + _LOOK_AT].decode("utf-8", "replace").removeprefix("error:").lstrip()
        with contextlib.suppress(ValueError, RecursionError):
            found, _ = json.JSONDecoder().raw_decode(line)
            if isinstance(found, dict) and (words := error_in(found)):
                return words
        if place < 0:
            return None
        before = place + 1
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
    if "\ufffd" in text:
        return plain(f"{len(body)} bytes that are not text")
    title = _TITLE.search(text)
    if title is not None and text.count(title[1]) > 1:  # the page's heading says it again
        text = text[: title.start()] + text[title.end() :]
    return plain(_TAG.sub(" ", _without_blocks(text)))


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
    """One sentence for an answer that is not 2xx: the status, the server's words, and where it points or when to come
    back. A status that the words begin with is told once."""
    parts = []
    named = dict(headers)
    if 300 <= status < 400 and "location" in named:
        parts.append(f"redirects to {plain(named['location'], 120)}, which is not followed")
    if words := without_status(status, words_of_body(body)):
        parts.append(words)
    if "retry-after" in named:
        parts.append(f"(Retry-After: {plain(named['retry-after'], 40)})")
    return plain(f"HTTP {status}" + (": " + " ".join(parts) if parts else ""))


def without_status(status: int | None, words: str) -> str:
    """Words that begin with the status of their answer, without it: "HTTP 500: boom" is "boom"."""
    begin = rf"\s*(?:HTTP(?:/\d(?:\.\d)?)?(?: error)?:? ?)?{status}(?!\w|[.,]\d)[\s:.,-]*"
    found = re.match(begin, words, re.IGNORECASE)
    return words if found is None else words[found.end() :]
