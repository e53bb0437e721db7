"""Estimates that are known by their intervals alone: tests are what their intervals leave out.

The intervals of a percentile, of a share or of a ratio of two means are not symmetrical, and come from no standard
error. A difference is significant at α where the 1 − α interval leaves out zero, and within a margin at α where the
1 − 2 α interval lies within it: no test ever contradicts its interval.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from lmx_loadgen.analysis.comparison.verdict import MOST_MORE, room, shown, with_none

# How far a 1 − α interval reaches below and above the estimate, given α; infinite where the data do not bound it.
Reach = Callable[[float], tuple[float, float]]

_LEAST, _MOST = 1e-12, 0.999
_STEPS = 24


@dataclass(frozen=True, slots=True)
class IntervalEstimate:
    """A log-ratio, or a difference of shares where `in_points`, out of `n` rounds; `floor` is as in
    `verdict.Estimate`."""

    n: int
    mean: float
    reach: Reach
    in_points: bool = False
    floor: float = 0.0

    def _edges(self, alpha: float) -> tuple[float, float]:
        down, up = self.reach(alpha)
        return self.mean - max(down, self.floor), self.mean + max(up, self.floor)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The 1 − `alpha` interval of the ratio, or of the difference; an edge may be infinite, or a ratio of 0."""
        low, high = self._edges(alpha)
        return shown(low, self.in_points), shown(high, self.in_points)

    def interval_alone(self, alpha: float) -> tuple[float, float]:
        """The same: no figure's interval here depends on others."""
        return self.interval(alpha)

    def equivalence_interval(self, alpha: float) -> tuple[float, float]:
        """The 1 − `alpha` interval of two one-sided tests at `alpha`."""
        return with_none(self.interval(2 * alpha), self.in_points)

    @property
    def p(self) -> float:
        """Two-sided p of "there is no difference"."""

        def leaves_out_zero(alpha: float) -> bool:
            low, high = self._edges(alpha)
            return low > 0 or high < 0

        return _least(leaves_out_zero)

    def p_equivalence(self, margin: float) -> float:
        """The p of "they differ by the margin or more"."""
        most = room(margin, self.in_points)

        def is_within(alpha: float) -> bool:
            low, high = self._edges(alpha)
            return -most < low and high < most

        found = _least(is_within)
        return found / 2 if found < 1 else 1.0

    def with_floor(self, floor: float) -> "IntervalEstimate":
        return replace(self, floor=floor)

    def more_blocks(self, *, margin: float, alpha: float, alpha_equivalence: float) -> int | None:
        """About how many more rounds should make it conclusive: intervals shrink by the root of their number. None for
        over `MOST_MORE`."""
        down, up = self.reach(alpha)
        distance, reach = abs(self.mean), down if self.mean > 0 else up
        needed = [reach / distance if distance > self.floor else math.inf]
        down, up = self.reach(2 * alpha_equivalence)
        most = room(margin, self.in_points)
        if distance + self.floor < most:
            needed.append(max(down / (most + self.mean), up / (most - self.mean)))
        least = min(needed)
        more = math.floor(self.n * least**2) + 1 - self.n if math.isfinite(least) else MOST_MORE + 1
        return max(1, more) if more <= MOST_MORE else None


def _least(holds: Callable[[float], bool]) -> float:
    """The least α at which something holds that holds at every larger one; 1 where it holds at none."""
    if not holds(_MOST):
        return 1.0
    low, high = math.log(_LEAST), math.log(_MOST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(math.exp(middle)) else (middle, high)
    return math.exp(high)
