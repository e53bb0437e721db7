"""The exact interval of a middle, whatever the values' distribution is, as long as it is symmetrical."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations_with_replacement


def signed_rank_interval(values: Sequence[float], alpha: float) -> tuple[float, float] | None:
    """The 1 − `alpha` interval that goes with Wilcoxon's signed-rank test: between two of the ordered Walsh averages
    (Hollander and Wolfe, Nonparametric Statistical Methods, 3.3). Its coverage is exact, 1 − `alpha` or the next more
    that so few values can have, and one value far off does not widen it. None where there are too few values for
    `alpha`: six for 5 %."""
    outer = _outer(len(values), alpha)
    if not outer:
        return None
    averages = sorted((one + other) / 2 for one, other in combinations_with_replacement(values, 2))
    return averages[outer - 1], averages[-outer]


@lru_cache(maxsize=256)
def _outer(n: int, alpha: float) -> int:
    """How many averages may lie outside on either side."""
    at_most = alpha / 2 * 2**n
    outer = sums = 0
    for count in _rank_sums(n):
        sums += count
        if sums > at_most:
            break
        outer += 1
    return outer


@lru_cache(maxsize=64)
def _rank_sums(n: int) -> tuple[int, ...]:
    """How many of the sets of ranks 1 to n have each sum, from 0 on."""
    counts = [1]
    for rank in range(1, n + 1):
        counts = [
            (counts[total] if total < len(counts) else 0) + (counts[total - rank] if total >= rank else 0)
            for total in range(len(counts) + rank)
        ]
    return tuple(counts)
