"""Descriptions of samples: percentiles that failures count in, means with intervals."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from statistics import fmean, median
from typing import Literal, TypeVar

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


def is_supported(requests: int, p: int) -> bool:
    """Whether at least five of so many requests lie beyond the p-th percentile."""
    return requests >= fewest_for(p)


def fewest_for(p: int) -> int:
    """How many requests it takes for five to lie beyond the p-th percentile."""
    return math.ceil(100 * _ENOUGH_BEYOND / (100 - p))


def describe(values: Sequence[float], *, failed: int = 0, better: Better = "lower") -> Description:
    """All figures of one sample; `failed` as in `percentile`. The mean's interval is Student's t at 95 %."""
    if not values:
        return Description(n=0, reason="every request failed" if failed else "no request has this value")
    ordered = sorted(values)
    figures = {p: percentile(ordered, p, failed=failed, better=better) for p in PERCENTILES}
    among_failed = [f"p{p}" for p, value in figures.items() if value is None]
    total = len(ordered) + failed
    return Description(
        n=len(ordered),
        mean=fmean(ordered),
        ci95=mean_interval(ordered),
        percentiles=figures,
        min=ordered[0],
        max=ordered[-1],
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


def interval_within_run(blocks: Sequence[Sequence[Sequence[float]]], slots: int) -> tuple[float, float] | None:
    """The 95 % interval of the mean over all answers' values, for this run: what another run would give is not in it.

    `blocks` hold the values of each answer, answers in the order they were sent. Requests that queue behind each other
    are no independent samples: each waits for the ones before it. So the clusters are the blocks, where there are three
    of them; else five to ten batches over time, of three answers a slot where there are as many, with their first
    autocorrelation taken into account (batch means: Fishman, Principles of Discrete Event Simulation, 1978, section
    5.3). None below about ten answers a slot, the first of each slot being left out.
    """
    blocks = [[answer for answer in block if answer] for block in blocks]
    blocks = [block for block in blocks if block]
    answers = [answer for block in blocks for answer in block]
    if len(answers) < _LEAST_ANSWERS * slots:
        return None
    if len(blocks) >= _ENOUGH_BLOCKS:
        return clustered_interval([_joined(block) for block in blocks])
    count = min(_MOST_BATCHES, max(_LEAST_BATCHES, len(answers) // (3 * slots)))
    edges = [len(answers) * place // count for place in range(count + 1)]
    batches = [_joined(answers[start:end]) for start, end in pairwise(edges)]
    return clustered_interval(batches, widened_by=math.sqrt(_inflation([fmean(batch) for batch in batches])))


_LEAST_ANSWERS = 9
_ENOUGH_BLOCKS = 3
_LEAST_BATCHES, _MOST_BATCHES = 5, 10


def _joined(answers: Sequence[Sequence[float]]) -> list[float]:
    return [value for answer in answers for value in answer]


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
    n = len(groups)
    if n < 2:
        return None
    size = sum(len(group) for group in groups)
    sums = [math.fsum(group) for group in groups]
    mean = math.fsum(sums) / size
    scatter = math.fsum((total - mean * len(group)) ** 2 for total, group in zip(sums, groups, strict=True))
    half = widened_by * t_quantile(0.975, n - 1) * math.sqrt(scatter * n / (n - 1)) / size
    return _not_below((value for group in groups for value in group), mean - half), mean + half


def _not_below(values: Iterable[float], low: float) -> float:
    return low if low >= 0 or min(values) < 0 else 0.0


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: int) -> float:
    """Quantile of Student's t distribution."""
    from scipy.special import stdtrit  # a third of scipy.stats' import time

    return float(stdtrit(df, p))
