"""What the chunks of one answer say, gathered: texts with the read they came in, usage, and how it ended.

Servers differ in all the places this module looks at; the cases are recorded streams in `tests/data/streams`.
What counts as text is content, reasoning or tool-call arguments that are not empty. Role events, empty strings,
nulls, comments and usage are none.
"""

from typing import Any

from lmx_loadgen.decode.errors import plain, words_of_error
from lmx_loadgen.decode.fields import is_small, name_of, text_of
from lmx_loadgen.decode.finish import finish_word, is_given_up
from lmx_loadgen.decode.reasoning import REASONING_FIELDS, Event, Thoughts, content_parts
from lmx_loadgen.decode.tool_calls import arguments_of, pieces_of_calls
from lmx_loadgen.decode.usage import usage_counts

TEXT_KINDS = frozenset({"content", "reasoning", "tool"})
_BESIDE_CONTENT = REASONING_FIELDS | {"refusal", "tool_calls", "function_call"}
_TIMING_KEYS = ("timings", "stats")
# Ollama's stand in the event itself, in nanoseconds.
_OLLAMA_TIMINGS = ("load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration")


class Chunks:
    """Gathers what the chunks of one answer of `endpoint` ("chat" or "completions") say.

    `texts` are the places in `events` of each choice's text. `remark` has words that may explain an end that is
    missing, and nothing else. `counted_last`: a usage of its own came after the last text.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.events: list[Event] = []
        self.texts: dict[int, list[int]] = {}
        self.text_size = 0
        self.response_id: str | None = None
        self.model: str | None = None
        self.usage: dict[str, Any] | None = None
        self.finish_reason: str | None = None
        self.timings: dict[str, Any] | None = None
        self.error: str | None = None
        self.remark: str | None = None
        self.counted_last = False
        self._usage_is_final = False
        self._thoughts = Thoughts()

    @property
    def has_chunks(self) -> bool:
        """Whether any chunk had a choice."""
        return bool(self.texts)

    def take(self, chunk: dict[str, Any], index: int) -> None:
        """Take a chunk that the read of this index completed."""
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
        before = len(self.events)
        number = choice.get("index")
        if not isinstance(number, int):
            number = 0
        texts = self.texts.get(number)
        if texts is None:
            texts = self.texts[number] = []
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
        more = not _BESIDE_CONTENT.isdisjoint(delta)
        if more and (thought := self._thoughts.in_fields(delta)):
            self._say("reasoning", thought, texts, index)
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                self._say("content", text_of(content), texts, index)
        elif content:
            for kind, text in content_parts(content):
                self._say(kind, text, texts, index)
        if more and ("tool_calls" in delta or "function_call" in delta or "refusal" in delta):
            self._refusal_and_calls(delta, texts, index)

    def _refusal_and_calls(self, delta: dict[str, Any], texts: list[int], index: int) -> None:
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
