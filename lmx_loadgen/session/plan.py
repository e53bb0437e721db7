"""The plan of a run: which segment follows which, and about how long it takes.

Several targets are measured in blocks that take turns. Whatever changes while a session goes on (heat, memory
pressure, other programs) then falls on all of them alike: each level is a row of rounds, a round is one block of every
target, and rounds come in pairs of which the second is the first in reverse, so that no target is always first and a
steady drift cancels out. Rounds are the rows of a Williams design, of two targets plain ABBA (AB BA AB BA …): what a
block leaves behind for the next one falls on all targets alike as well. The seed of the profile decides who is A.
"""

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.profile.load_point import ALONE, LoadPoint
from lmx_loadgen.profile.models import Load, Profile
from lmx_loadgen.store.segment_key import SegmentKey, segment_key

DEFAULT_BLOCKS = 6
FEWEST_BLOCKS = 3  # that a verdict can be made of
FIRST_ROUNDS = 2  # that it takes to say how far rounds lie apart
_LEAST_IN_BLOCK = 8
_LEAST_BLOCK_S = 5.0
_LEAST_OPEN_S, _LONGEST_OPEN_S, _LEAST_OPEN_REQUESTS = 30.0, 300.0, 30
_ASSUMED_REPLAY_S = 60.0
# What an estimate goes by, since nobody knows yet: a small model on a Mac.
ASSUMED_TOK_S = 30.0
_ASSUMED_TTFT_S = 0.5

# How many segments a probe of the prefix cache has.
PROBES = 2


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of load on one target. `duration` is in seconds; `warmup` counts per slot.

    `offset` is the place in the order of prompts that its first request takes: blocks of one round have the same.
    `attempt` counts how often its round was measured before and found tainted; it is part of no plan.
    """

    key: SegmentKey
    requests: int | None
    duration: float | None
    warmup: int
    offset: int = 0
    attempt: int = 0

    @property
    def target(self) -> str:
        return self.key.target

    @property
    def load_point(self) -> LoadPoint:
        return self.key.load_point

    @property
    def block(self) -> int:
        return self.key.block

    def as_dict(self) -> dict[str, Any]:
        """As a plan in an event log has it."""
        return self.key.as_dict() | {name: getattr(self, name) for name in _BESIDE_KEY}


_BESIDE_KEY = ("requests", "duration", "warmup", "offset")


def planned_segment(stored: Mapping[str, Any]) -> Segment:
    """The segment that a plan in an event log has."""
    return Segment(segment_key(stored), **{name: stored[name] for name in _BESIDE_KEY if name in stored})


def default_requests(slots: int) -> int:
    """How many requests a level has when the profile names neither requests nor a duration."""
    return max(10, 4 * slots)


def default_duration(point: LoadPoint) -> float | None:
    """How many seconds an open loop sends for where the profile names neither requests nor a duration; None for all of
    a recording."""
    if point.kind != "open":
        return None
    return min(_LONGEST_OPEN_S, max(_LEAST_OPEN_S, _LEAST_OPEN_REQUESTS / point.rate))


def blocks_of(load: Load, targets: int) -> int:
    """How many blocks each target has at each level: the profile's `blocks`, else 6 for several targets, 1 for one and
    in a sweep."""
    if load.sweep:
        return 1
    return load.blocks or (DEFAULT_BLOCKS if targets > 1 else 1)


def make_plan(profile: Profile, targets: Sequence[str], first_rounds: int | None = None) -> list[Segment]:
    """The segments in the order they run: levels low to high, and at each level the targets' blocks in turn.

    Where more than the `first_rounds` is decided later, the plan has only these.
    """
    segments: list[Segment] = []
    blocks = blocks_of(profile.load, len(targets))
    for point in profile.load.points():
        segments += rounds(profile, targets, point, range(first_rounds or blocks), blocks)
    return segments


def rounds(profile: Profile, targets: Sequence[str], point: LoadPoint, wanted: range, blocks: int) -> list[Segment]:
    """The rounds `wanted` of a level, whose plan has `blocks` in all; the seed and the load point decide who is A."""
    names = list(targets)
    random.Random(f"{profile.request.seed}/{point.model_dump_json()}").shuffle(names)
    return _rounds(profile, names, point, wanted, blocks)


def more_rounds(profile: Profile, planned: Sequence[Segment], wanted: range, blocks: int) -> list[Segment]:
    """More rounds of a level, in turns that go on from the first round of what is `planned`: that of a run which is
    resumed may have been drawn otherwise."""
    first = [segment.target for segment in planned if segment.block == 0]
    names = dict(zip((place % len(first) for place in _first_row(len(first))), first, strict=True))
    return _rounds(profile, [names[place] for place in sorted(names)], planned[0].load_point, wanted, blocks)


def _rounds(profile: Profile, names: Sequence[str], point: LoadPoint, wanted: range, blocks: int) -> list[Segment]:
    """The same, with the targets in the order that was drawn."""
    load = profile.load
    requests, duration = _share(load, point, blocks)
    return [
        Segment(
            SegmentKey(target, point, block),
            requests=requests,
            duration=duration,
            warmup=load.warmup,
            offset=block * (requests or _requests_in(point, duration)),
        )
        for block in wanted
        for target in _turn(names, block)
    ]


def _requests_in(point: LoadPoint, duration: float | None) -> int:
    """About how many requests an open loop sends in so many seconds; a wave of them in a closed one."""
    return math.ceil(point.rate * duration) if point.kind == "open" and duration else point.slots


def _share(load: Load, point: LoadPoint, blocks: int) -> tuple[int | None, float | None]:
    """Requests and seconds of one block. A block has at least three requests a slot: its first wave is no full load."""
    requests, duration = load.requests, load.duration
    if requests is None and duration is None:
        requests, duration = (None if point.IS_OPEN else default_requests(point.slots)), default_duration(point)
    if blocks == 1 or point.kind == "replay":
        return requests, duration
    if requests is not None:
        requests = max(math.ceil(requests / blocks), 1 if point.IS_OPEN else 3 * point.slots, _LEAST_IN_BLOCK)
    if duration is not None:
        duration = max(duration / blocks, min(duration, _LEAST_BLOCK_S))
    return requests, duration


def _turn(names: Sequence[str], block: int) -> list[str]:
    """The order of a round: the next row of a Williams design (E. J. Williams, Aust. J. Sci. Res. A 2, 1949).

    Its first row is 1, 2, n, 3, n − 1, …, and each further row counts one on. Over n rows (2n where n is odd, for then
    it takes the mirrored rows too) each target stands once in each place and comes once after each other one. A row
    is followed by its own mirror image, which with an even n is a row of the design as well.
    """
    pair, second = divmod(block, 2)
    pairs = len(names) // 2 if len(names) % 2 == 0 else len(names)
    row = [names[(place + pair % pairs) % len(names)] for place in _first_row(len(names))]
    return row[::-1] if second else row


def _first_row(size: int) -> list[int]:
    return [place // 2 + 1 if place % 2 else -(place // 2) for place in range(size)]


def described(profile: Profile, plan: Sequence[Segment], targets: Sequence[str], *, goes_on: bool = False) -> list[str]:
    """The plan in lines of text: what runs after what; it `goes_on` where the run itself adds rounds."""
    load = profile.load
    blocks = len({segment.block for segment in plan})
    letters = {name: chr(ord("A") + place % 26) for place, name in enumerate(targets)}
    points = load.points()
    levels = "1 level" if len(points) == 1 else f"{len(points)} levels"
    in_turn = f", {blocks} blocks of each in turn, {load.pause:g} s between them" if len(targets) > 1 else ""
    lines = [f"plan: {levels}{in_turn}"]
    for point in points:
        of_level = [segment for segment in plan if segment.load_point == point]
        first = of_level[0]
        amount = f"{first.requests} requests" if first.requests is not None else ""
        amount += f"{' or ' if amount else ''}{first.duration:g} s" if first.duration is not None else ""
        amount = amount or "all of it"
        each = " a block" if len(of_level) > len(targets) else ""
        order = ""
        if len(targets) > 1:
            rows = [[segment for segment in of_level if segment.block == block] for block in range(blocks)]
            order = ": " + " ".join("".join(letters[segment.target] for segment in row) for row in rows)
        lines.append(f"  {point.label}, {amount}{each}{order}")
    if len(targets) > 1 and blocks < FEWEST_BLOCKS and not (goes_on or load.sweep):
        lines.append(f"  too few blocks for a verdict, use at least {FEWEST_BLOCKS}")
    if len(targets) > 1:
        lines.append("  " + ", ".join(f"{letter} {name}" for name, letter in letters.items()))
    if afterwards := _afterwards(profile):
        lines.append(f"  then, of each target: {afterwards}")
    if load.sweep:
        lines.append("  then nine rates of each target, up to one that it cannot keep up with")
    if load.sweep or any(point.IS_OPEN for point in points):
        lines.append(f"  at most {load.max_in_flight} requests in flight in an open loop, others are dropped")
    if at_once := stability_points(profile):
        words = ", ".join(str(point.slots) for point in at_once)
        lines.append(f"  and one prompt at concurrency {words}: are its answers identical?")
    return lines


def assumed_words(profile: Profile, plan: Sequence[Segment]) -> str:
    """About how long the plan takes, in words, where no rate is known."""
    minutes = max(1, round(estimate_s(profile, plan) / 60))
    return (
        f"about {minutes} min if every answer has its {profile.request.max_tokens} tokens and they come at "
        f"{ASSUMED_TOK_S:g} a second"
    )


def stability_points(profile: Profile, measured: Collection[LoadPoint] | None = None) -> list[LoadPoint]:
    """At which load one prompt is asked as often as there are slots, to compare its answers: alone first. Empty where
    nothing is compared: answers can only be expected to be the same where nothing is drawn by lot.

    With `measured`, levels that no time was left for are not compared either."""
    points = [point for point in profile.load.points() if not point.IS_OPEN and (measured is None or point in measured)]
    if not profile.checks.stability or profile.request.temperature > 0 or all(point.slots == 1 for point in points):
        return []
    return list(dict.fromkeys((ALONE, *points)))


def _afterwards(profile: Profile) -> str:
    """What is asked of a target once its load is done."""
    checks = profile.checks
    calls = len(checks.tool_calls) or 1
    tools = ("a tool call" if calls == 1 else f"{calls} tool calls") if checks.include_tool_call else ""
    skills = f"skills {', '.join(skill.name for skill in checks.include_skills)}" if checks.include_skills else ""
    return ", ".join(part for part in (tools, skills) if part)


def assumed_answer_s(tokens: int) -> float:
    """About how many seconds an answer of so many tokens takes."""
    return _ASSUMED_TTFT_S + tokens / ASSUMED_TOK_S


def loaded_s(segment: Segment, each_s: float) -> float:
    """About how many seconds a segment takes once it is warm, given how long an answer takes."""
    return min(_sending_s(segment, each_s), math.inf if segment.duration is None else segment.duration + each_s)


def _sending_s(segment: Segment, each_s: float) -> float:
    point, requests = segment.load_point, segment.requests
    if point.kind == "replay":
        return _ASSUMED_REPLAY_S + each_s
    if requests is None:
        return math.inf
    return requests / point.rate + each_s if point.kind == "open" else math.ceil(requests / point.slots) * each_s


def estimate_s(profile: Profile, plan: Sequence[Segment]) -> float:
    """About how many seconds the plan takes if each answer has all its tokens and comes at `ASSUMED_TOK_S`."""
    each_s = assumed_answer_s(profile.request.max_tokens)
    total = 0.0
    for segment in plan:
        total += segment.warmup * each_s + loaded_s(segment, each_s)
    return total + profile.load.pause * max(0, len(plan) - 1)
