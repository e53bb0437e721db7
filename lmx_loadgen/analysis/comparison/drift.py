"""Did something change while it was measured? A trend over the blocks, a step between two, a change within one.

Values are logarithms in the order they were measured. What is stated of a change is never more than the values
themselves span, however long the pauses between them were.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any, Literal

SIGNIFICANT = 0.05
_FEWEST = 4
_DRAWS = 20_000
_AT_ONCE = 500  # of the draws: each takes as many numbers as there are pairs
_PERMUTATIONS = 999
_LEAST_IN_BLOCK = 6
_MOST_REQUESTS = 500


@dataclass(frozen=True, slots=True)
class Change:
    """Logarithms changed by `change` from early to late; the `p` of no change is corrected for the kinds looked for."""

    kind: Literal["trend", "step", "within"]
    p: float
    change: float

    @property
    def is_real(self) -> bool:
        return self.p < SIGNIFICANT


def change_over_blocks(logs: Sequence[float]) -> Change | None:
    """The clearer one of a trend and a step, None below four blocks (which no p under 5 % can come of)."""
    if len(logs) < _FEWEST:
        return None
    found = [trend(logs), step(logs)]
    clearest = min(found, key=lambda one: one.p)
    return Change(clearest.kind, min(1.0, clearest.p * len(found)), clearest.change)


def trend(logs: Sequence[float]) -> Change:
    """Mann and Kendall's exact test for a trend, and Theil and Sen's line from the first block to the last one."""
    from scipy import stats  # 0.4 s more than scipy.special: only a comparison pays for it

    span = max(logs) - min(logs)
    change = float(stats.theilslopes(logs, range(len(logs))).slope) * (len(logs) - 1)
    return Change("trend", _trend_p(logs), max(-span, min(span, change)))


def _trend_p(logs: Sequence[float]) -> float:
    """Two-sided chance of an order with at least as much of a trend, when all orders are equally likely.

    With ties scipy has no exact one, and its normal approximation gives less than half of it at four blocks: then the
    orders are counted, or drawn where there are too many.
    """
    from scipy import stats

    if len(set(logs)) == len(logs):
        return float(stats.kendalltau(range(len(logs)), logs, method="exact").pvalue)
    counted = stats.permutation_test(
        (logs,),
        _kendall_scores,
        permutation_type="pairings",
        n_resamples=_DRAWS,
        batch=_AT_ONCE,
        vectorized=True,
        random_state=len(logs),
    )
    return float(counted.pvalue)


def _kendall_scores(rows: Any, axis: int) -> Any:
    """Pairs that rise minus pairs that fall, of each row."""
    import numpy as np

    rows = np.moveaxis(np.asarray(rows), axis, -1)
    early, late = np.triu_indices(rows.shape[-1], 1)
    return np.sign(rows[..., late] - rows[..., early]).sum(axis=-1)


def step(logs: Sequence[float]) -> Change:
    """A scan for the block before which a step is clearest: the largest two-sample t over all places it can have.

    Its distribution does not depend on the scatter where blocks are normal and alike, and is drawn once for each number
    of blocks (James, James and Siegmund, Biometrika 74, 1987, have the limit; few blocks are far from it). One block
    that is off is no step: there are two on either side, where there are five or more.
    """
    import numpy as np

    values = np.asarray(logs, dtype=float)
    scores = _step_scores(values[None, :])[0]
    place = int(np.argmax(scores)) + _fewest_beside(len(logs))
    p = _share_beyond(_null_of_steps(len(logs)), float(scores.max()))
    return Change("step", p, float(values[place:].mean() - values[:place].mean()))


def _step_scores(rows: Any) -> Any:
    """|t| of each row split at each place that a step can have."""
    import numpy as np

    n = rows.shape[1]
    beside = _fewest_beside(n)
    sizes = np.arange(beside, n - beside + 1)
    sums, squares = rows.sum(axis=1, keepdims=True), ((rows - rows.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    early = np.cumsum(rows, axis=1)[:, beside - 1 : n - beside]
    difference = (sums - early) / (n - sizes) - early / sizes
    between = difference**2 * sizes * (n - sizes) / n
    within = np.maximum(squares[:, None] - between, squares[:, None] * 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.sqrt(between / (within / (n - 2))), nan=0.0)


def _fewest_beside(n: int) -> int:
    return 2 if n > _FEWEST else 1


@lru_cache(maxsize=128)
def _null_of_steps(n: int) -> Any:
    import numpy as np

    return np.sort(_step_scores(np.random.default_rng(n).standard_normal((_DRAWS, n))).max(axis=1))


def _share_beyond(ordered: Any, value: float) -> float:
    import numpy as np

    return float((len(ordered) - np.searchsorted(ordered, value * (1 - 1e-9)) + 1) / (len(ordered) + 1))


def change_within_blocks(blocks: Sequence[Sequence[float]]) -> Change | None:
    """A change within blocks: the largest CUSUM (Page, Biometrika 41, 1954) of a block's requests about their mean.

    Calibrated by permutation: requests of each block are put in random order 999 times. The change is that of the block
    where it is clearest. None where no block has six requests.
    """
    import numpy as np

    rows = [np.asarray(block[:_MOST_REQUESTS], dtype=float) for block in blocks if len(block) >= _LEAST_IN_BLOCK]
    rows = [row - row.mean() for row in rows if row.std() > 0]
    if not rows:
        return None
    draw = np.random.default_rng(len(rows))
    peaks = [_cusum_peak(row[None, :])[0] for row in rows]
    shuffled = [_cusum_peak(draw.permuted(np.tile(row, (_PERMUTATIONS, 1)), axis=1)) for row in rows]
    p = _share_beyond(np.sort(np.max(shuffled, axis=0)), max(peaks))
    row = rows[int(np.argmax(peaks))]
    place = int(np.argmax(np.abs(np.cumsum(row))[:-1])) + 1
    return Change("within", p, float(np.median(row[place:]) - np.median(row[:place])))


def _cusum_peak(rows: Any) -> Any:
    """The highest point of |CUSUM| of each row, in units of what chance makes of it."""
    import numpy as np

    sums = np.abs(np.cumsum(rows, axis=1))[:, :-1]
    return sums.max(axis=1) / (rows.std(axis=1) * math.sqrt(rows.shape[1]))


def centered(by_class: Sequence[Sequence[float]]) -> list[float]:
    """Logarithms of a block with each class's own median taken off, so that prompts of all lengths go together.

    Classes take turns in a block, so that a value's place in its class tells its place in the block.
    """
    places = [
        ((place + 0.5) / len(values), value - middle)
        for values, middle in zip(by_class, [median(values) if values else 0.0 for values in by_class], strict=True)
        for place, value in enumerate(values)
    ]
    return [value for _, value in sorted(places, key=lambda one: one[0])]
