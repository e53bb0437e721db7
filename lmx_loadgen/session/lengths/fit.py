"""Finds the text that has so many tokens, by asking for the count of a few."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# A gap of no more tokens is closed by short words at the end, which most vocabularies have as one token.
_NEAR = 12


@dataclass(frozen=True, slots=True)
class Measured:
    """A text of so many words and so long a tail, and how many tokens the whole prompt has with it."""

    words: int
    tail: int
    tokens: int


# Given words and tail: the tokens of the prompt, None where nobody tells.
CountTokensOf = Callable[[int, int], int | None]


def fit(count: CountTokensOf, wanted: int, known: Sequence[Measured], tries: int) -> Measured | None:
    """The text whose count is `wanted`, or comes nearest to it after so many tries. `known` are counts from before, at
    least one; None where a count fails."""
    seen = {(one.words, one.tail): one for one in known}
    last = min(known, key=lambda one: abs(wanted - one.tokens))
    for _ in range(tries):
        if last.tokens == wanted:
            break
        place = _next(list(seen.values()), last, wanted)
        if place in seen:  # no other text comes nearer
            break
        tokens = count(*place)
        if tokens is None:
            return None
        last = Measured(*place, tokens)
        seen[place] = last
    return min(seen.values(), key=lambda one: (abs(wanted - one.tokens), one.tail))


def _next(seen: Sequence[Measured], last: Measured, wanted: int) -> tuple[int, int]:
    gap = wanted - last.tokens
    if 0 < gap <= _NEAR:
        return last.words, last.tail + max(1, round(gap / max(tail_slope(seen, last), 0.1)))
    if gap < 0 and last.tail and -gap < last.tail:
        return last.words, last.tail - max(1, round(-gap / max(tail_slope(seen, last), 1.0)))
    step = gap / word_slope(seen)
    return max(0, last.words + (math.floor(step) if gap < 0 else max(1, math.floor(step)))), 0


def word_slope(seen: Sequence[Measured]) -> float:
    """Tokens a word, by the counts of the shortest and the longest text; 1 where there is only one."""
    plain = sorted((one for one in seen if not one.tail), key=lambda one: one.words)
    if len(plain) < 2 or plain[0].tokens >= plain[-1].tokens:
        return 1.0
    return (plain[-1].tokens - plain[0].tokens) / (plain[-1].words - plain[0].words)


def tail_slope(seen: Sequence[Measured], last: Measured) -> float:
    """Tokens a short word at the end."""
    same = sorted((one for one in seen if one.words == last.words), key=lambda one: one.tail)
    if len(same) < 2:
        return 1.0
    return (same[-1].tokens - same[0].tokens) / (same[-1].tail - same[0].tail)


def expected(seen: Sequence[Measured], words: int) -> int | None:
    """How many tokens a text of so many words should have, by two shorter ones."""
    plain = sorted((one for one in seen if not one.tail and one.words < words), key=lambda one: one.words)
    if len(plain) < 2:
        return None
    return round(plain[0].tokens + word_slope(plain) * (words - plain[0].words))
