"""Open loops and capacity searches in virtual time, against what theory says: `python -m tests.benchmarks.capacity`.

Mean times in an M/M/c queue and on a server whose speed depends on how many it serves, with the due times and the
intervals of the tool; and searches on servers whose share within the limits is known at every load.
"""

import argparse
import math
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median

from lmx_loadgen.analysis.capacity_search import ByConcurrency, Ladder, Tried, edge
from lmx_loadgen.analysis.stats import interval_within_run
from lmx_loadgen.load.arrivals import drawn
from lmx_loadgen.system.clock import NS
from tests.helpers.queues import exponential, starts_and_ends

SHARE = 0.95
REQUESTS, LEFT_OUT = 6_000, 500


def erlang_wait_s(rate: float, slots: int, service_s: float) -> float:
    """The mean wait for a slot in an M/M/c queue (Erlang C)."""
    load = rate * service_s
    terms = [load**n / math.factorial(n) for n in range(slots)]
    last = load**slots / math.factorial(slots) / (1 - load / slots)
    return last / (sum(terms) + last) * service_s / (slots - load)


def waits(rate: float, slots: int, seed: int) -> list[float]:
    due = drawn(rate, "poisson", str(seed), requests=REQUESTS, duration_ns=None).offsets_ns
    found = starts_and_ends(due, slots, exponential(1.0), seed)
    return [(start - at) / NS for at, (start, _) in zip(due, found, strict=True)]


@dataclass(frozen=True)
class Batched:
    """A server that serves all at once: with n requests, one ends every `base_s` / n + `each_s` in the mean."""

    base_s: float
    each_s: float

    def ends_per_s(self, n: int) -> float:
        return 1 / (self.base_s / n + self.each_s)

    def mean_time_s(self, rate: float) -> float:
        """The mean time in the server, by its birth-death chain and Little's law."""
        weights = [1.0]
        while weights[-1] > 1e-12 and len(weights) < 5_000:
            weights.append(weights[-1] * rate / self.ends_per_s(len(weights)))
        return sum(n * weight for n, weight in enumerate(weights)) / sum(weights) / rate

    def times(self, rate: float, seed: int) -> list[float]:
        """How long each request takes in virtual time."""
        lots = random.Random(seed)
        due = drawn(rate, "poisson", str(seed), requests=REQUESTS, duration_ns=None).offsets_ns
        inside: list[int] = []
        took = [0.0] * len(due)
        now, place = 0.0, 0
        while place < len(due) or inside:
            next_due = due[place] / NS if place < len(due) else math.inf
            end = now + lots.expovariate(self.ends_per_s(len(inside))) if inside else math.inf
            now = min(next_due, end)
            if next_due <= end:
                inside.append(place)
                place += 1
            else:
                gone = inside.pop(lots.randrange(len(inside)))
                took[gone] = now - due[gone] / NS
        return took


def is_covered(values: list[float], truth: float, in_flight: float) -> bool:
    interval = interval_within_run([[[value] for value in values[LEFT_OUT:]]], max(1, math.ceil(in_flight)))
    return interval is not None and interval[0] <= truth <= interval[1]


@dataclass(frozen=True)
class KnownServer:
    """TTFT is log-normal around `each_s` × concurrency; blocks differ from each other a little."""

    each_s: float
    limit_s: float
    spread: float = 0.25
    of_blocks: float = 0.03

    def within(self, concurrency: int) -> float:
        spread = math.hypot(self.spread, self.of_blocks)
        return 0.5 * math.erfc(-math.log(self.limit_s / (self.each_s * concurrency)) / spread / math.sqrt(2))

    def capacity(self) -> int:
        return next(c for c in range(1, 5000) if self.within(c + 1) < SHARE)

    def block(self, concurrency: int, lots: random.Random) -> tuple[int, int]:
        of = max(20, 3 * concurrency)
        middle = math.log(self.each_s * concurrency) + lots.gauss(0, self.of_blocks)
        return sum(lots.gauss(middle, self.spread) <= math.log(self.limit_s) for _ in range(of)), of


def search(server: KnownServer, seed: int, ladder: Ladder | None = None) -> tuple[int | None, Mapping[int, Tried]]:
    """What a search finds, and what it measured."""
    ladder, lots = ladder or ByConcurrency(), random.Random(seed)
    tried: dict[int, Tried] = {}
    while (level := edge(tried, ladder, SHARE).following) is not None:
        before = tried.get(level, Tried())
        tried[level] = Tried([*before.counts, server.block(level, lots)])
    return edge(tried, ladder, SHARE).passes, tried


def is_near(found: int | None, truth: int) -> bool:
    """Within one step of the ladder."""
    return found is not None and abs(found - truth) <= max(1, truth // 20)


def searches(number: int) -> tuple[int, list[int]]:
    """How many of so many searches came within one step of the truth, and how many requests each took."""
    near, requests = 0, []
    for seed in range(number):
        lots = random.Random(f"server/{seed}")
        server = KnownServer(each_s=0.1, limit_s=0.1 * math.exp(lots.uniform(math.log(2.0), math.log(40.0))))
        found, tried = search(server, seed)
        near += is_near(found, server.capacity())
        requests.append(sum(one.requests for one in tried.values()))
    return near, requests


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--searches", type=int, default=200)
    asked = parser.parse_args(arguments)
    faults = 0
    for rate, slots in ((0.7, 1), (2.8, 4), (5.6, 8)):
        truth = erlang_wait_s(rate, slots, 1.0)
        covered = sum(is_covered(waits(rate, slots, seed), truth, rate) for seed in range(asked.seeds))
        print(
            f"M/M/{slots} at {rate:g} req/s: mean wait {truth:.3f} s within its interval in {covered} of {asked.seeds}"
        )
        faults += covered < 0.85 * asked.seeds
    server = Batched(base_s=1.0, each_s=0.2)
    for rate in (1.0, 3.0):
        truth = server.mean_time_s(rate)
        covered = sum(is_covered(server.times(rate, seed), truth, rate * truth) for seed in range(asked.seeds))
        print(f"batched at {rate:g} req/s: mean time {truth:.3f} s within its interval in {covered} of {asked.seeds}")
        faults += covered < 0.85 * asked.seeds
    near, requests = searches(asked.searches)
    ordered = sorted(requests)
    print(
        f"capacity within one step in {near} of {asked.searches} searches; requests: median {median(ordered):.0f}, "
        f"p90 {ordered[int(0.9 * len(ordered))]}, mean {fmean(ordered):.0f}, most {ordered[-1]}"
    )
    return int(bool(faults) or near < 0.95 * asked.searches)


if __name__ == "__main__":
    sys.exit(main())
