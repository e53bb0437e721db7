"""By how much two sides differ in what keeps the SLO: the share of requests, and their rate (goodput).

A share's difference is in percentage points, its interval put together from the exact ones of both sides (MOVER: Zou
and Donner, Stat. Med. 27, 2008; of independent shares it is Newcombe's, Stat. Med. 17, 1998), with the design effect of
the difference from round to round. The ratio of two rates is Fieller's (J. R. Stat. Soc. B 16, 1954), over paired
rounds: a round in which nothing kept the SLO counts like any other.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from lmx_loadgen.analysis.comparison.blocks import Block, Compared
from lmx_loadgen.analysis.comparison.by_intervals import IntervalEstimate
from lmx_loadgen.analysis.shares import design_effect, exact_share, widened
from lmx_loadgen.analysis.stats import t_quantile

Blocks = tuple[Sequence[Block], Sequence[Block]]


def slo_counts(blocks: Sequence[Block]) -> list[tuple[int, int]]:
    """How many of each block's requests met the SLO, and of how many."""
    return [block.slo for block in blocks if block.slo is not None]


def share_of(blocks: Sequence[Block]) -> float:
    """The share over all blocks."""
    counts = slo_counts(blocks)
    return sum(met for met, _ in counts) / sum(of for _, of in counts)


def share_differences(sides: Blocks) -> list[float]:
    """By round, how much larger B's share is."""
    shares = [[met / of for met, of in slo_counts(side)] for side in sides]
    return [late - early for early, late in zip(*shares, strict=True)]


def share_estimate(sides: Blocks) -> IntervalEstimate:
    """The difference of shares, B less A, whose blocks are paired."""
    a, b = (share_of(side) for side in sides)
    sizes = [sum(of for _, of in slo_counts(side)) for side in sides]
    off = [
        [(met - share * of) / size for met, of in slo_counts(side)]
        for side, share, size in zip(sides, (a, b), sizes, strict=True)
    ]
    differences = [late - early for early, late in zip(*off, strict=True)]
    effect = design_effect(differences, a * (1 - a) / sizes[0] + b * (1 - b) / sizes[1])

    def reach(alpha: float) -> tuple[float, float]:
        fewer = widened(effect, len(differences), alpha)
        (low_a, high_a), (low_b, high_b) = (
            exact_share(share * size, size, alpha, fewer) for share, size in zip((a, b), sizes, strict=True)
        )
        return math.hypot(b - low_b, high_a - a), math.hypot(high_b - b, a - low_a)

    return IntervalEstimate(len(differences), b - a, reach, in_points=True)


def rate_of(blocks: Sequence[Block], compared: Compared) -> float:
    """The mean rate of the blocks."""
    return fmean(block.rates[compared.metric] for block in blocks)


def rate_estimate(sides: Blocks, compared: Compared) -> IntervalEstimate | None:
    """The logarithm of B's rate over A's, whose blocks are paired. None where a side has none at all."""
    of_a, of_b = ([block.rates[compared.metric] for block in side] for side in sides)
    a, b, n = fmean(of_a), fmean(of_b), len(of_a)
    if a <= 0 or b <= 0:
        return None
    pairs = [(one - a, other - b) for one, other in zip(of_a, of_b, strict=True)]
    squares_a, squares_b, products = (
        math.fsum(values) / (n - 1) / n
        for values in zip(*((x * x, y * y, x * y) for x, y in pairs), strict=True)
    )  # fmt: skip

    def reach(alpha: float) -> tuple[float, float]:
        square = t_quantile(1 - alpha / 2, n - 1) ** 2
        # The ratios r at which the mean of b − r a is no further from zero than t errors are the roots of a quadratic.
        first, middle = a * a - square * squares_a, a * b - square * products
        inside = middle * middle - first * (b * b - square * squares_b)
        if first <= 0 or inside < 0:
            return math.inf, math.inf
        low, high = ((middle + sign * math.sqrt(inside)) / first for sign in (-1, 1))
        mean = math.log(b / a)
        return mean - math.log(low) if low > 0 else math.inf, max(0.0, math.log(high) - mean)

    return IntervalEstimate(n, math.log(b / a), reach)
