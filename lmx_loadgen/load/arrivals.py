"""When the requests of an open loop are due: one sequence for a whole segment, drawn ahead from its seed.

Processes that drew times of their own from one seed would send in bursts, and those with seeds of their own would not
be repeatable. So there is one sequence, however many processes send, and each takes every n-th of it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice, takewhile

from lmx_loadgen.profile.load_point import Arrivals
from lmx_loadgen.system.clock import NS


@dataclass(frozen=True, slots=True)
class DueTimes:
    """When each request is due, in ns since the start, in order, and for how long there is a load in all."""

    offsets_ns: list[int]
    horizon_ns: int


def drawn(rate: float, arrivals: Arrivals, seed: str, *, requests: int | None, duration_ns: int | None) -> DueTimes:
    """The due times of so many requests, or of so long, whichever ends first. One of the two must be given.

    Constant ones are exact: none depends on the rounding of the one before it.
    """
    assert requests is not None or duration_ns is not None
    times: Iterator[int] = _poisson(rate, seed) if arrivals == "poisson" else _constant(rate)
    if duration_ns is not None:
        end_ns = duration_ns
        times = takewhile(lambda at_ns: at_ns < end_ns, times)
    offsets = list(islice(times, requests))
    by_count_ns = (offsets[-1] if offsets else 0) + round(NS / rate)
    is_cut = requests is not None and len(offsets) == requests
    return DueTimes(offsets, by_count_ns if duration_ns is None or is_cut else duration_ns)


def recorded(offsets_ns: list[int], *, requests: int | None, duration_ns: int | None) -> DueTimes:
    """The due times of a recording, as far as these limits let it be replayed."""
    kept = [at_ns for at_ns in offsets_ns if duration_ns is None or at_ns < duration_ns][:requests]
    last = kept[-1] if kept else 0
    return DueTimes(kept, last + (last // len(kept) if kept else 0))


def _poisson(rate: float, seed: str) -> Iterator[int]:
    gaps, at_s = random.Random(f"{seed}/poisson"), 0.0
    while True:
        at_s += gaps.expovariate(rate)
        yield round(at_s * NS)


def _constant(rate: float) -> Iterator[int]:
    return (round(place * NS / rate) for place in count())
