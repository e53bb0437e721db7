"""Open loops and capacity searches in virtual time, against what theory says: `python -m tests.benchmarks.capacity`.

Mean times in an M/M/c queue and on a server whose speed depends on how many it serves, with the due times and the
intervals of the tool; and searches on servers whose share within the limits is known at every load.
"""

import argparse
import hashlib
import math
import random
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lmx_loadgen.analysis.capacity_search import ByConcurrency, ByRate, Ladder, Tried, edge
from lmx_loadgen.analysis.overload import first_responses, growth
from lmx_loadgen.analysis.stats import Answers, interval_within_run
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
class Block:
    """What a block at one load shows: how many of its requests are within the limit, and how many seconds it took."""

    within: int
    of: int
    seconds: float
    overloaded: bool = False


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
    interval = interval_within_run([Answers(array("d", values[LEFT_OUT:]))], max(1, math.ceil(in_flight)), 0.0)
    return interval is not None and interval[0] <= truth <= interval[1]


@dataclass(frozen=True)
class KnownServer:
    """TTFT is log-normal around `each_s` × concurrency, with a `spread` over requests and one over blocks, and answers
    take `answer_s` longer than that."""

    each_s: float
    limit_s: float
    spread: float = 0.25
    of_blocks: float = 0.03
    answer_s: float = 3.0

    def within(self, concurrency: int) -> float:
        spread = math.hypot(self.spread, self.of_blocks)
        return 0.5 * math.erfc(-math.log(self.limit_s / (self.each_s * concurrency)) / spread / math.sqrt(2))

    def capacity(self) -> int:
        return next(c for c in range(5000) if self.within(c + 1) < SHARE)

    def block(self, concurrency: int, lots: random.Random) -> Block:
        of = max(20, 3 * concurrency)
        middle = math.log(self.each_s * concurrency) + lots.gauss(0, self.of_blocks)
        times = [math.exp(lots.gauss(middle, self.spread)) for _ in range(of)]
        return Block(sum(one <= self.limit_s for one in times), of, sum(times, self.answer_s * of) / concurrency)


def drawn_server(seed: int) -> KnownServer:
    """A server that serves from one to some forty requests, whose share falls steeply with the load or slowly."""
    lots = random.Random(f"server/{seed}")
    spread, of_blocks = lots.uniform(0.1, 0.6), lots.uniform(0.0, 0.06)
    edge_at = math.exp(lots.uniform(0.0, math.log(40.0)))
    return KnownServer(0.1, 0.1 * edge_at * math.exp(1.645 * spread), spread, of_blocks)


@dataclass(frozen=True)
class QueueServer:
    """An M/M/c queue: a request is within the limit where it waits for a slot no longer than `limit_s`."""

    slots: int
    service_s: float
    limit_s: float

    def within(self, rate: float) -> float:
        load = rate * self.service_s
        if load >= self.slots:
            return 0.0
        waits_at_all = erlang_wait_s(rate, self.slots, self.service_s) * (self.slots - load) / self.service_s
        return 1 - waits_at_all * math.exp(-(self.slots - load) / self.service_s * self.limit_s)

    def block(self, rate: float, key: str) -> Block:
        """One that begins idle, as the tool sends it and counts it."""
        seconds = max(30.0, 50 / rate, 30 * self.service_s)
        due = drawn(rate, "poisson", key, requests=None, duration_ns=round(seconds * NS)).offsets_ns
        found = starts_and_ends(due, self.slots, exponential(self.service_s), hash_of(key))
        times = [(at, end - at) for at, (_, end) in zip(due, found, strict=True)]
        at_ns = round(seconds * NS)
        first = first_responses([(at, took) for at, took in times if at + took <= at_ns])
        behind = growth(due, sorted(end for _, end in found), first, at_ns)
        filled = due[0] + 7 * median(first) if first else 0
        kept = [start - at for at, (start, _) in zip(due, found, strict=True) if at >= filled]
        kept = kept if 2 * len(kept) >= len(due) else [start - at for at, (start, _) in zip(due, found, strict=True)]
        within = sum(wait <= self.limit_s * NS for wait in kept)
        return Block(within, len(kept), seconds, overloaded=behind is not None)


def hash_of(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4])


@dataclass(frozen=True)
class Search:
    """What one search found, against the truth, and how much it took in virtual time."""

    near: bool
    exact: bool
    conclusive: bool
    requests: int
    seconds: float


def searched(ladder: Ladder, truth: int | None, block: Callable[[int, int], Block], steps: int = 1) -> Search:
    """A search whose blocks come from a function of level and number; near is within so many levels of the truth."""
    tried: dict[int, Tried] = {}
    seconds = 0.0
    while (level := edge(tried, ladder, SHARE).following) is not None:
        before = tried.get(level, Tried())
        one = block(level, len(before.counts))
        seconds += one.seconds
        tried[level] = Tried([*before.counts, (one.within, one.of)], before.overloaded or one.overloaded)
    found = edge(tried, ladder, SHARE)
    at_edge = [tried[level] for level in (found.passes, found.fails) if level is not None]
    return Search(
        near=abs((found.passes or 0) - (truth or 0)) <= steps,
        exact=found.passes == truth,
        conclusive=all(one.is_sure(SHARE) for one in at_edge),
        requests=sum(one.requests for one in tried.values()),
        seconds=seconds,
    )


def search_by_concurrency(seed: int) -> Search:
    server, lots = drawn_server(seed), random.Random(seed)
    truth = server.capacity()
    return searched(
        ByConcurrency(), truth or None, lambda level, _: server.block(level, lots), steps=max(1, truth // 20)
    )


QUEUES = (QueueServer(4, 1.0, 0.5), QueueServer(8, 4.0, 1.0), QueueServer(8, 4.0, 10.0), QueueServer(32, 4.0, 1.0))


def search_by_rate(seed: int) -> Search:
    server, ladder = QUEUES[seed % len(QUEUES)], ByRate(256)
    truth = next(level for level in range(-32, 41) if server.within(ladder.value(level + 1)) < SHARE)
    return searched(ladder, truth, lambda level, number: server.block(ladder.value(level), f"{seed}/{level}/{number}"))


def table(found: Mapping[str, Sequence[Search]]) -> list[str]:
    """How the searches of each kind went, as Markdown."""
    lines = [
        "| by | searches | within one step | exact | conclusive | requests p50 / p90 / max | minutes p50 / p90 / max |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, searches in found.items():
        number = len(searches)
        shares = (sum(getattr(one, key) for one in searches) / number for key in ("near", "exact", "conclusive"))
        requests = spread(sorted(float(one.requests) for one in searches), "{:,.0f}")
        minutes = spread(sorted(one.seconds / 60 for one in searches), "{:.1f}")
        lines.append(f"| {name} | {number} | {' | '.join(f'{one:.1%}' for one in shares)} | {requests} | {minutes} |")
    return lines


def spread(ordered: Sequence[float], shown: str) -> str:
    return " / ".join(shown.format(one) for one in (median(ordered), ordered[int(0.9 * len(ordered))], ordered[-1]))


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
    found = {
        "concurrency": [search_by_concurrency(seed) for seed in range(asked.searches)],
        "rate": [search_by_rate(seed) for seed in range(asked.searches)],
    }
    print("\n".join(table(found)))
    near = sum(one.near for one in found["concurrency"])
    return int(bool(faults) or near < 0.95 * asked.searches)


if __name__ == "__main__":
    sys.exit(main())
