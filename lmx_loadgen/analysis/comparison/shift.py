"""By how much two blocks differ in a figure: a shift of logarithms, within prompts of one class.

Times of a server have more than one mode (a cached prefix, a batch that was just full), and then the median of a few
requests jumps from one mode to the other. The median of all differences between the requests of B and those of A
(Hodges and Lehmann, Ann. Math. Statist. 34, 1963) does not. Prompts of different lengths are never held against each
other: shifts are taken within a class and averaged, each weighted by n_a n_b / (n_a + n_b), the inverse of its
variance.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from lmx_loadgen.analysis.comparison.blocks import Block, Compared
from lmx_loadgen.analysis.values import chained
from lmx_loadgen.system.clock import NS

_MOST_VALUES = 2000
_FEW_PAIRS = 1000
_SAME = 1e-12


@dataclass(frozen=True, slots=True)
class Shift:
    """The logarithm of B ÷ A in one round, and how much each prompt class weighs in it (requests, not shares)."""

    log: float
    weights: Mapping[str, float] = field(default_factory=dict)


def shift_between(a: Block, b: Block, compared: Compared) -> Shift | None:
    """B against A. None where one of them has no value, or no class of prompts is on both sides."""
    values = a.value(compared), b.value(compared)
    if values[0] is None or values[1] is None:
        return None
    if compared.statistic == "rate":
        return Shift(math.log(values[1] / values[0]))
    return _shift_of(a.logs(compared), b.logs(compared))


def _shift_of(of_a: Mapping[str, Sequence[float]], of_b: Mapping[str, Sequence[float]]) -> Shift | None:
    weights = {
        name: len(of_a[name]) * len(of_b[name]) / (len(of_a[name]) + len(of_b[name]))
        for name in of_a
        if of_a[name] and of_b.get(name)
    }
    if not weights:
        return None
    shifts = {name: hodges_lehmann(of_a[name], of_b[name]) for name in weights}
    return Shift(sum(weights[name] * shifts[name] for name in weights) / sum(weights.values()), weights)


def shifts_from_all(side: Sequence[Block], compared: Compared) -> list[float]:
    """How far each block of a side lies from all of them, as a logarithm; 0 where that is not known."""
    of_blocks = [block.logs(compared) for block in side]
    whole: dict[str, array[float]] = {}
    for logs in of_blocks:
        for name, of_class in logs.items():
            whole.setdefault(name, array("d")).extend(of_class)
    found = [_shift_of(whole, logs) for logs in of_blocks]
    return [one.log if one is not None else 0.0 for one in found]


def hodges_lehmann(a: Sequence[float], b: Sequence[float]) -> float:
    """The median of all differences b − a. Of over 2000 values a side, of 2000 evenly spaced order statistics."""
    if len(a) * len(b) <= _FEW_PAIRS:
        return median(late - early for late in b for early in a)
    import numpy as np

    thinned = [
        np.quantile(values, np.linspace(0, 1, _MOST_VALUES)) if len(values) > _MOST_VALUES else np.asarray(values)
        for values in (a, b)
    ]
    differences = np.subtract.outer(thinned[1], thinned[0]).ravel()
    middle = len(differences) // 2
    differences.partition((middle - 1, middle))  # in place: np.median would copy all of them
    return float(differences[middle] if len(differences) % 2 else differences[middle - 1 : middle + 1].mean())


def log_value(block: Block, compared: Compared) -> float | None:
    """What a whole run is worth in a figure, as a logarithm: medians within each prompt class, weighted by requests. A
    share is worth itself."""
    value = block.value(compared)
    if value is None or compared.in_points:
        return value
    if compared.statistic != "median":
        return math.log(value)
    by_class = [logs for logs in block.logs(compared).values() if logs]
    return sum(len(logs) * median(logs) for logs in by_class) / sum(map(len, by_class)) if by_class else None


def quantum(blocks: Sequence[Block], compared: Compared) -> float:
    """The resolution of the clock relative to a side's values, as a logarithm: the smallest step between two of them.

    A clock of 15.6 ms shows as values that lie 15.6 ms apart or not at all. Stamps are whole nanoseconds, so that it is
    never below one.
    """
    import numpy as np

    logs = chained(of_class for block in blocks for of_class in block.logs(compared).values())
    steps = np.diff(np.sort(np.array(logs)))
    values = [value for block in blocks if (value := block.value(compared)) is not None]
    seconds = [1 / value if compared.higher_is_better else value for value in values]
    least = float(steps[steps > _SAME].min(initial=math.inf))
    return max(least if math.isfinite(least) else 0.0, 1 / NS / min(seconds, default=1.0))


def shares(shifts: Sequence[Shift]) -> dict[str, float]:
    """Each prompt class's share of the weight over all rounds."""
    names = dict.fromkeys(name for one in shifts for name in one.weights)
    whole = [one for one in shifts if one.weights]
    return {
        name: round(fmean(one.weights.get(name, 0.0) / sum(one.weights.values()) for one in whole), 4) for name in names
    }
