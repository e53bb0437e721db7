"""A test statistic as a curve over what it tests: zero at the estimate, and growing on either side."""

import math
from collections.abc import Callable

# The first look away from the estimate, how looks go further apart, and how high the curve is followed.
_FIRST, _GROWTH, _HIGHEST = 2e-4, 1.2, 20.0


class ProfileCurve:
    """How far from the estimate a statistic stays below a bound, on either side.

    It no longer changes once it is `farthest` away. The curve is followed outwards once, and is never taken to fall
    again: what was rejected nearer is rejected farther away. So intervals at all levels lie within each other.
    """

    def __init__(self, statistic: Callable[[float], float], farthest: float) -> None:
        self._statistic = statistic
        self._farthest = farthest
        self._sides: dict[int, list[tuple[float, float]]] = {}

    def down(self, most: float) -> float:
        """How far below the estimate the statistic is `most` at most; infinite where it never gets over that."""
        return self._reach(-1, most)

    def up(self, most: float) -> float:
        """The same above it."""
        return self._reach(1, most)

    def _reach(self, side: int, most: float) -> float:
        if side not in self._sides:
            self._sides[side] = self._followed(side)
        before = (0.0, 0.0)
        for away, height in self._sides[side]:
            if height > most:
                share = (most - before[1]) / (height - before[1])
                return before[0] + share * (away - before[0])
            before = (away, height)
        return math.inf

    def _followed(self, side: int) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        away, highest = _FIRST, 0.0
        while (not found or found[-1][0] < self._farthest) and highest < _HIGHEST:
            highest = max(highest, self._statistic(side * away))
            found.append((away, highest))
            away *= _GROWTH
        return found
