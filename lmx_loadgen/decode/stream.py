"""What the events of one stream say, gathered: texts with the read they came in, usage, how it ended.

Servers differ in all the places this module looks at; the cases are recorded streams in `tests/data/streams`.
What counts as text is content, reasoning or tool-call arguments that are not empty. Role events, empty strings,
nulls, comments and usage are none.
"""

import re
from collections.abc import Iterable
from typing import Any

from lmx_loadgen.decode.ending import finish_word, is_given_up
from lmx_loadgen.decode.errors import error_in, plain, words_of_error
from lmx_loadgen.decode.fields import from_json, is_small, name_of, text_of
from lmx_loadgen.decode.reasoning import REASONING_FIELDS, Event, Thoughts, content_parts
from lmx_loadgen.decode.sse import Item
from lmx_loadgen.decode.tool_calls import arguments_of, pieces_of_calls
from lmx_loadgen.decode.usage import usage_counts

TEXT_KINDS = frozenset({"content", "reasoning", "tool"})
_BESIDE_TEXT = frozenset({"refusal", "tool_calls", "function_call"})
_TIMING_KEYS = ("timings", "stats")
# Ollama's stand in the event itself, in nanoseconds.
_OLLAMA_TIMINGS = ("load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")
# More than the longest answer that can be asked for has, and small enough to hold and to store.
MAX_EVENTS = 500_000
MAX_TEXT = 8 * 1024 * 1024
# A sign of life that is no comment: a comment within the data, a date, or one of a few words with a number or date.
_PING = re.compile(
    r""":.*|[\d\s:.,TZ+/-]+|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s[\w\s:,+-]*
    |[\[(<"]?(?:ping|pong|heart-?beat|keep[-_\s]?alive|alive|open|opened|connected|noop)[\])>"]?[\s:#-]*[\d\s:.,TZ+/-]*""",
    re.IGNORECASE | re.VERBOSE,
)
_LONGEST_PING = 200


class Stream:
    """Gathers what the events of one stream say.

    Args:
        endpoint: "chat" or "completions".
        named: chunks under an event name of their own are the answer. Clients pass such events over, so they are
            nobody's answer where there are chunks without a name.
    """

    def __init__(self, endpoint: str, *, named: bool = False) -> None:
        self.endpoint = endpoint
        self.named = named
        self.events: list[Event] = []
        self.texts: dict[int, list[int]] = {}  # the places in `events` of each choice's text
        self.response_id: str | None = None
        self.model: str | None = None
        self.usage: dict[str, Any] | None = None
        self.finish_reason: str | None = None
        self.timings: dict[str, Any] | None = None
        self.error: str | None = None
        self.remark: str | None = None  # words that may explain an end that is missing, and nothing else
        self.garbage: str | None = None
        self.done = False
        self.counted_last = False  # a usage of its own came after the last text
        self.has_chunks = False
        self.has_named_chunks = False
        self.has_joined_chunks = False
        self.items = 0
        self.read_to = 0
        self.text_size = 0
        self._usage_is_final = False
        self._thoughts = Thoughts()

    def read(self, items: Iterable[Item], arrivals: list[tuple[int, int]]) -> None:
        """Read the events of a body, whose reads were these (offset in ns, bytes)."""
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
            self.read_to = item.end
            if item.comment:
                self.events.append((index, "ping", ""))
            else:
                self._event(item, index)

    def read_pending(self, readings: Iterable[Item], index: int) -> bool:
        """Read the event that the stream ended inside of, if one of its readings is whole; `index` is the last read."""
        for item in readings:
            if _is_done(item.data) or isinstance(_json(item.data), dict):
                self.items += 1
                self.read_to = item.end
                self._event(item, index)
                return True
        return False

    def has_text(self) -> bool:
        """Whether a person would see that something came: white space alone is nothing."""
        return any(kind in TEXT_KINDS and not text.isspace() for _, kind, text in self.events)

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

    # -- events

    def _event(self, item: Item, index: int) -> None:
        data = item.data
        if data == "[DONE]":
            self.done = True
            self.events.append((index, "done", ""))
            return
        if item.event != "message" and not self._is_ours(item):
            self.events.append((index, "ping", ""))
            return
        try:
            chunk = from_json(data)
        except ValueError:
            self._no_json(item, index)
            return
        if not isinstance(chunk, dict):
            self._no_object(item, chunk, index)
        elif item.event != "message" and _is_error_name(item.event):
            self._failed(words_of_error(chunk) or plain(data), index)
        elif ("error" in chunk or "choices" not in chunk) and (words := error_in(chunk)) is not None:
            self._failed(words, index)
        else:
            self._chunk(chunk, index)

    def _is_ours(self, item: Item) -> bool:
        """Whether an event with a name of its own belongs to the answer: errors do, and chunks where all have names."""
        if _is_error_name(item.event):
            return bool(item.data.strip())
        if '"choices"' in item.data:
            self.has_named_chunks = True
            return self.named
        if '"error"' in item.data and isinstance(chunk := _json(item.data), dict):
            self.remark = error_in(chunk) or self.remark
        return False

    def _no_json(self, item: Item, index: int) -> None:
        data = item.data
        if _is_done(data):
            self.done = True
            self.events.append((index, "done", ""))
        elif _is_error_name(item.event):
            self._failed(plain(data), index)
        elif _is_ping(data):
            self.events.append((index, "ping", ""))
        elif "\n" in data and all(_is_done(line) or isinstance(_json(line), dict) for line in data.split("\n")):
            self.has_joined_chunks = True
            for line in data.split("\n"):
                self._event(item._replace(data=line), index)
        else:
            self._garbage(data, index)

    def _no_object(self, item: Item, value: Any, index: int) -> None:
        if _is_error_name(item.event):
            self._failed(words_of_error(value) or plain(item.data), index)
        elif value == "[DONE]":
            self.done = True
            self.events.append((index, "done", ""))
        elif isinstance(value, list) and any(isinstance(part, dict) and part.get("error") for part in value):
            self._failed(words_of_error(value) or plain(item.data), index)
        elif not value or isinstance(value, int | float) or (isinstance(value, str) and _is_ping(value)):
            self.events.append((index, "ping", ""))
        else:
            self._garbage(item.data, index)

    def _failed(self, words: str, index: int) -> None:
        self.error = self.error or words
        self.events.append((index, "error", words))

    def _garbage(self, data: str, index: int) -> None:
        self.garbage = self.garbage or f"an event that is not a JSON object: {plain(data, 160)}"
        self.events.append((index, "other", ""))

    # -- chunks

    def _chunk(self, chunk: dict[str, Any], index: int) -> None:
        before = len(self.events)
        if self.response_id is None:
            self.response_id = name_of(chunk.get("id"))
        if self.model is None:
            self.model = name_of(chunk.get("model"))
        choices = chunk.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                if isinstance(choice, dict):
                    self._choice(choice, index)
        elif "message" in chunk or "msg" in chunk:
            self.remark = words_of_error({key: chunk.get(key) for key in ("message", "msg")}) or self.remark
        usage = chunk.get("usage")
        if isinstance(usage, dict) and is_small(usage):
            self._take_usage(usage, not choices, index)
        for key in _TIMING_KEYS:
            timings = chunk.get(key)
            if isinstance(timings, dict) and is_small(timings):
                self.timings = timings
        if "eval_duration" in chunk:
            self.timings = {key: chunk[key] for key in _OLLAMA_TIMINGS if key in chunk}
        if len(self.events) == before:
            self.events.append((index, "other", ""))

    def _choice(self, choice: dict[str, Any], index: int) -> None:
        self.has_chunks = True
        before = len(self.events)
        number = choice.get("index")
        texts = self.texts.setdefault(number if isinstance(number, int) else 0, [])
        delta = choice.get("delta")
        if self.endpoint == "completions" or not isinstance(delta, dict):
            delta = {"content": choice.get("text")} if "text" in choice else delta
        if isinstance(delta, dict):
            self._delta(delta, texts, index)
        if not texts and isinstance(message := choice.get("message"), dict):  # later it repeats what came in pieces
            self._delta(message, texts, index)
            delta = delta or message
        if len(self.events) == before and isinstance(delta, dict) and delta.get("role"):
            self.events.append((index, "role", ""))
        if choice.get("finish_reason") is not None:
            self._finish(choice, index)

    def _delta(self, delta: dict[str, Any], texts: list[int], index: int) -> None:
        if not REASONING_FIELDS.isdisjoint(delta) and (thought := self._thoughts.in_fields(delta)):
            self._say("reasoning", thought, texts, index)
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                self._say("content", text_of(content), texts, index)
        elif content:
            for kind, text in content_parts(content):
                self._say(kind, text, texts, index)
        if not _BESIDE_TEXT.isdisjoint(delta):
            if refusal := text_of(delta.get("refusal")):
                self._say("content", refusal, texts, index)
            for piece in pieces_of_calls(delta):
                if arguments := arguments_of(piece):
                    self._say("tool", arguments, texts, index)

    def _say(self, kind: str, text: str, texts: list[int], index: int) -> None:
        self.counted_last = False
        self.text_size += len(text)
        texts.append(len(self.events))
        self.events.append((index, kind, text))

    def _finish(self, choice: dict[str, Any], index: int) -> None:
        reason = choice["finish_reason"]
        word = finish_word(reason)
        if word is None:
            return
        self.finish_reason = word
        self.events.append((index, "finish", word))
        if is_given_up(word):
            why = words_of_error(choice.get("error")) or (words_of_error(reason) if isinstance(reason, dict) else None)
            self.error = self.error or f"the server ended the answer with finish_reason {word}" + (
                f": {why}" if why and why != word else ""
            )

    def _take_usage(self, usage: dict[str, Any], alone: bool, index: int) -> None:
        """Keep the count that is meant: one sent with no choices beats all, and zeros beat nothing."""
        prompt, output, _ = usage_counts(usage)
        if not prompt and not output and not alone:
            self.usage = self.usage or usage
            return
        if alone or not self._usage_is_final:
            self.usage, self._usage_is_final = usage, alone
        self.counted_last = self.counted_last or (alone and bool(output))
        self.events.append((index, "usage", "" if output is None else str(output)))


def _json(data: str) -> Any:
    try:
        return from_json(data)
    except ValueError:
        return None


def _is_done(data: str) -> bool:
    return data.strip() == "[DONE]"


def _is_error_name(event: str) -> bool:
    return event.lower().endswith("error")


def _is_ping(data: str) -> bool:
    text = data.strip()
    return len(text) <= _LONGEST_PING and (not text or _PING.fullmatch(text) is not None)
