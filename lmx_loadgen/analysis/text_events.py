"""What the events of one answer show: when text came, how much of it, and how many tokens it can be."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.decode.chat import TEXT_KINDS

# A Latin word with the blank before it, which belongs to its first token.
_WORD = re.compile(r" ?[A-Za-z]+")


@dataclass(slots=True)
class TextSeen:
    """The text of one answer, read by read. The lists have an entry for each read that brought text, from the first
    that brought more than white space; white space before it counts to that one.

    `running` is what the usage of a read's last chunk counted. `chunks` is how many chunks with text the server sent at
    least: a chunk that was split into a thought and an answer is one of its.
    """

    at_ns: list[int] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    characters: list[int] = field(default_factory=list)
    running: list[int | None] = field(default_factory=list)
    visible_ns: int | None = None
    leading_white: bool = False
    all_characters: int = 0
    chunks: int = 0
    most_tokens: int = 0
    most_reasoning: int = 0
    _white_events: int = 0  # before the first token
    _white_characters: int = 0

    def take(self, at_ns: int, kind: str, text: str) -> None:
        """One event of text, in the order they came."""
        blank = text.isspace()
        if self.visible_ns is None and kind != "reasoning" and not blank:
            self.visible_ns = at_ns
        if self.at_ns and self.at_ns[-1] >= at_ns:
            self.events[-1] += 1
            self.characters[-1] += len(text)
            self.running[-1] = None  # of an earlier chunk of this read
        elif self.at_ns or not blank:
            self.at_ns.append(at_ns)
            self.events.append(1 + self._white_events)
            self.characters.append(len(text) + self._white_characters)
            self.running.append(None)
            self._white_events = self._white_characters = 0
        else:
            self.leading_white = True
            self._white_events += 1
            self._white_characters += len(text)

    def take_usage(self, at_ns: int, count: int) -> None:
        """What a chunk's usage counted until then. Of a read with several it is the first one after its last text: the
        usage of the whole, which may come with it, has the end of the turn in it."""
        if self.running and self.running[-1] is None and self.at_ns[-1] == at_ns:
            self.running[-1] = count

    def running_counts(self) -> tuple[int, ...]:
        """A count for each read; empty where one lacks it or they cannot be the running count of one answer.

        Some servers count each chunk by itself, or say 0 until the last. A token has no more than one event.
        """
        counts = [count for count in self.running if count is not None]
        if len(counts) < max(2, len(self.running)) or counts != sorted(counts):
            return ()
        splits = sum(self.events) - self.chunks
        return tuple(counts) if counts[-1] - counts[0] >= max(1, sum(self.events[1:]) - splits) else ()


def text_seen(
    events: Iterable[tuple[int, str, str]], arrivals: Sequence[Sequence[int]], send_ns: int | None
) -> TextSeen:
    """What the events of a request line show; nothing of a request that was never sent."""
    seen = TextSeen()
    if send_ns is None:
        return seen
    whole: list[str] = []
    thoughts: list[str] = []
    before: tuple[int, str] | None = None
    for index, kind, text in events:
        if index >= len(arrivals):
            continue
        if kind in TEXT_KINDS:
            whole.append(text)
            if kind == "reasoning":
                thoughts.append(text)
            if before is None or before[0] != index or before[1] == kind:
                seen.chunks += 1
            before = (index, kind)
            seen.take(send_ns + arrivals[index][0], kind, text)
            continue
        before = None  # the end of a chunk
        if kind == "usage" and text.isdecimal():
            seen.take_usage(send_ns + arrivals[index][0], int(text))
    everything = "".join(whole)
    seen.all_characters = len(everything)
    seen.most_tokens = _most_tokens(everything)
    seen.most_reasoning = _most_tokens("".join(thoughts))
    return seen


def _most_tokens(text: str) -> int:
    """How many tokens a text can be.

    A token has one byte at least, and real tokenizers come down to that with digits, marks and the bytes of rare
    characters. Of letters of the Latin alphabet they take two or more, in whatever language.
    """
    rest = _WORD.sub("", text)
    return (len(text) - len(rest) + 1) // 2 + len(rest.encode("utf-8", "replace"))


def answer_text(line: Mapping[str, Any]) -> str:
    """The whole text of an answer, reasoning included, as the user would have seen it arrive."""
    return "".join(text for _, kind, text in line["events"] if kind in ("content", "reasoning"))
