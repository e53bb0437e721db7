"""A server's dialect card in words: what was looked at, and what was found."""

from collections.abc import Iterator

from lmx_loadgen.analysis.formats import milliseconds
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.store.cards import DialectCard

_UNKNOWN = "not known"
_WORDS = 240
_YES_NO = {True: "yes", False: "no", None: _UNKNOWN}
_ROLE = {
    "none": "none: the first chunk has text",
    "early": "in a read of its own, before any text: it is not the first token",
    "with_text": "in the same read as the first text",
    None: _UNKNOWN,
}
_TOLD = {
    "never": "none",
    "asked": "only where it is asked for",
    "always": "also where it is not asked for",
    None: _UNKNOWN,
}
_EXACT = {True: "; a count of tokens", False: "; no count of tokens", None: ""}
_LONG = {"refused": "refused", "cut": "cut silently", "served": "read beyond what it tells", "unknown": _UNKNOWN}
_CALLS = {
    "pieces": "arguments in pieces",
    "whole": "arguments whole, in one event",
    "text": "left in the text",
    "none": "none seen",
    "refused": "tools are refused",
    "unknown": _UNKNOWN,
}


def rows(card: DialectCard) -> Iterator[tuple[str, str]]:
    """What was looked at and what was found, a line each, safe to print."""
    for name, found in _all_rows(card):
        yield name, sanitize(found, _WORDS)


def _all_rows(card: DialectCard) -> Iterator[tuple[str, str]]:
    stream, usage, cache = card.stream, card.usage, card.cache
    yield (
        "role chunk",
        _ROLE[stream.role_chunk] + ("; the role is in every chunk" if stream.role_in_every_chunk else ""),
    )
    yield "tokens per chunk", _UNKNOWN if stream.tokens_per_chunk is None else f"{stream.tokens_per_chunk:g}"
    yield "usage", _TOLD[usage.told] + _EXACT[usage.exact] + _beside(usage.words)
    yield "ends with [DONE]", _YES_NO[stream.done]
    yield "says length at the limit", _YES_NO[stream.tells_limit]
    yield "reasoning", stream.reasoning or "none seen"
    for name, fact in card.fields.items():
        yield name, fact.status + _beside(fact.words)
    if cache.cold_sec is None or cache.repeat_sec is None:
        yield "prefix cache", _UNKNOWN
    else:
        times = f"repeat {milliseconds(cache.repeat_sec)} ms, new {milliseconds(cache.cold_sec)} ms"
        faster = f", {cache.cold_sec / cache.repeat_sec:.3g} times as fast" if cache.found and cache.repeat_sec else ""
        yield "prefix cache", f"{_YES_NO[cache.found]} ({times}{faster})"
    context = f" (context {card.long_prompts.context} tokens)" if card.long_prompts.context else ""
    yield "long prompts", _LONG[card.long_prompts.status] + context + _beside(card.long_prompts.words)
    yield "concurrency", _at_once(card)
    for name, error in card.errors.items():
        status = f"{error.status}, {error.shape}" if error.status is not None else error.shape
        yield name, status + _beside(error.words)
    yield "tool calls", _CALLS[card.tool_calls.status] + _beside(card.tool_calls.words)


def _at_once(card: DialectCard) -> str:
    load = card.at_once
    if load.served is None:
        return _UNKNOWN + _beside(load.words)
    least = "at least " if load.served == load.sent else ""
    refused = f"; {load.refused} refused{_beside(load.words)}" if load.refused else ""
    return f"{least}{load.served} of {load.sent}{refused}"


def _beside(words: str | None) -> str:
    return f": {words}" if words else ""
