"""Servers in virtual time: when requests that come at given times would end, without a clock to wait for."""

import heapq
import random
from collections.abc import Callable, Sequence

from lmx_loadgen.system.clock import NS

# How many seconds the next request keeps a slot busy.
Service = Callable[[random.Random], float]


def exponential(mean_s: float) -> Service:
    return lambda lots: lots.expovariate(1 / mean_s)


def constant(mean_s: float) -> Service:
    return lambda lots: mean_s


def starts_and_ends(due_ns: Sequence[int], slots: int, service: Service, seed: int) -> list[tuple[int, int]]:
    """When each request gets a slot, first come first served, and when it ends."""
    lots = random.Random(seed)
    free = [0] * slots
    found = []
    for due in due_ns:
        start = max(due, heapq.heappop(free))
        end = start + round(service(lots) * NS)
        heapq.heappush(free, end)
        found.append((start, end))
    return found
