"""How far another machine's monotonic clock is from this one's, by round trips.

No latency is taken from two clocks. The offset says at which moment of a node's clock a load starts that is to start
everywhere at once, and where the times of a node's requests belong among those of the others.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lmx_loadgen.system.clock import now_ns

_TRIPS = 20


@dataclass(frozen=True, slots=True)
class ClockReading:
    """By how much a node's clock was ahead of this one's, known to `bound_ns`: half of the quickest round trip."""

    offset_ns: int
    bound_ns: int


def read_clock(ask: Callable[[], int], trips: int = _TRIPS, clock: Callable[[], int] = now_ns) -> ClockReading:
    """Ask a node for its time, so often, and go by the quickest answer.

    Clocks of two machines differ by more than a round trip takes: by when they were switched on. An offset within its
    bound is 0, that of two nodes on one machine, whose clock is the same.
    """
    best: ClockReading | None = None
    for _ in range(trips):
        before = clock()
        there = ask()
        after = clock()
        if best is None or after - before < 2 * best.bound_ns:
            best = ClockReading(there - (before + after) // 2, (after - before + 1) // 2)
    assert best is not None
    return best if abs(best.offset_ns) > best.bound_ns else ClockReading(0, best.bound_ns)
