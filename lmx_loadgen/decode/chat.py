"""Events into deltas: what an OpenAI-compatible stream said, and whether it can be called an answer.

Servers differ in all the places this module looks at; the cases are recorded streams in `tests/data/streams`.
What counts as a token is text that is not empty: content, reasoning or tool-call arguments. Role events,
empty strings, nulls, comments and usage are not.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pydantic_core

from lmx_loadgen.decode.encoding import Undecodable, unpacked
from lmx_loadgen.decode.errors import plain, refusal, words_of_error
from lmx_loadgen.decode.sse import Item, decode

TEXT_KINDS = frozenset({"content", "reasoning", "tool"})
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
_TIMING_KEYS = ("timings", "stats")
# Ollama's stand in the event itself, in nanoseconds.
_OLLAMA_TIMINGS = ("load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
# More than the longest answer that can be asked for has, and small enough to hold and to store.
MAX_EVENTS = 500_000
MAX_TEXT = 8 * 1024 * 1024
_MAX_FACTS = 16 * 1024


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
    they point into (unpacked sizes where the body was compressed)."""

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
    if raw.status != 200:
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
    stream = _Stream(endpoint)
    stream.read(decode(body), arrivals)
    if rules.error_text_prefix is not None:
        stream.find_error_text(rules.error_text_prefix)
    outcome, reason = _verdict(stream, raw.failure, body)
    return Answer(
        stream.events,
        arrivals,
        outcome,
        reason,
        stream.response_id,
        stream.model,
        stream.usage,
        stream.finish_reason,
        stream.timings,
    )


def usage_counts(usage: dict[str, Any] | None) -> tuple[int | None, int | None, int | None]:
    """(prompt, output, cached) tokens of a usage object; None where it has no count that can be one.

    A missing `cached_tokens` is unknown, not 0.
    """
    if not isinstance(usage, dict):
        return None, None, None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(cached)


def _count(value: Any) -> int | None:
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if sane else None


@dataclass
class _Stream:
    """Gathers what the events of one stream say."""

    endpoint: str
    events: list[tuple[int, str, str]] = field(default_factory=list)
    response_id: str | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None
    finish_reason: str | None = None
    timings: dict[str, Any] | None = None
    error: str | None = None
    garbage: str | None = None
    done: bool = False
    items: int = 0
    text_size: int = 0
    _usage_is_final: bool = False

    def read(self, items: Iterable[Item], arrivals: list[tuple[int, int]]) -> None:
        index, reached, last = 0, arrivals[0][1] if arrivals else 0, len(arrivals) - 1
        for item in items:
            while reached < item.end and index < last:
                index += 1
                reached += arrivals[index][1]
            self.items += 1
            if len(self.events) >= MAX_EVENTS or self.text_size > MAX_TEXT:
                too_much = f"an answer of over {MAX_EVENTS} events or {MAX_TEXT // 2**20} MB of text"
                self.garbage = self.garbage or too_much
                return
            if item.comment:
                self.events.append((index, "ping", ""))
            elif item.data == "[DONE]":
                self.done = True
                self.events.append((index, "done", ""))
            else:
                self._event(item, index)

    def _event(self, item: Item, index: int) -> None:
        if not item.data.strip():
            self.events.append((index, "ping", ""))
            return
        try:
            chunk = _from_json(item.data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            if item.event == "error":
                self._failed(plain(item.data), index)
            else:
                self.garbage = self.garbage or f"an event that is not a JSON object: {plain(item.data, 80)}"
                self.events.append((index, "other", ""))
            return
        if item.event == "error" or chunk.get("error"):
            words = words_of_error(chunk.get("error") or chunk) or plain(item.data)
            self._failed(words, index)
            return
        self._chunk(chunk, index)

    def _failed(self, words: str, index: int) -> None:
        self.error = self.error or words
        self.events.append((index, "error", words))

    def _chunk(self, chunk: dict[str, Any], index: int) -> None:
        before = len(self.events)
        if self.response_id is None:
            self.response_id = _name(chunk.get("id"))
        if self.model is None:
            self.model = _name(chunk.get("model"))
        choices = chunk.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._choice(choice, index)
        usage = chunk.get("usage")
        if isinstance(usage, dict) and _is_small(usage):
            self._take_usage(usage, choices == [], index)
        for key in _TIMING_KEYS:
            timings = chunk.get(key)
            if isinstance(timings, dict) and _is_small(timings):
                self.timings = timings
        if "eval_duration" in chunk:
            self.timings = {key: chunk[key] for key in _OLLAMA_TIMINGS if key in chunk}
        if len(self.events) == before:
            self.events.append((index, "other", ""))

    def _choice(self, choice: dict[str, Any], index: int) -> None:
        if self.endpoint == "completions":
            parts = [("content", choice.get("text"))]
            delta: Any = None
        else:
            delta = choice.get("delta")
            if not isinstance(delta, dict):
                delta = {}
            parts = [("content", delta.get("content"))]
            reasoning = next((delta[key] for key in _REASONING_KEYS if delta.get(key)), None)
            if reasoning is not None:
                parts.insert(0, ("reasoning", reasoning))
            if delta.get("tool_calls"):
                parts += [("tool", arguments) for arguments in _tool_arguments(delta["tool_calls"])]
        said = False
        for kind, value in parts:
            text = _text(value)
            if text:
                said = True
                self.text_size += len(text)
                self.events.append((index, kind, text))
        if not said and delta and delta.get("role"):
            self.events.append((index, "role", ""))
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish:
            self.finish_reason = plain(finish, 40)
            self.events.append((index, "finish", self.finish_reason))

    def _take_usage(self, usage: dict[str, Any], alone: bool, index: int) -> None:
        """Keep the count that is meant: one sent with no choices beats all, and zeros beat nothing."""
        if self._usage_is_final and not alone:
            return
        prompt, output, _ = usage_counts(usage)
        if not alone and not prompt and not output:
            self.usage = self.usage or usage
            return
        self.usage, self._usage_is_final = usage, alone
        self.events.append((index, "usage", ""))

    def find_error_text(self, prefix: str) -> None:
        """Turn a last content that begins like an error message into an error: it never was a token."""
        for place in range(len(self.events) - 1, -1, -1):
            index, kind, text = self.events[place]
            if kind in TEXT_KINDS:
                if kind == "content" and text.startswith(prefix):
                    words = plain(text[len(prefix) :].removesuffix("]"))
                    self.events[place] = (index, "error", words)
                    self.error = self.error or words
                return

    def has_text(self) -> bool:
        return any(kind in TEXT_KINDS for _, kind, _ in self.events)


def _verdict(stream: _Stream, failure: tuple[str, str] | None, body: bytes) -> tuple[str, str | None]:
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
    if stream.finish_reason is None:
        return "incomplete", "the stream ended without a finish_reason"
    if not stream.has_text():
        return "empty", f"the answer has no text (finish_reason {stream.finish_reason})"
    return "ok", None


def _not_a_stream(body: bytes) -> tuple[str, str]:
    text = body.strip()
    if not text:
        return "incomplete", "the stream was empty"
    try:
        whole = pydantic_core.from_json(text)
    except ValueError:
        return "protocol_error", f"not an event stream: {plain(body[:400].decode('utf-8', 'replace'), 80)}"
    if isinstance(whole, dict) and whole.get("error"):
        return "stream_error", words_of_error(whole) or "an error object without words"
    return "protocol_error", "the server answered with one JSON object where a stream was asked for"


def _from_json(data: str) -> Any:
    try:
        return pydantic_core.from_json(data)
    except ValueError:
        # Half a surrogate pair, as some servers send when an emoji is split over two chunks, is legal JSON for
        # the standard library; it becomes a replacement character in `_text`.
        if "\\ud" not in data.lower():
            raise
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _text(value: Any) -> str:
    """The text of a delta's field: a string, or a list of parts with `text`."""
    if isinstance(value, list):
        value = "".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))
    if not isinstance(value, str):
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode()
    return value


def _name(value: Any) -> str | None:
    return (plain(_text(value), 200) or None) if isinstance(value, str) else None


def _is_small(facts: dict[str, Any]) -> bool:
    """Whether this can be the figures it should be: they are stored as they came."""
    try:
        return len(repr(facts)) <= _MAX_FACTS
    except RecursionError:
        return False


def _tool_arguments(calls: Any) -> list[Any]:
    if not isinstance(calls, list):
        return []
    functions = [call.get("function") for call in calls if isinstance(call, dict)]
    return [function.get("arguments") for function in functions if isinstance(function, dict)]
