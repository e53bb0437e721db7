"""How often fair pairs are refused, and whether a level's mean has an interval that covers it. Prints tables:

python -m tests.benchmarks.fairness
"""

import heapq
import random
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import fmean
from typing import Any

from lmx_loadgen.analysis.comparison.audit import audit, refuses
from lmx_loadgen.analysis.comparison.blocks import COMPARED, arm_of
from lmx_loadgen.analysis.comparison.finding import At
from lmx_loadgen.analysis.instrument_error import is_tainted
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.stats import Answers, interval_within_run
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.profile.load_point import ALONE, LoadPoint
from lmx_loadgen.store.log_reader import LogContents, read_log
from tests.benchmarks.checked_worlds import Asked, changing, counting, finding, pausing, saying, waiting
from tests.helpers.made_checks import with_checks
from tests.helpers.made_sessions import Made, session
from tests.helpers.paths import RUNS

BASIS = Basis("usage", True, True)
Change = Callable[[dict[str, Any], random.Random], dict[str, Any]]


# Fair pairs: both sides draw from the same distribution.


def failing(share: float) -> Change:
    lost = {"outcome": "http_error", "status": 503, "arrivals": [], "events": [], "finish_reason": None, "usage": None}
    return lambda line, draw: line | (lost if draw.random() < share else {})


def ending(share: float) -> Change:
    return lambda line, draw: line | {"finish_reason": "length" if draw.random() < share else "stop"}


def thinking(share: float) -> Change:
    def change(line: dict[str, Any], draw: random.Random) -> dict[str, Any]:
        kind = "reasoning" if draw.random() < share else "content"
        return line | {"events": [[index, kind, text] for index, _, text in line["events"]]}

    return change


def repeating(share: float) -> Change:
    def change(line: dict[str, Any], draw: random.Random) -> dict[str, Any]:
        again = draw.random() < share
        return line | {"events": [[index, kind, "again " if again else text] for index, kind, text in line["events"]]}

    return change


def of_own_length(spread: float) -> Change:
    """With a text that so many tokens can be, or their count would be doubted."""

    def change(line: dict[str, Any], draw: random.Random) -> dict[str, Any]:
        tokens = max(len(line["events"]), round(200 * draw.lognormvariate(0, spread)))
        edges = [tokens * place // len(line["events"]) for place in range(len(line["events"]) + 1)]
        texts = ["".join(f"word{number} " for number in range(start, end)) for start, end in pairwise(edges)]
        events = [[index, kind, text] for (index, kind, _), text in zip(line["events"], texts, strict=True)]
        usage = line["usage"] | {"completion_tokens": tokens}
        return line | {"events": events, "finish_reason": "stop", "usage": usage}

    return change


@dataclass(frozen=True)
class World:
    """What both sides do alike, or B in its own way; `requests` are of each side in all of its six blocks. `asked_a`
    and `asked_b` are what either answers to the questions beside the load."""

    a: Change
    b: Change | None = None
    requests: int = 48
    asked_a: Asked | None = None
    asked_b: Asked | None = None


def answering(a: Asked, b: Asked | None = None) -> World:
    """A world in which nothing happens under load."""
    return World(failing(0), requests=24, asked_a=a, asked_b=b or a)


FAIR = {
    "nothing happens": World(failing(0)),
    "2 % errors on both": World(failing(0.02)),
    "10 % errors on both": World(failing(0.10)),
    "30 % `length` on both": World(ending(0.30)),
    "50 % `length` on both": World(ending(0.50)),
    "1 % with reasoning on both": World(thinking(0.01)),
    "20 % with reasoning on both": World(thinking(0.20)),
    "30 % degenerate on both": World(repeating(0.30)),
    "lengths with a spread of 30 %": World(of_own_length(0.30)),
    "lengths with a spread of 80 %": World(of_own_length(0.80)),
    "characters a token with a spread of 30 %": World(counting(0.30)),
    "10 % of the words changed by other weights": World(saying("4-bit", 0.10), saying("Q4_K_M", 0.10)),
    "40 % of the words changed by other weights": World(saying("4-bit", 0.40), saying("Q4_K_M", 0.40)),
    "70 % of the words changed by other weights": World(saying("4-bit", 0.70), saying("Q4_K_M", 0.70)),
    "codes found in 50 % of prompts on both": answering(finding(0.50)),
    "codes found in 80 % of prompts on both": answering(finding(0.80)),
    "TTFT with a spread of 30 %": answering(waiting(0.30)),
    "TTFT with a spread of 60 %": answering(waiting(0.60)),
    "a prefix cache on one side": answering(waiting(0.10), waiting(0.10, prefix_cache=True)),
    "5 % of answers changed by rounding": answering(changing(0.05)),
    "a pause in 10 % of answers": World(pausing(0.10)),
}
UNFAIR = {
    "10 % errors against none": World(failing(0), failing(0.10), 96),
    "12 % errors against 2 %": World(failing(0.02), failing(0.12), 96),
    "60 % `length` against 30 %": World(ending(0.30), ending(0.60), 96),
    "15 % with reasoning against none": World(thinking(0), thinking(0.15), 96),
    "20 % more tokens than the text has": World(counting(0.30), counting(0.30, 1.2)),
    "answers of other prompts": World(saying("4-bit", 0.30), saying("none", 1.0)),
    "codes found in 90 % of prompts against none": answering(finding(0.90), finding(0.0)),
    "a cache that passes over the nonce": answering(waiting(0.30), waiting(0.30, hits=1.0)),
    "answers at temperature 0 drawn by lot": answering(changing(0.05), changing(0.90)),
    "a phrase before the answer": World(pausing(0.05), pausing(0.95)),
}


def refused_share(world: World, sessions: int) -> float:
    """In what share of sessions any figure is refused."""
    return fmean(_is_refused(world, seed) for seed in range(sessions))


def _is_refused(world: World, seed: int) -> bool:
    draw = random.Random(f"fairness/{seed}")
    other = world.b or world.a
    a = Made(change=lambda line, number: world.a(line, draw))
    b = Made(change=lambda line, number: other(line, draw))
    asked = [side(name, draw) for name, side in (("a", world.asked_a), ("b", world.asked_b)) if side is not None]
    log = with_checks(session({"a": a, "b": b}, requests=world.requests // 6, seed=seed), *asked)
    run = MeasuredRun(log)
    arms = arm_of(run, "a"), arm_of(run, "b")
    lines = audit(*arms, [At(*arms, ALONE, BASIS)])
    return any(refuses(line, name, ALONE) for line in lines for name in COMPARED)


# Hiccups of this machine, injected into stored levels.

Place = tuple[LogContents, dict[str, Any], LoadPoint]


@cache
def stored_levels() -> list[Place]:
    """The levels of the sample runs that have answers, and of made sessions at several concurrencies."""
    found: list[Place] = []
    logs = [read_log(path) for path in sorted(RUNS.glob("*/events.jsonl"))]
    for concurrency in (1, 2, 4, 8):
        for step in (5.0, 20.0, 60.0):
            made = Made(step=step, tokens=40, ttft=10 * step)
            logs.append(session({"a": made, "b": made}, concurrency=concurrency, requests=4 * concurrency))
    for run in map(MeasuredRun, logs):
        for name, target in run.targets.items():
            found += [
                (run.log, dict(target), point)
                for point in run.load_points(name)
                if any(one.ok for one in run.requests(name, point))
            ]
    return found


def lost_share(levels: int, stamps: str, every_s: float = 60.0) -> tuple[float, float]:
    """In what share of levels hiccups of 10–30 ms once a minute cost a compared figure; and in what share one request
    at least was left out."""
    places = stored_levels()
    lost = [_loses(places[seed % len(places)], stamps, every_s, seed) for seed in range(levels)]
    return fmean(one for one, _ in lost), fmean(other for _, other in lost)


def _loses(place: Place, stamps: str, every_s: float, seed: int) -> tuple[bool, bool]:
    log, target, point = place
    draw = random.Random(f"hiccups/{seed}")
    lines = [one.line for one in MeasuredRun(log).requests(target["name"], point)]
    start, end = min(line["intended_ns"] for line in lines), max(line["end_ns"] for line in lines)
    hiccups = []
    at = start + draw.uniform(0, every_s) * 1e9
    if at > end:  # one at least, so that a short level is put to the test too
        at = draw.uniform(start, end)
    while at < end:
        hiccups.append((round(at), round(draw.uniform(10, 30) * 1e6)))
        at += draw.expovariate(1 / every_s) * 1e9
    held_up = [_held_up(line, hiccups, stamps) for line in lines]
    calm, level = (
        MeasuredRun(_with(log, changed, stamps)).level(target["name"], point)
        for changed in ([{**line, "stalls": []} for line in lines], held_up)
    )
    names = [one.metric for one in COMPARED.values() if not is_tainted(calm.metrics[one.metric])]
    had = [name for name in names if _has_value(calm, name)]
    costs = any(is_tainted(level.metrics[name]) or not _has_value(level, name) for name in had)
    return costs, bool(level.witness.lagged)


def _has_value(level: Any, name: str) -> bool:
    return level.metrics[name].p50 is not None or level.metrics[name].mean is not None


def _with(log: LogContents, lines: list[dict[str, Any]], stamps: str) -> LogContents:
    header = log.header | {"instrument": log.header["instrument"] | {"stamps": stamps, "calibration": None}}
    return LogContents(header=header, requests=lines, segments=log.segments, end=log.end)


def _held_up(line: dict[str, Any], hiccups: Sequence[tuple[int, int]], stamps: str) -> dict[str, Any]:
    """What a client that stood still would have stored: a late send, late stamps of the loop, and the stalls."""
    send = line["send_ns"]
    if send is None:
        return line | {"stalls": []}
    late = next((at + length - send for at, length in hiccups if at <= send < at + length), 0)
    moved = send + late
    arrivals = line["arrivals"]
    if stamps == "loop":
        arrivals = [[_read_at(moved + after, hiccups) - moved, size] for after, size in arrivals]
    moments = [moved] + ([moved + after for after, _ in arrivals] if stamps == "loop" else [])
    met = [one for one in hiccups if any(one[0] - 5e6 <= moment <= sum(one) + 5e6 for moment in moments)]
    stalls = [[at - moved, length] for at, length in met]
    return line | {"send_ns": moved, "end_ns": line["end_ns"] + late, "arrivals": arrivals, "stalls": stalls}


def _read_at(moment: int, hiccups: Sequence[tuple[int, int]]) -> int:
    return max([moment, *(at + length for at, length in hiccups if at <= moment < at + length)])


# A closed loop that queues.


def queued(users: int, slots: int, requests: int, spread: float, seed: int) -> list[float]:
    """The TTFT of each request after the first wave, in the order they were sent: `users` ask again as soon as they
    have their answer, and the server works on `slots` of them at once."""
    draw = random.Random(f"queue/{seed}")
    waiting = [(0.0, True)] * users
    running: list[tuple[float, float, float, bool]] = []
    found: list[tuple[float, float]] = []
    now, sent = 0.0, users
    while waiting or running:
        while waiting and len(running) < slots:
            asked, first_wave = waiting.pop(0)
            first_token = now + 0.05 * draw.lognormvariate(0, spread)
            heapq.heappush(running, (first_token + draw.lognormvariate(0, spread), asked, first_token, first_wave))
        now, asked, first_token, first_wave = heapq.heappop(running)
        if not first_wave:
            found.append((asked, first_token - asked))
        if sent < requests:
            sent += 1
            waiting.append((now, False))
    return [wait for _, wait in sorted(found)]


QUEUES = {
    f"{users} users on {slots} slots, {each} requests a user, spread {spread:.0%}": (users, slots, each, spread)
    for users, slots in ((8, 2), (32, 4))
    for each in (12, 30)
    for spread in (0.1, 0.5)
}


def coverage(users: int, slots: int, each: int, spread: float, runs: int) -> tuple[float, float]:
    """In what share of runs the interval of the mean TTFT covers the truth, and its half width as a share of that."""
    steady = queued(users, slots, 60_000, spread, -1)
    truth = fmean(steady[users * 20 : -users * 20])
    covered, widths = [], []
    for seed in range(runs):
        found = interval_within_run([Answers(array("d", queued(users, slots, users * each, spread, seed)))], users, 0.0)
        if found is not None:
            covered.append(found[0] <= truth <= found[1])
            widths.append((found[1] - found[0]) / 2 / truth)
    return fmean(covered), fmean(widths)


def main() -> None:
    print("| pair | requests | refused |\n|---|--:|--:|")
    for name, world in (FAIR | UNFAIR).items():
        print(f"| {name} | {world.requests} | {refused_share(world, 400):.1%} |", flush=True)
    print("\n| stamps | levels | lost a figure | left a request out |\n|---|--:|--:|--:|")
    for stamps in ("kernel", "loop"):
        lost, left_out = lost_share(1000, stamps)
        print(f"| {stamps} | 1000 | {lost:.1%} | {left_out:.1%} |", flush=True)
    print("\n| closed loop | coverage | half width |\n|---|--:|--:|")
    for name, queue in QUEUES.items():
        covers, width = coverage(*queue, runs=1000)
        print(f"| {name} | {covers:.1%} | ±{width:.1%} |", flush=True)


if __name__ == "__main__":
    main()
