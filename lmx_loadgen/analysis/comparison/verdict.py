"""From the values of two sides' blocks to a verdict.

Everything is done on logarithms of ratios: a ratio of 2 and one of ½ are then equally far from 1, and an interval of
B/A is the mirror of that of A/B.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from lmx_loadgen.analysis.stats import t_quantile
from lmx_loadgen.store.comparison import Verdict

ALPHA = 0.05
MARGIN = 0.03
FEWEST = 3
MOST_MORE = 200
# Looks of a run that goes on until it is settled: after the planned blocks, then every two, up to so many.
LOOK_EVERY = 2
MOST_BLOCKS = 30
_RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean log-ratio with its standard error and degrees of freedom. `n` is the number of blocks behind it: pairs
    where they are paired, else those of the side that has fewer."""

    n: int
    mean: float
    error: float
    df: float

    @property
    def ratio(self) -> float:
        return math.exp(self.mean)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The 1 − `alpha` interval of the ratio, Student's t on the logarithms."""
        half = t_quantile(1 - alpha / 2, self.df) * self.error
        return math.exp(self.mean - half), math.exp(self.mean + half)

    @property
    def p(self) -> float:
        """Two-sided p of "the ratio is 1"."""
        from scipy.special import stdtr

        if self.error == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * stdtr(self.df, -abs(self.mean) / self.error))


def paired(logs_a: Sequence[float], logs_b: Sequence[float]) -> Estimate:
    """B against A where block k of both was measured in the same round: the mean of the pairs' differences."""
    differences = [b - a for a, b in zip(logs_a, logs_b, strict=True)]
    n = len(differences)
    return Estimate(n, fmean(differences), math.sqrt(_variance(differences) / n), n - 1)


def unpaired(logs_a: Sequence[float], logs_b: Sequence[float]) -> Estimate:
    """B against A where each was measured by itself (Welch's t, with his degrees of freedom)."""
    parts = [_variance(logs) / len(logs) for logs in (logs_a, logs_b)]
    error = math.sqrt(sum(parts))
    spread = sum(part**2 / (len(logs) - 1) for part, logs in zip(parts, (logs_a, logs_b), strict=True))
    df = sum(parts) ** 2 / spread if spread > 0 else len(logs_a) + len(logs_b) - 2
    return Estimate(min(len(logs_a), len(logs_b)), fmean(logs_b) - fmean(logs_a), error, df)


def holm(ps: Mapping[str, float], family: int | None = None) -> dict[str, float]:
    """p-values after Holm's step-down correction (Scand. J. Statist. 6, 1979) for the family they are of.

    `family` counts tests that are not made yet as well: they are taken to have p = 1, which can only be too careful.
    """
    size = max(family or 0, len(ps))
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        largest = max(largest, min(1.0, (size - place) * ps[name]))
        adjusted[name] = largest
    return adjusted


def alpha_at_look(blocks: int, first: int) -> float:
    """How much of `ALPHA` a look at so many blocks may spend, when looks come after `first` blocks and every two more.

    Lan and DeMets' spending function of Pocock's kind, α ln(1 + (e − 1) t) (Biometrika 70, 1983), t being the share of
    `MOST_BLOCKS`. A look spends what has become free since the one before; the sum over all looks is α at most, so by
    Bonferroni's inequality the chance of any false finding is too, however the looks depend on each other.
    """
    if first >= MOST_BLOCKS:
        return ALPHA
    before = _spent(blocks - LOOK_EVERY) if blocks > first else 0.0
    return _spent(blocks) - before


def _spent(blocks: int) -> float:
    return ALPHA * math.log(1 + (math.e - 1) * min(1.0, blocks / MOST_BLOCKS))


def judged(
    estimate: Estimate, interval: tuple[float, float], p_adjusted: float, *, margin: float, higher_is_better: bool
) -> Verdict:
    """The verdict on B: `equivalent` when the whole interval is within the margin, else better or worse where chance
    does not explain the difference, else undecided."""
    if 1 / (1 + margin) < interval[0] and interval[1] < 1 + margin:
        return "equivalent"
    if p_adjusted >= ALPHA:
        return "undecided"
    return "better" if (estimate.mean > 0) == higher_is_better else "worse"


def more_blocks(estimate: Estimate, *, margin: float, alpha: float, family: int) -> int | None:
    """How many more blocks a side should settle it, if they are like those there are; None for over `MOST_MORE`.

    Settled is a difference that is significant even as the least of its family, or an interval inside the margin.
    """
    deviation = estimate.error * math.sqrt(estimate.n)
    distance, room = abs(estimate.mean), math.log(1 + margin) - abs(estimate.mean)
    per_block = estimate.df / estimate.n
    for n in range(estimate.n + 1, estimate.n + MOST_MORE + 1):
        df, error = max(1.0, per_block * n), deviation / math.sqrt(n)
        found = t_quantile(1 - alpha / family / 2, df) * error < distance
        if found or t_quantile(1 - alpha / 2, df) * error < room:
            return n - estimate.n
    return None


def bootstrap(
    pooled: Callable[[Sequence[int], Sequence[int]], float | None], n_a: int, n_b: int, *, is_paired: bool, seed: int
) -> tuple[float, float] | None:
    """A second 95 % interval of the ratio, of another kind: blocks are drawn with replacement, their requests pooled.

    `pooled` gives the log-ratio of a draw (places of blocks of A and of B). None where draws often have none.
    """
    draw = random.Random(seed)
    found = []
    for _ in range(_RESAMPLES):
        from_a = draw.choices(range(n_a), k=n_a)
        from_b = from_a if is_paired else draw.choices(range(n_b), k=n_b)
        if (value := pooled(from_a, from_b)) is not None:
            found.append(value)
    if len(found) < _RESAMPLES * 0.95:
        return None
    found.sort()
    edge = round(len(found) * ALPHA / 2)
    return math.exp(found[edge]), math.exp(found[-1 - edge])


def _variance(values: Sequence[float]) -> float:
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
