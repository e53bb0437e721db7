"""The search for the highest load that a server serves within its limits: which load is measured next, or that it ends.

Doubling until a load fails, then bisection, then more blocks at the two loads on either side of the edge until the
interval of each share lies on one side. What a load is taken for follows from all that was measured of it, so a load
that seemed to pass by chance moves the edge back once more is known. Nothing is remembered beside the counts, so that a
search can be resumed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from lmx_loadgen.analysis.slo import own_interval
from lmx_loadgen.profile.load_point import Closed, LoadPoint, Open

By = Literal["concurrency", "rate", "users"]
CONFIDENCE = 0.95
MOST_BLOCKS = 12
_MOST_CONCURRENT = 4096
# A rate is a step of 19 % over the one before it: what the blocks of a quarter of an hour can tell apart.
_STEPS_PER_DOUBLING = 4
_LEAST_RATE, _MOST_RATE = -8 * _STEPS_PER_DOUBLING, 10 * _STEPS_PER_DOUBLING


class Ladder(Protocol):
    """The loads of a search, from light to heavy, each by a whole number."""

    @property
    def first(self) -> int:
        """The level that a search begins with."""

    def point(self, level: int) -> LoadPoint:
        """The load point of a level."""

    def value(self, level: int) -> float:
        """How much load that is, in the ladder's unit."""

    def up(self, level: int) -> int | None:
        """About twice as much load; None at the heaviest."""

    def down(self, level: int) -> int | None:
        """About half as much; None at the lightest."""

    def between(self, low: int, high: int) -> int | None:
        """A level in the middle; None where the two are one step apart."""


@dataclass(frozen=True, slots=True)
class ByConcurrency:
    """1, 2, 3, … concurrent requests; above 20 a step is a twentieth."""

    first: int = 1

    def point(self, level: int) -> LoadPoint:
        return Closed(concurrency=level)

    def value(self, level: int) -> float:
        return float(level)

    def up(self, level: int) -> int | None:
        return None if level >= _MOST_CONCURRENT else min(2 * level, _MOST_CONCURRENT)

    def down(self, level: int) -> int | None:
        return None if level <= 1 else level // 2

    def between(self, low: int, high: int) -> int | None:
        return None if high - low <= max(1, low // 20) else (low + high) // 2


@dataclass(frozen=True, slots=True)
class ByRate:
    """Requests a second of an open loop, in steps of 19 % around one."""

    max_in_flight: int
    first: int = 0

    def point(self, level: int) -> LoadPoint:
        return Open(rate=self.value(level), max_in_flight=self.max_in_flight)

    @staticmethod
    def level_of(rate: float) -> int:
        """The level of a rate that is one of the ladder's."""
        return round(math.log2(rate) * _STEPS_PER_DOUBLING)

    def value(self, level: int) -> float:
        return float(f"{2 ** (level / _STEPS_PER_DOUBLING):.3g}")

    def up(self, level: int) -> int | None:
        return None if level >= _MOST_RATE else level + _STEPS_PER_DOUBLING

    def down(self, level: int) -> int | None:
        return None if level <= _LEAST_RATE else level - _STEPS_PER_DOUBLING

    def between(self, low: int, high: int) -> int | None:
        return None if high - low <= 1 else (low + high) // 2


def ladder_of(by: By, max_in_flight: int) -> Ladder:
    """The loads that a search goes through. Users who ask again without time to think are concurrent requests."""
    return ByRate(max_in_flight) if by == "rate" else ByConcurrency()


@dataclass(frozen=True, slots=True)
class Tried:
    """What was measured at one load: of each block, how many requests met every limit and how many are counted."""

    counts: Sequence[tuple[int, int]] = field(default_factory=list)
    overloaded: bool = False

    @property
    def requests(self) -> int:
        return sum(of for _, of in self.counts)

    @property
    def share(self) -> float:
        """The share within the limits; 0 where nothing could be counted."""
        return sum(met for met, _ in self.counts) / self.requests if self.requests else 0.0

    def interval(self) -> tuple[float, float]:
        """The interval of the share that holds however often it was looked at: each look has its part of the error."""
        if not self.requests:
            return 0.0, 1.0
        return own_interval([one for one in self.counts if one[1]], (1 - CONFIDENCE) / MOST_BLOCKS)

    def passes(self, share: float) -> bool:
        """What it is taken for as long as nothing more is known."""
        return not self.overloaded and self.share >= share

    def is_sure(self, share: float) -> bool:
        """Whether the interval lies on one side of the share. That a server falls behind is sure."""
        low, high = self.interval()
        return self.overloaded or low >= share or high < share


@dataclass(frozen=True, slots=True)
class Edge:
    """Where a search stands: the highest load that passes, the lowest above it that fails, the level to measure next
    (None where the search is over), and the heavier loads that pass all the same."""

    passes: int | None
    fails: int | None
    following: int | None
    above: Sequence[int] = ()

    def surely(self, tried: Mapping[int, Tried], share: float) -> tuple[int | None, int | None]:
        """The highest load below the edge that surely passes, and the lowest above it that surely fails."""
        sure = {level: one.passes(share) for level, one in tried.items() if one.is_sure(share)}
        low = [level for level, passes in sure.items() if passes and (self.fails is None or level < self.fails)]
        high = [level for level, passes in sure.items() if not passes]
        return max(low, default=None), min(high, default=None)


def edge(tried: Mapping[int, Tried], ladder: Ladder, share: float) -> Edge:
    """Where a search stands after what was measured, by level."""
    failing = sorted(level for level, one in tried.items() if not one.passes(share))
    passing = sorted(level for level, one in tried.items() if one.passes(share))
    high = failing[0] if failing else None
    low = max((level for level in passing if high is None or level < high), default=None)
    above = [level for level in passing if high is not None and level > high]
    return Edge(low, high, _following(tried, ladder, share, low, high), above)


def _following(
    tried: Mapping[int, Tried], ladder: Ladder, share: float, low: int | None, high: int | None
) -> int | None:
    if low is None and high is None:
        return ladder.first
    if high is None:
        assert low is not None
        return ladder.up(low) or _unsure(tried, share, low)
    if low is None:
        return ladder.down(high) or _unsure(tried, share, high)
    return ladder.between(low, high) or _unsure(tried, share, low, high)


def _unsure(tried: Mapping[int, Tried], share: float, *levels: int) -> int | None:
    """The first of these levels at which another block may tell."""
    open_levels = (level for level in levels if not tried[level].is_sure(share))
    return next((level for level in open_levels if len(tried[level].counts) < MOST_BLOCKS), None)
