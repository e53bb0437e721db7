"""Did the machine change while it was measured? Whether block values rise or fall all along, and by how much."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import median

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Trend:
    """A trend of logarithms over time: Mann–Kendall's two-sided `p`, Theil and Sen's `slope` a second, and how long
    the blocks spanned. `change` is the logarithm of how much a value changed over the span."""

    p: float
    slope: float
    span_s: float

    @property
    def is_real(self) -> bool:
        return self.p < SIGNIFICANT

    @property
    def change(self) -> float:
        return self.slope * self.span_s


def trend(times: Sequence[float], logs: Sequence[float]) -> Trend | None:
    """The trend of one row of blocks, None below four of them (which no p under 5 % can come of)."""
    return shared_trend([(times, logs)])


def shared_trend(rows: Sequence[tuple[Sequence[float], Sequence[float]]]) -> Trend | None:
    """One trend of several rows of (times, logarithms), each with a level of its own: the scores are added up, as are
    the chances of each under no trend (the stratified Mann–Kendall test). None when no row has four blocks."""
    rows = [row for row in rows if len(row[0]) >= 4]
    if not rows:
        return None
    score = sum(kendall_score(logs, times) for times, logs in rows)
    slopes = [
        (b - a) / (u - t)
        for times, logs in rows
        for (t, a), (u, b) in combinations(zip(times, logs, strict=True), 2)
        if u != t
    ]
    spans = sum(max(times) - min(times) for times, _ in rows)
    slope = median(slopes) if slopes else math.nan
    return Trend(_p_of(score, tuple(len(logs) for _, logs in rows)), slope, spans)


def kendall_score(logs: Sequence[float], times: Sequence[float]) -> int:
    """Pairs that rise with time minus pairs that fall."""
    ordered = [log for _, log in sorted(zip(times, logs, strict=True))]
    return sum((after > before) - (after < before) for before, after in combinations(ordered, 2))


def _p_of(score: int, sizes: tuple[int, ...]) -> float:
    """Two-sided chance of a score at least so far from zero when all orders are equally likely; exact."""
    chances = [1.0]
    for size in sizes:
        chances = _convolved(chances, _inversions(size))
    most = sum(size * (size - 1) // 2 for size in sizes)
    # a score of s means (most − s) / 2 inversions
    p = sum(chance for turned, chance in enumerate(chances) if abs(most - 2 * turned) >= abs(score))
    return min(1.0, p)


@lru_cache(maxsize=64)
def _inversions(size: int) -> list[float]:
    """The chance of each number of inversions among all orders of `size` values (the Mahonian numbers)."""
    chances = [1.0]
    for values in range(2, size + 1):
        chances = _convolved(chances, [1 / values] * values)
    return chances


def _convolved(first: Sequence[float], second: Sequence[float]) -> list[float]:
    found = [0.0] * (len(first) + len(second) - 1)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            found[i + j] += a * b
    return found
