"""What a streamed answer shows of its server: role chunk, tokens per chunk, usage, end, reasoning."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lmx_loadgen.decode.chat import TEXT_KINDS
from lmx_loadgen.decode.reasoning import REASONING_FIELDS
from lmx_loadgen.session.card.ask import CardReply
from lmx_loadgen.store.cards import StreamFacts, UsageFacts


def stream_facts(streamed: CardReply, whole: CardReply, limit: int) -> StreamFacts:
    """Of an answer that was long enough to be ended by its limit of tokens; `whole` is the same, not streamed."""
    if not streamed.ok or not streamed.texts:
        return StreamFacts()
    deltas = [delta for chunk in streamed.chunks for delta in _deltas(chunk)]
    with_text = [delta for delta in deltas if _has_text(delta)]
    tokens = limit if is_ended_by_limit(streamed, whole, limit) else None
    return StreamFacts(
        role_chunk=_role_chunk(streamed),
        role_in_every_chunk=bool(with_text) and all(delta.get("role") for delta in with_text),
        tokens_per_chunk=None if tokens is None else round(tokens / len(streamed.texts), 2),
        done=any(kind == "done" for _, kind, _ in streamed.answer.events),
        tells_limit=None if tokens is None else streamed.answer.finish_reason == "length",
        reasoning=_reasoning(streamed, with_text),
    )


def usage_facts(streamed: CardReply, unasked: CardReply, whole: CardReply, limit: int) -> UsageFacts:
    """`streamed` asked for usage, `unasked` did not; `whole` is the same as `streamed`, not streamed."""
    if not streamed.ok:
        return UsageFacts()
    if streamed.answer.usage is None:
        return UsageFacts(told="never")
    told: Literal["asked", "always"] = "always" if unasked.ok and unasked.answer.usage is not None else "asked"
    said, counted = streamed.usage[:2], whole.usage[:2]
    exact = None
    if None not in said and None not in counted and whole.ok:
        by_limit = said[1] == limit or not is_ended_by_limit(streamed, whole, limit)
        exact = said == counted and by_limit
    words = f"streamed {_pair(said)}, not streamed {_pair(counted)} (prompt/output)"
    return UsageFacts(told=told, exact=exact, words=words)


def is_ended_by_limit(streamed: CardReply, whole: CardReply, limit: int) -> bool:
    """Whether the limit ended an answer: by its finish reason, else by a count of its tokens."""
    if "length" in (streamed.answer.finish_reason, whole.answer.finish_reason):
        return True
    return limit in (streamed.usage[1], whole.usage[1], len(streamed.texts))


def _pair(counts: Sequence[int | None]) -> str:
    return "/".join("-" if count is None else str(count) for count in counts)


def _role_chunk(streamed: CardReply) -> Literal["none", "early", "with_text"]:
    events = streamed.answer.events
    text_read = next(index for index, kind, _ in events if kind in TEXT_KINDS)
    first = next((index, kind) for index, kind, _ in events if kind in TEXT_KINDS or kind == "role")
    if first[1] != "role":
        return "none"
    return "early" if first[0] < text_read else "with_text"


def _reasoning(streamed: CardReply, with_text: Sequence[Mapping[str, Any]]) -> str | None:
    fields = [name for delta in with_text for name in delta if name in REASONING_FIELDS and delta[name]]
    if fields:
        return fields[0]
    tagged = any(kind == "reasoning" for _, kind, _ in streamed.answer.events) or "<think>" in streamed.text
    return "tags in the content" if tagged else None


def _deltas(chunk: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = chunk.get("choices")
    parts = [choice.get("delta") for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    return [part for part in parts if isinstance(part, dict)]


def _has_text(delta: Mapping[str, Any]) -> bool:
    return bool(delta.get("content") or delta.get("tool_calls") or any(delta.get(name) for name in REASONING_FIELDS))
