"""The loads of a sweep, by what was measured: from one request at a time to a rate that is too much for the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.run_view import stat
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.store.result import LevelResult

POINTS = 10
_MOST_LOST = 0.05
# Gaps between two rates that are narrower than this share of the higher one are left alone.
_LEAST_GAP = 0.04


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep knows of a target: requests a second, one at a time (None before that is measured), and of each rate
    whether the server could not keep up with it."""

    alone: float | None
    rates: dict[float, bool]

    @property
    def following(self) -> float | None:
        """The rate to measure next; None where the sweep is over."""
        if self.alone is None or len(self.rates) >= POINTS - 1:
            return None
        over = min((rate for rate, is_over in self.rates.items() if is_over), default=None)
        kept = sorted(rate for rate, is_over in self.rates.items() if not is_over and (over is None or rate < over))
        if over is None:
            return _rounded(2 * kept[-1] if kept else self.alone / 2)
        if not kept:
            return _rounded(over / 2)
        return _in_widest_gap([*kept, over])


def swept_of(run: MeasuredRun, target: str) -> Swept:
    """What was measured of a target so far."""
    levels = {point: run.level(target, point) for point in run.load_points(target) if run.requests(target, point)}
    alone = levels.get(ALONE)
    rates = {point.rate: _is_over(level) for point, level in levels.items() if point.kind == "open"}
    return Swept(None if alone is None else stat(alone, "request_rate", "mean"), rates)


def _is_over(level: LevelResult) -> bool:
    """Whether a server could not keep up: requests piled up, or it lost more than a few of them."""
    found = level.open_loop
    lost = level.requests.failed + level.requests.dropped
    return found is not None and (found.overloaded or lost > _MOST_LOST * found.due)


def _in_widest_gap(edges: Sequence[float]) -> float | None:
    low, high = max(pairwise(edges), key=lambda gap: (round(gap[1] - gap[0], 9), gap[1]))
    middle = _rounded((low + high) / 2)
    return middle if high - low > _LEAST_GAP * high and low < middle < high else None


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")
