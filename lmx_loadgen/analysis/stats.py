"""Descriptions of samples: percentiles that failures count in, means with intervals."""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from statistics import fmean, median
from typing import Literal, TypeVar

from lmx_loadgen.analysis.values import Values

T = TypeVar("T")
Better = Literal["lower", "higher"]
PERCENTILES = (50, 90, 95, 99)
_ENOUGH_BEYOND = 5


def known(values: Iterable[T | None]) -> list[T]:
    """The values that are defined."""
    return [value for value in values if value is not None]


def median_of(values: Iterable[float | None]) -> float | None:
    """The median of the values that are defined; None where none is."""
    defined = known(values)
    return median(defined) if defined else None


def mean_count(counts: Iterable[float | None]) -> int | None:
    """The mean of the counts that are known, rounded; None where none is."""
    defined = known(counts)
    return round(fmean(defined)) if defined else None


@dataclass(frozen=True)
class Description:
    """A sample in figures; a figure is None where it is not defined, and `reason` says why."""

    n: int
    mean: float | None = None
    ci95: tuple[float, float] | None = None
    percentiles: dict[int, float | None] = field(default_factory=dict)
    min: float | None = None
    max: float | None = None
    unsupported: tuple[str, ...] = ()
    reason: str | None = None


def percentile(values: Sequence[float], p: float, *, failed: int = 0, better: Better = "lower") -> float | None:
    """The value that p % of requests reach or do better than, by linear interpolation between samples.

    `values` are sorted, lowest first. `failed` requests have no value and count as worse than all; a percentile that
    would lie among them is None. For p = 50 on n samples this is the median; with nothing failed and lower better it is
    numpy's default `percentile`.
    """
    n = len(values) + failed
    if not values:
        return None
    position = (n - 1) * p / 100
    below = math.floor(position)
    weight = position - below
    ranked = values if better == "lower" else values[::-1]
    if below >= len(ranked) or (weight > 1e-12 and below + 1 >= len(ranked)):
        return None
    low = ranked[below]
    return low if weight <= 1e-12 else low + (ranked[below + 1] - low) * weight


def percentiles(values: Values, *, failed: int = 0, better: Better = "lower") -> dict[int, float | None]:
    """The percentiles that are shown; exact, or within the error of a histogram."""
    if values.is_exact:
        ordered = values.ordered()
        return {p: percentile(ordered, p, failed=failed, better=better) for p in PERCENTILES}
    n = len(values)
    places = {p: (n + failed - 1) * p / 100 for p in PERCENTILES}
    return {
        p: None if place > n - 1 else values.at(place if better == "lower" else n - 1 - place)
        for p, place in places.items()
    }


def is_supported(requests: int, p: int) -> bool:
    """Whether at least five of so many requests lie beyond the p-th percentile."""
    return requests >= fewest_for(p)


def fewest_for(p: int) -> int:
    """How many requests it takes for five to lie beyond the p-th percentile."""
    return math.ceil(100 * _ENOUGH_BEYOND / (100 - p))


def describe(values: Values, *, failed: int = 0, better: Better = "lower") -> Description:
    """All figures of one sample but the interval of its mean; `failed` as in `percentile`."""
    n = len(values)
    if not n:
        return Description(n=0, reason="every request failed" if failed else "no request has this value")
    figures = percentiles(values, failed=failed, better=better)
    among_failed = [f"p{p}" for p, value in figures.items() if value is None]
    total = n + failed
    return Description(
        n=n,
        mean=values.mean,
        percentiles=figures,
        min=values.min,
        max=values.max,
        unsupported=tuple(f"p{p}" for p in PERCENTILES if not is_supported(total, p)),
        reason=f"{', '.join(among_failed)} would fall among failed requests" if among_failed else None,
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % t-interval of the mean, None below two values.

    Of values that are all zero or more it begins at zero at the lowest: no mean of times or rates can lie below, so
    that nothing is lost of the 95 %.
    """
    n = len(values)
    if n < 2:
        return None
    mean = fmean(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = t_quantile(0.975, n - 1) * deviation / math.sqrt(n)
    return _not_below(values, mean - half), mean + half


@dataclass(frozen=True)
class Answers:
    """What answers have in a metric, in the order they were sent: the sum of each one's values, and how many these are;
    without `sizes` each has one."""

    sums: "array[float]"
    sizes: "array[int] | None" = None

    def __len__(self) -> int:
        return len(self.sums)

    def __getitem__(self, some: slice) -> "Answers":
        return Answers(self.sums[some], None if self.sizes is None else self.sizes[some])

    def add(self, total: float, size: int) -> None:
        """Take in one more."""
        assert self.sizes is not None
        self.sums.append(total)
        self.sizes.append(size)

    @property
    def total(self) -> float:
        return math.fsum(self.sums)

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.sums) if self.sizes is None else sum(self.sizes)


def interval_within_run(blocks: Sequence[Answers], slots: int, least: float) -> tuple[float, float] | None:
    """The 95 % interval of the mean over all answers' values, for this run: what another run would give is not in it.

    `blocks` hold the answers of each block, and `least` is the least of all values. Requests that queue behind each
    other are no independent samples: each waits for the ones before it. So the clusters are the blocks, where there are
    three of them; else five to ten batches over time, of three answers a slot where there are as many, with their first
    autocorrelation taken into account (batch means: Fishman, Principles of Discrete Event Simulation, 1978, section
    5.3). None below about ten answers a slot, the first of each slot being left out.
    """
    n = sum(map(len, blocks))
    if n < _LEAST_ANSWERS * slots:
        return None
    if len(blocks) >= _ENOUGH_BLOCKS:
        return _interval_of_groups([(block.total, block.size) for block in blocks], least, 1.0)
    count = min(_MOST_BATCHES, max(_LEAST_BATCHES, n // (3 * slots)))
    answers = _joined(blocks)
    batches = [answers[n * place // count : n * (place + 1) // count] for place in range(count)]
    groups = [(batch.total, batch.size) for batch in batches]
    return _interval_of_groups(groups, least, math.sqrt(_inflation([total / size for total, size in groups])))


_LEAST_ANSWERS = 9
_ENOUGH_BLOCKS = 3
_LEAST_BATCHES, _MOST_BATCHES = 5, 10


def _joined(blocks: Sequence[Answers]) -> Answers:
    if len(blocks) == 1:
        return blocks[0]
    sums, sizes = array("d"), array("I")
    for block in blocks:
        sums.extend(block.sums)
        sizes.extend(block.sizes if block.sizes is not None else [1] * len(block))
    return Answers(sums, sizes)


def _inflation(means: Sequence[float]) -> float:
    """By how much the variance of a mean of batches is larger than that of independent ones: 1 + 2r(1 − 1/n). The first
    autocorrelation r of a short series comes out too low by about 1/n."""
    n, middle = len(means), fmean(means)
    away = [mean - middle for mean in means]
    square = math.fsum(one * one for one in away)
    if not square:
        return 1.0
    correlation = math.fsum(one * other for one, other in pairwise(away)) / square + 1 / n
    return 1 + 2 * max(0.0, correlation) * (1 - 1 / n)


def clustered_interval(groups: Sequence[Sequence[float]], widened_by: float = 1.0) -> tuple[float, float] | None:
    """The 95 % interval of the mean over all values of all groups, when only the groups are independent (or nearly, and
    the interval is `widened_by` a factor).

    Values of one group resemble each other, and an interval that took each for news would be too narrow. The mean is a
    ratio of sums over groups; its variance is n/(n−1) · Σ(sum − mean·size)² ÷ (Σ size)² (Cochran, Sampling Techniques,
    1977, section 6.3).
    It does not begin below zero where `mean_interval` would not. None below two groups that have values.
    """
    groups = [group for group in groups if group]
    least = min((min(group) for group in groups), default=0.0)
    return _interval_of_groups([(math.fsum(group), len(group)) for group in groups], least, widened_by)


def _interval_of_groups(
    groups: Sequence[tuple[float, int]], least: float, widened_by: float
) -> tuple[float, float] | None:
    """The same by the sum and the size of each group."""
    n = len(groups)
    if n < 2:
        return None
    size = sum(size for _, size in groups)
    mean = math.fsum(total for total, _ in groups) / size
    scatter = math.fsum((total - mean * of) ** 2 for total, of in groups)
    half = widened_by * t_quantile(0.975, n - 1) * math.sqrt(scatter * n / (n - 1)) / size
    return _not_below([least], mean - half), mean + half


def _not_below(values: Iterable[float], low: float) -> float:
    return low if low >= 0 or min(values) < 0 else 0.0


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: int) -> float:
    """Quantile of Student's t distribution."""
    from scipy.special import stdtrit  # a third of scipy.stats' import time

    return float(stdtrit(df, p))
