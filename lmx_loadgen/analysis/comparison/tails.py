"""By how much two sides differ in the tail: in a percentile over all requests of a level.

A block has too few requests for a percentile of its own, and those of all blocks together are no independent samples:
a slow block may be all of the tail. So a ratio is tested by what every round says of it. If B's percentile is r times
A's, there is a time that as many of A's requests exceed as should, and as many of B's exceed r times that. How far the
two counts are from that, over their scatter from round to round, is Hotelling's statistic; the time is the one that
fits best. The interval are the ratios that no t test at this level rejects. Its edges lie at order statistics, and
nothing is taken for granted of the tails' shapes. What the machine did to both sides of a round is taken off first.
"""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from lmx_loadgen.analysis.comparison.blocks import Block, Compared
from lmx_loadgen.analysis.comparison.by_intervals import IntervalEstimate
from lmx_loadgen.analysis.comparison.profile_curve import ProfileCurve
from lmx_loadgen.analysis.comparison.shift import shifts_from_all
from lmx_loadgen.analysis.shares import design_effect, order_statistics, widened
from lmx_loadgen.analysis.stats import fewest_for, percentile, t_quantile
from lmx_loadgen.analysis.values import chained, in_order

# Few rounds may be alike by chance: the scatter of a count is taken to be half that of independent requests at least.
_LEAST_EFFECT = 0.25
# More of them find one by chance that fits, and intervals too wide.
_MOST_TIMES = 7
_MOST_CORRELATION = 0.9
# Where a side's requests may resemble each other, as shares of what lies beyond the percentile: a slow block may be
# more than all of it.
_SHARES_BEYOND = (0.5, 1.0, 2.0, 4.0)

Sides = tuple[Sequence[Block], Sequence[Block]]


@dataclass(frozen=True)
class Tail:
    """One side's requests: logarithms by round, each an array in order, those that failed being infinite."""

    rounds: Sequence[Any]
    percent: int

    @property
    def ordered(self) -> Sequence[float]:
        """The logarithms of all rounds, the lowest first: not kept, since there may be many."""
        return in_order(chained(self.rounds))

    @cached_property
    def n(self) -> int:
        return sum(map(len, self.rounds))

    @cached_property
    def log(self) -> float | None:
        """The percentile's logarithm; None where it would fall among failed requests."""
        found = percentile(self.ordered, self.percent)
        return found if found is not None and math.isfinite(found) else None

    @property
    def beyond(self) -> float:
        """The share of requests that lie beyond the percentile."""
        return 1 - self.percent / 100

    @cached_property
    def span(self) -> float:
        """From the least to the greatest that did not fail."""
        ordered = self.ordered
        return max(filter(math.isfinite, ordered)) - ordered[0]

    def excess(self, logs: Any) -> Any:
        """By round and for each of these logarithms, by what share of all requests more lie beyond it than should; each
        as if all rounds were like it."""
        import numpy as np

        sizes = np.array([len(one) for one in self.rounds])[:, None]
        counts = sizes - np.array([np.searchsorted(one, logs, side="right") for one in self.rounds])
        return (counts - self.beyond * sizes) * len(self.rounds) / self.n

    def least_variance(self) -> float:
        return _LEAST_EFFECT * self.beyond * (1 - self.beyond) / self.n


def fewest(sides: Sides, compared: Compared) -> int:
    """The requests of the side that has fewer."""
    return min(sum(len(block.values(compared)) + block.failed for block in side) for side in sides)


def fewest_wanted(compared: Compared) -> int:
    """How many requests it takes for five to lie beyond the percentile."""
    assert compared.percent is not None
    return fewest_for(compared.percent)


def tail_of(blocks: Sequence[Block], compared: Compared, shifts: Sequence[float] | None = None) -> Tail:
    """A side's tail, with these logarithms taken off its rounds."""
    import numpy as np

    assert compared.percent is not None
    rounds = []
    for block, shift in zip(blocks, shifts or [0.0] * len(blocks), strict=True):
        logs = array("d", (log - shift for of_class in block.logs(compared).values() for log in of_class))
        logs.extend([math.inf] * block.failed)
        rounds.append(np.sort(np.array(logs)))
    return Tail(rounds, compared.percent)


def own_edges(blocks: Sequence[Block], compared: Compared, alpha: float) -> tuple[float, float] | None:
    """The interval of one side's percentile by itself, of order statistics; None where so few requests do not bound it.

    Fewer requests are counted than there are where those of a block resemble each other.
    """
    tail = tail_of(blocks, compared)
    ordered, n = tail.ordered, tail.n
    if tail.log is None or len(blocks) < 2:
        return None
    effects = [1.0]
    for part in _SHARES_BEYOND:
        share = part * tail.beyond
        log = ordered[min(n - 1, int((1 - share) * n))]
        beyond = [len(of_round) - int(of_round.searchsorted(log, side="right")) for of_round in tail.rounds]
        of_rounds = [more - share * len(of_round) for more, of_round in zip(beyond, tail.rounds, strict=True)]
        effects.append(design_effect([one / n for one in of_rounds], share * (1 - share) / n))
    fewer = max(1.0, widened(max(effects), len(blocks), alpha))
    low, high = order_statistics(ordered, tail.percent / 100, alpha, fewer)
    return (math.exp(low), math.exp(high)) if math.isfinite(low) and math.isfinite(high) else None


def tail_estimate(sides: Sides, compared: Compared) -> IntervalEstimate | None:
    """B against A, whose blocks are paired. None where a percentile would fall among failed requests."""
    common = [fmean(pair) for pair in zip(*(shifts_from_all(side, compared) for side in sides), strict=True)]
    a, b = (tail_of(side, compared, common) for side in sides)
    if a.log is None or b.log is None:
        return None
    mean, rounds = b.log - a.log, len(common)
    # Beyond that all of the tail is one side's.
    span = a.span + b.span
    curve = ProfileCurve(lambda away: _statistic(a, b, mean + away), span + abs(mean))

    def reach(alpha: float) -> tuple[float, float]:
        most = t_quantile(1 - alpha / 2, rounds - 1)
        return curve.down(most), curve.up(most)

    return IntervalEstimate(rounds, mean, reach)


def _statistic(a: Tail, b: Tail, log_ratio: float) -> float:
    """How far both sides' counts are from what the ratio says, in standard errors, at the time that fits best."""
    import numpy as np

    times = _times(a, b, log_ratio)
    of_a, of_b = a.excess(times), b.excess(times + log_ratio)
    mean_a, mean_b, rounds = of_a.mean(axis=0), of_b.mean(axis=0), len(of_a)
    off_a, off_b = of_a - mean_a, of_b - mean_b
    scale = rounds * (rounds - 1)
    of_mean_a, of_mean_b = (
        np.maximum((off**2).sum(axis=0) / scale, side.least_variance()) for off, side in ((off_a, a), (off_b, b))
    )
    limit = _MOST_CORRELATION * np.sqrt(of_mean_a * of_mean_b)
    together = np.clip((off_a * off_b).sum(axis=0) / scale, -limit, limit)
    above = mean_a**2 * of_mean_b - 2 * mean_a * mean_b * together + mean_b**2 * of_mean_a
    return math.sqrt(max(0.0, float((above / (of_mean_a * of_mean_b - together**2)).min())))


def _times(a: Tail, b: Tail, log_ratio: float) -> Any:
    """The times worth looking at, on A's scale: all that lie between the two percentiles, thinned out."""
    import numpy as np

    assert a.log is not None
    assert b.log is not None
    low, high = sorted((a.log, b.log - log_ratio))
    pooled = np.sort(np.concatenate([*a.rounds, *(one - log_ratio for one in b.rounds)]))
    between = pooled[(pooled > low) & (pooled < high)]
    if len(between) > _MOST_TIMES:
        between = between[np.linspace(0, len(between) - 1, _MOST_TIMES).astype(int)]
    return np.concatenate([[low], between, [high]])
