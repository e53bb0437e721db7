"""The answer of an OpenAI-compatible server out of what its wire left: what it said, and whether it is an answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.decode.chunks import TEXT_KINDS
from lmx_loadgen.decode.encoding import Undecodable, unpacked
from lmx_loadgen.decode.ending import verdict
from lmx_loadgen.decode.errors import bare_error, plain, refusal
from lmx_loadgen.decode.reasoning import split_thoughts
from lmx_loadgen.decode.sse import Decoder, decode
from lmx_loadgen.decode.stream import Stream
from lmx_loadgen.decode.usage import usage_counts

__all__ = ["TEXT_KINDS", "Answer", "RawAnswer", "StreamRules", "read_answer", "usage_counts"]


@dataclass(frozen=True, slots=True)
class StreamRules:
    """What one server's streams mean.

    `usage_prompt_exact` and `usage_output_exact`: whether those figures of a streamed `usage` are counts of
    tokens. `error_text_prefix`: a last content delta that starts with this is an error message, not an answer.
    `finish_reason_exact`: whether it says `length` where the limit ended an answer.
    """

    usage_prompt_exact: bool = True
    usage_output_exact: bool = True
    error_text_prefix: str | None = None
    finish_reason_exact: bool = True


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer as the wire left it. `arrivals` are (offset in ns, body bytes) of each read; header names are lower
    case; `failure` is the wire's own outcome and reason, None where the answer came whole."""

    status: int | None
    headers: list[tuple[str, str]]
    body: bytes
    arrivals: list[tuple[int, int]]
    failure: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as read. `events` are (index of the arrival that completed it, kind, text); `arrivals` are the ones
    they point into (unpacked sizes where the body was compressed). `finish_reason` is None where the server named none.
    `notes` are codes of what is to be known of how it came: `no_finish_reason`, `no_blank_line`, `leading_white_space`.
    """

    events: list[tuple[int, str, str]]
    arrivals: list[tuple[int, int]]
    outcome: str
    reason: str | None
    response_id: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    finish_reason: str | None = None
    server_timings: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def read_answer(raw: RawAnswer, endpoint: str, rules: StreamRules) -> Answer:
    """Read one answer of `endpoint` ("chat" or "completions"). Never raises, whatever the bytes are."""
    if raw.status is None:
        return Answer([], raw.arrivals, *(raw.failure or ("incomplete", "no answer")))
    if not 200 <= raw.status < 300:
        if raw.failure is not None and not raw.body:
            return Answer([], raw.arrivals, *raw.failure)
        return Answer([], raw.arrivals, "http_error", refusal(raw.status, raw.headers, raw.body))
    body, arrivals = raw.body, raw.arrivals
    encoding = dict(raw.headers).get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        try:
            body, arrivals = unpacked(encoding, body, arrivals, whole=raw.failure is None)
        except Undecodable as error:
            return Answer([], arrivals, "protocol_error", plain(str(error)))
    stream, by_rule = _read(body, arrivals, endpoint, whole=raw.failure is None)
    if rules.error_text_prefix is not None:
        stream.find_error_text(rules.error_text_prefix)
    stream.error = stream.error or bare_error(body)
    outcome, reason = verdict(stream, raw.failure, body)
    return Answer(
        split_thoughts(stream.events, stream.texts.values()),
        arrivals,
        outcome,
        reason,
        stream.response_id,
        stream.model,
        stream.usage,
        stream.finish_reason,
        stream.timings,
        tuple(_notes(stream, by_rule)) if outcome == "ok" else (),
    )


def _read(body: bytes, arrivals: list[tuple[int, int]], endpoint: str, *, whole: bool) -> tuple[Stream, bool]:
    """What a body says, and whether all its events ended as they should. What shows only on reading, that it has no
    empty lines or that all its chunks have names, makes it be read again."""

    def read(*, each_line: bool, named: bool) -> tuple[Stream, bool]:
        decoder, stream = Decoder(each_line=each_line), Stream(endpoint, named=named)
        stream.read(decode(body, decoder), arrivals)
        by_rule = not (whole and stream.read_pending(decoder.pending(), max(0, len(arrivals) - 1)))
        return stream, by_rule

    stream, by_rule = read(each_line=False, named=False)
    said_nothing = not (stream.has_chunks or stream.done or stream.error or stream.garbage)
    each_line = stream.has_joined_chunks or (whole and said_nothing and body.count(b"data:") > 1)
    named = stream.has_named_chunks and not stream.has_chunks
    if each_line or named:
        stream, by_rule = read(each_line=each_line, named=named)
    return stream, by_rule and not each_line


def _notes(stream: Stream, by_rule: bool) -> Iterator[str]:
    if not by_rule:
        yield "no_blank_line"
    if stream.finish_reason is None:
        yield "no_finish_reason"
    if next(text for _, kind, text in stream.events if kind in TEXT_KINDS).isspace():
        yield "leading_white_space"
