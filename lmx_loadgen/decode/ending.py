"""Whether an answer came to a true end, and what is said of one that did not."""

from typing import TYPE_CHECKING, Any

import pydantic_core

from lmx_loadgen.decode.errors import error_in, plain, words_of_body, words_of_error

if TYPE_CHECKING:
    from lmx_loadgen.decode.stream import Stream

# Finish reasons by which a server says that it gave an answer up. Any other word is an end: new ones come up.
_GIVEN_UP = frozenset(
    {"abort", "aborted", "cancel", "cancelled", "canceled", "error", "exception", "failed", "failure", "interrupted",
     "disconnect", "disconnected", "killed", "load", "unload", "unloaded", "shutdown", "preempted", "evicted",
     "timeout", "timed_out", "time_out", "deadline_exceeded", "insufficient_system_resource", "overloaded", "oom"}
)  # fmt: skip
_NO_WORD = frozenset({"", "null", "none"})


def finish_word(value: Any) -> str | None:
    """A finish reason as the server named it, which may be an object; None where it named none."""
    if isinstance(value, dict):
        value = value.get("type") or value.get("reason")
    if not isinstance(value, str) or value.strip().lower() in _NO_WORD:
        return None
    return plain(value, 40) or None


def is_given_up(word: str) -> bool:
    """Whether this finish reason says that the answer was not brought to its end."""
    known = word.strip().lower().replace("-", "_").replace(" ", "_")
    return known in _GIVEN_UP or known.endswith("_error") or known.startswith("abort")


def verdict(stream: "Stream", failure: tuple[str, str] | None, body: bytes) -> tuple[str, str | None]:
    """(outcome, reason) of an answer; `failure` is the wire's own, None where its framing is whole."""
    if failure is not None and failure[0] == "cancelled":
        return failure
    if stream.error is not None:
        return "stream_error", stream.error
    if failure is not None and not (stream.done and stream.finish_reason):
        return failure
    if stream.garbage is not None:
        return "protocol_error", stream.garbage
    if stream.items == 0:
        return _not_a_stream(body)
    ended = stream.done or stream.finish_reason is not None or stream.counted_last
    if ended and stream.has_text():
        return "ok", None
    said = stream.remark or _last_words(body[stream.read_to :])
    message = f"; the server's last message: {said}" if said else ""
    if not ended:
        return "incomplete", f"the stream ended without a finish_reason{message}"
    how = f"finish_reason {stream.finish_reason}" if stream.finish_reason else "no finish_reason"
    return "empty", f"the answer has no text ({how}){message}"


def _last_words(rest: bytes) -> str:
    """What stands after the last event and is none, as the page of a proxy does."""
    rest = rest.strip()
    is_field = rest.startswith((b"data", b"event", b"id", b"retry", b":"))
    return "" if is_field or not rest else words_of_body(rest)


def _not_a_stream(body: bytes) -> tuple[str, str]:
    text = body.strip()
    if not text:
        return "incomplete", "the stream was empty"
    try:
        whole = pydantic_core.from_json(text)
    except ValueError:
        words = words_of_body(body) or plain(body[:400].decode("utf-8", "replace"))
        return "protocol_error", plain(f"not an event stream: {words}")
    if said := _words_of_json(whole):
        return "stream_error", said
    return "protocol_error", "the server answered with one JSON object where a stream was asked for"


def _words_of_json(whole: Any) -> str | None:
    """The words of a whole body that is an error; in one without an answer, a message is enough."""
    if isinstance(whole, list):
        return words_of_error([part for part in whole if isinstance(part, dict)])
    if not isinstance(whole, dict):
        return None
    if words := error_in(whole):
        return words
    return None if whole.get("choices") else words_of_error({key: whole.get(key) for key in ("message", "msg")})
