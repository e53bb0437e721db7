"""What one answer will say, token by token, and where a stop sequence ends it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

CHARACTERS_LOOKED_AT = 200_000  # a stop sequence further on is not found


@dataclass(slots=True)
class Script:
    """Pieces of text, one a token, taken in turn from `start`.

    A step of the engine makes one token, or up to `drafted` more (speculative decoding). Text events hold `per_chunk`
    tokens, or what `sizes` says of the event with that number, counted from 0.

    `hidden` tokens are made before the first text and never sent (thoughts, a parser's tags), `swallowed` ones after
    the last (a stop sequence).
    """

    pieces: list[str]
    start: int
    total: int
    per_chunk: int
    sizes: dict[int, int] = field(default_factory=dict)
    hidden: int = 0
    swallowed: int = 0
    drafted: int = 0
    random: Random | None = None  # draws how many of the drafted ones are taken

    @property
    def simple(self) -> bool:
        """Every step makes a token that is sent, and text events are all of one size."""
        return not (self.sizes or self.hidden or self.swallowed or self.drafted)

    def text(self, begin: int, end: int) -> str:
        """The pieces of tokens `begin` to `end`."""
        count = len(self.pieces)
        return "".join(self.pieces[(self.start + i) % count] for i in range(begin, end))

    def size(self, number: int) -> int:
        """Tokens in the text event with that number."""
        return self.sizes.get(number, self.per_chunk)

    def step(self) -> int:
        """Tokens that one step of the engine makes."""
        return 1 if self.random is None else 1 + self.random.randint(0, self.drafted)

    def hide(self, tokens: int) -> int:
        """Make so many of the answer's tokens hidden ones, but leave a word to say. Answers how many are."""
        hidden = min(tokens, max(0, self.total - 1))
        self.total -= hidden
        self.hidden += hidden
        return hidden


def end_at_stop(script: Script, stops: Sequence[str]) -> bool:
    """Let the script end before the first of `stops` in it; the tokens that complete the sequence are swallowed.

    Answers whether there was one. The piece in which it begins is cut.
    """
    if not any(stops):  # an answer of 20,000 tokens is not written out for nothing
        return False
    pieces: list[str] = []
    text, ends = "", []
    while len(pieces) < script.total and len(text) < CHARACTERS_LOOKED_AT:
        pieces.append(script.text(len(pieces), len(pieces) + 1))
        text += pieces[-1]
        ends.append(len(text))
    found = min(((text.find(stop), stop) for stop in stops if stop and stop in text), default=None)
    if found is None:
        return False
    at, stop = found
    begun = next(number for number, end in enumerate(ends) if end > at)  # the piece in which it begins
    complete = next(number for number, end in enumerate(ends) if end >= at + len(stop))
    kept = pieces[begun][: at - (ends[begun] - len(pieces[begun]))]
    said = pieces[:begun] + ([kept] if kept else [])
    script.pieces, script.start, script.total = said or [""], 0, len(said)
    script.swallowed = complete + 1 - len(said)
    return True
