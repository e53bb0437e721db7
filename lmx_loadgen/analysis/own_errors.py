"""By how much this machine itself may have moved a figure, as the run that it was measured in saw."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lmx_loadgen.analysis.samples import Sample
from lmx_loadgen.analysis.stats import Better, percentile

Statistic = Literal["p50", "p90", "p95", "p99", "mean"]
STATISTICS: tuple[Statistic, ...] = ("p50", "p90", "p95", "p99", "mean")


@dataclass(frozen=True, slots=True)
class OwnErrors:
    """What was seen of a figure's errors: their 99th percentile over requests, and by how much each statistic may have
    moved, in the metric's unit; and the ids of the answers that were left out."""

    p99: float = 0.0
    bounds: dict[Statistic, float] = field(default_factory=dict)
    left_out: frozenset[int] = frozenset()


def own_of(sample: Sample, better: Better) -> OwnErrors:
    """What a sample says of its figure's errors. Of values that are counted in a histogram, so many ranks as were moved
    bound a percentile, and the largest error everything."""
    if not sample.moved:
        return OwnErrors(left_out=sample.left_out)
    n = len(sample.values)
    if sample.values.is_exact:
        p99 = percentile(sorted(sample.errors), 99) or 0.0
        values = sample.values.kept
        as_shown = _statistics(values, better)
        moved = [
            _statistics([value + sign * error for value, error in zip(values, sample.errors, strict=True)], better)
            for sign in (-1, 1)
        ]
        bounds = {one: max(abs(away[one] - as_shown[one]) for away in moved) for one in STATISTICS}
        return OwnErrors(p99, bounds, sample.left_out)
    bounds = {one: _bound_of_histogram(sample, one) for one in STATISTICS}
    return OwnErrors(sample.most_error if sample.moved > n / 100 else 0.0, bounds, sample.left_out)


def _statistics(values: Sequence[float], better: Better) -> dict[Statistic, float]:
    ordered = sorted(values)
    found: dict[Statistic, float] = {
        one: percentile(ordered, float(one[1:]), better=better) or 0.0 for one in STATISTICS if one != "mean"
    }
    return found | {"mean": sum(values) / len(values)}


def _bound_of_histogram(sample: Sample, statistic: Statistic) -> float:
    n = len(sample.values)
    if statistic == "mean":
        return sample.most_error * sample.moved / n
    place = (n - 1) * float(statistic[1:]) / 100
    middle = sample.values.at(place)
    low, high = (sample.values.at(min(n - 1, max(0, place + away))) for away in (-sample.moved, sample.moved))
    return min(sample.most_error, max(middle - low, high - middle))
