"""Values of which there may be more than memory holds: all of them, or a histogram of them.

Up to a million values are kept, and every percentile is exact. Beyond that they are counted in buckets, each a
thousandth wider than the one before it (an HDR histogram's idea, hdrhistogram.org), so that a percentile is within
0.05 % of the exact one. The mean, the least and the greatest value are exact either way.
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

MOST_EXACT = 1_000_000
_RATIO = 1.001
HISTOGRAM_ERROR = (_RATIO - 1) / 2
_LEAST = 1e-9  # what is nearer to zero is counted as this


class Values:
    """Numbers of zero or more, as they come."""

    def __init__(self, values: Sequence[float] = (), most_exact: int = MOST_EXACT) -> None:
        self._kept = array("d", values)
        self._most_exact = most_exact
        self._counts: Counter[int] = Counter()
        self._sums = array("d")
        self._counted = 0
        self.min = min(values, default=math.inf)
        self.max = max(values, default=-math.inf)

    def __len__(self) -> int:
        return self._counted + len(self._kept)

    @property
    def is_exact(self) -> bool:
        """Whether every one of them is kept."""
        return not self._counted

    def extend(self, values: Sequence[float]) -> None:
        """Take in some more."""
        if not values:
            return
        self.min, self.max = min(self.min, min(values)), max(self.max, max(values))
        self._kept.extend(values)
        if len(self._kept) > self._most_exact or (self._counted and len(self._kept) >= _AT_ONCE):
            self._count()

    @property
    def mean(self) -> float:
        return math.fsum([*self._sums, math.fsum(self._kept)]) / len(self)

    @property
    def median(self) -> float | None:
        """None where there is none."""
        if not len(self):
            return None
        return median(self._kept) if self.is_exact else self.at((len(self) - 1) / 2)

    @property
    def kept(self) -> Sequence[float]:
        """All of them, where they are exact."""
        assert self.is_exact
        return self._kept

    def ordered(self) -> Sequence[float]:
        """All of them, the lowest first, where they are exact."""
        return in_order(self.kept)

    def at(self, place: float) -> float:
        """The value at a place of the order, from 0 to n − 1, of a histogram."""
        if self._kept:
            self._count()
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen > place:
                return min(self.max, max(self.min, _LEAST * math.exp((bucket + 0.5) * _STEP)))
        return self.max

    def _count(self) -> None:
        import numpy as np

        for start in range(0, len(self._kept), _AT_ONCE):
            some = np.array(self._kept[start : start + _AT_ONCE])
            buckets = np.floor(np.log(np.maximum(some, _LEAST) / _LEAST) / _STEP).astype(np.int64)
            found, times = np.unique(buckets, return_counts=True)
            self._counts.update(dict(zip(found.tolist(), times.tolist(), strict=True)))
        self._sums.append(math.fsum(self._kept))
        self._counted += len(self._kept)
        self._kept = array("d")


_STEP = math.log(_RATIO)
_AT_ONCE = 100_000
_FEW = 1_000


def chained(parts: Iterable[Iterable[float]]) -> "array[float]":
    """All values of the parts, one part after the other."""
    whole = array("d")
    for part in parts:
        whole.extend(part)
    return whole


def in_order(values: Sequence[float]) -> Sequence[float]:
    """The values, the lowest first. Many are sorted without an object for each."""
    if len(values) <= _FEW:
        return sorted(values)
    import numpy as np

    found = array("d")
    found.frombytes(np.sort(np.asarray(values, float)).tobytes())
    return found
