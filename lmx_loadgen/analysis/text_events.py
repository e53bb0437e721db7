"""What the events of one answer show: when text came, how much of it, and how many tokens it can be."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from lmx_loadgen.decode.chat import TEXT_KINDS

# A Latin word with the blank before it, which belongs to its first token.
_WORD = re.compile(r" ?([A-Za-z]+)")


@dataclass
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
    whole: list[str] = []
    thought: list[str] = []
    white = [0, 0]  # events and characters before the first token
    before: tuple[int, str] | None = None
    for index, kind, text in events:
        if send_ns is None or index >= len(arrivals):
            continue
        if kind == "usage" and text.isdecimal() and seen.running:
            seen.running[-1] = int(text) if seen.at_ns[-1] == send_ns + arrivals[index][0] else seen.running[-1]
        if kind not in TEXT_KINDS:
            continue
        whole.append(text)
        if kind == "reasoning":
            thought.append(text)
        seen.chunks += before is None or before[0] != index or before[1] == kind
        before = (index, kind)
        _take(seen, send_ns + arrivals[index][0], kind, text, white)
    text = "".join(whole)
    seen.all_characters = len(text)
    seen.most_tokens = _most_tokens(text)
    seen.most_reasoning = _most_tokens("".join(thought))
    return seen


def _take(seen: TextSeen, at_ns: int, kind: str, text: str, white: list[int]) -> None:
    blank = text.isspace()
    if seen.visible_ns is None and kind != "reasoning" and not blank:
        seen.visible_ns = at_ns
    if blank and not seen.at_ns:
        seen.leading_white = True
        white[0], white[1] = white[0] + 1, white[1] + len(text)
        return
    if seen.at_ns and seen.at_ns[-1] >= at_ns:
        seen.events[-1] += 1
        seen.characters[-1] += len(text)
        seen.running[-1] = None  # of an earlier chunk of this read
        return
    first = not seen.at_ns
    seen.at_ns.append(at_ns)
    seen.events.append(1 + (white[0] if first else 0))
    seen.characters.append(len(text) + (white[1] if first else 0))
    seen.running.append(None)


def _most_tokens(text: str) -> int:
    """How many tokens a text can be.

    A token has one byte at least, and real tokenizers come down to that with digits, marks and the bytes of rare
    characters. Of letters of the Latin alphabet they take two or more, in whatever language.
    """
    letters = sum(len(word) for word in _WORD.findall(text))
    rest = _WORD.sub("", text)
    return (letters + 1) // 2 + len(rest.encode("utf-8", "replace"))
