"""Where the knee of a load curve lies: the load at which throughput ÷ response time is greatest (Kleinrock, 1979)."""

from collections.abc import Sequence

from lmx_loadgen.analysis.run_view import stat
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.result import LevelResult

_FEWEST = 4


def knee(levels: Sequence[LevelResult]) -> LoadPoint | None:
    """The load point at the knee of these levels, which are in the order of their load; None where too few of them have
    both figures, or where it lies at the lightest load or at the heaviest, and so maybe beyond."""
    powers = [_power(level) for level in levels]
    known = [(power, place) for place, power in enumerate(powers) if power is not None]
    if len(known) < _FEWEST:
        return None
    _, place = max(known)
    return levels[place].load_point if 0 < place < len(levels) - 1 else None


def _power(level: LevelResult) -> float | None:
    rate, whole_s = stat(level, "request_rate", "mean"), stat(level, "e2e", "mean")
    return rate / whole_s if rate and whole_s else None
