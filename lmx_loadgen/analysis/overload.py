"""Whether a server keeps up with an open loop, by the trend of the requests in flight.

Where more requests come than a server can serve, those in flight grow as long as the load lasts, and any latency only
depends on how long that was. Where it keeps up they rise and fall around a mean. What decides is the growth over the
second half of the load so far: it must be more than the chance of arrivals and completions explains, even on a
server that is just full, and each quarter of that half must have more in flight than the one before.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from lmx_loadgen.system.clock import NS

# Growth in standard deviations of the difference of as many arrivals and completions, were both Poisson.
_SURELY = 3.0
# A growth of less than this share of the arrivals is left to the level's own trend.
_LEAST_SHARE = 0.05
_QUARTERS = 4
# The first requests meet a server that is idle: what they take is how long it is busy with one. The load must have
# gone on for several times as long before the second half begins, or its first filling would look like growth.
_FIRST = 10
_TIMES_FIRST = 4.0


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much the requests in flight grew in so many seconds in which `arrivals` came; `in_flight` at the end."""

    requests: int
    arrivals: int
    seconds: float
    in_flight: int

    @property
    def sentence(self) -> str:
        """What a level says that was overloaded."""
        came = self.arrivals / self.seconds
        served = (self.arrivals - self.requests) / self.seconds
        return f"overloaded: {came:.3g} requests/s came and {served:.3g} were served, with {self.in_flight} in flight"


def growth(due_ns: Sequence[int], ended_ns: Sequence[int], first_ns: Sequence[int], at_ns: int) -> Growth | None:
    """How a server falls behind at a moment, None where it does not, or where nobody can tell yet.

    `due_ns` are in order and count from the start of the load, as does `at_ns`; `ended_ns` are the ends in order, and
    `first_ns` how long the first requests took. One that was dropped is due and never ends.
    """
    if len(first_ns) < min(_FIRST, len(due_ns)) or not first_ns:
        return None
    middle_ns = at_ns // 2
    if middle_ns < _TIMES_FIRST * median(first_ns):
        return None
    edges = [middle_ns + (at_ns - middle_ns) * place // _QUARTERS for place in range(_QUARTERS + 1)]
    came = [bisect_right(due_ns, edge) for edge in edges]
    in_flight = [count - bisect_right(ended_ns, edge) for count, edge in zip(came, edges, strict=True)]
    arrivals, grown = came[-1] - came[0], in_flight[-1] - in_flight[0]
    if any(later <= before for before, later in pairwise(in_flight)):
        return None
    if grown < _LEAST_SHARE * arrivals or grown < _SURELY * math.sqrt(2 * arrivals - grown):
        return None
    return Growth(grown, arrivals, (at_ns - middle_ns) / NS, in_flight[-1])


def first_responses(responses: Sequence[tuple[int, int]]) -> list[int]:
    """How long the first requests took, given (due, how long) of those that ended, in ns."""
    return [took for _, took in sorted(responses)[:_FIRST]]
