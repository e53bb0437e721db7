"""As much as fits into a time: `--budget 5m`."""

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from lmx_loadgen.profile.load_point import ALONE, LoadPoint
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.detect import Precise
from lmx_loadgen.session.history import History
from lmx_loadgen.session.plan import FEWEST_BLOCKS, PROBES, Segment, blocks_of, more_rounds, stability_points
from lmx_loadgen.session.stop_rules import MaxDuration
from lmx_loadgen.session.strategy import Repeats, by_level, first_open, rounds_of

_PROBE_REQUESTS = PROBES + 1
# A tool call's answer is seldom longer than others.
_CHECK_ANSWERS = 1.0
# Answers that a slot must have time for in a block, beside the warm-up, or the block is not worth its while.
_LEAST_ANSWERS = 2


def _slots(point: LoadPoint) -> int:
    return point.slots


@dataclass(frozen=True)
class Costs:
    """What things take in seconds, by what has been measured; before that, by what a plan's estimate goes by."""

    profile: Profile
    targets: int
    assumed_s: float

    def answer_s(self, point: LoadPoint, history: History) -> float:
        """How long an answer takes at a load point; where none was measured there, at the next lighter one."""
        lighter = sorted((one for one in self.profile.load.points() if one.slots <= point.slots), key=_slots)
        known = [seconds for one in lighter if (seconds := history.answer_s(one)) is not None]
        return known[-1] if known else self.assumed_s

    def checks_s(self, history: History, left_out: Collection[LoadPoint] = ()) -> float:
        """What is asked of the targets once their load is done. A probe's answers are short, but most of an answer's
        time may be its prompt's."""
        alone = self.answer_s(ALONE, history)
        each = _PROBE_REQUESTS * alone
        measured = [point for point in self.profile.load.points() if point not in left_out]
        each += sum(self.answer_s(point, history) for point in stability_points(self.profile, measured))
        checks = self.profile.checks
        each += _CHECK_ANSWERS * alone * (len(checks.tool_calls) or 1 if checks.include_tool_call else 0)
        return self.targets * each

    def least_round_s(self, point: LoadPoint, history: History) -> float:
        """The shortest round that says anything."""
        answers = self.profile.load.warmup + _LEAST_ANSWERS
        return self.targets * (answers * self.answer_s(point, history) + self.profile.load.pause)

    def usual_round_s(self, point: LoadPoint, requests: int | None, history: History) -> float:
        answer_s = self.answer_s(point, history)
        if point.kind == "open":
            sending_s = (requests or _LEAST_ANSWERS) / point.rate + answer_s
        else:
            sending_s = (math.ceil(requests / point.slots) if requests else _LEAST_ANSWERS) * answer_s
        return self.targets * (self.profile.load.warmup * answer_s + sending_s + self.profile.load.pause)


@dataclass
class WithinBudget:
    """Rounds level by level until the time is up, with what is left of it shared among the levels that are left.

    Heavy levels for which there is no time are left out, and blocks are cut to the time there is for three rounds. A
    round is begun only where it should end in time. `say` is told what the rounds can show, and what was left out.
    """

    profile: Profile
    targets: Sequence[str]
    plan: Sequence[Segment]
    repeats: Repeats
    limit: MaxDuration
    costs: Costs
    most_rounds: int
    say: Callable[[str], None]
    precise: Precise = lambda point: None
    _levels: dict[LoadPoint, list[Segment]] = field(init=False)
    _began: dict[LoadPoint, float] = field(default_factory=dict)
    _left_out: list[LoadPoint] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._levels = by_level(self.plan)

    @property
    def _fewest(self) -> int:
        return FEWEST_BLOCKS if len(self.targets) > 1 else 1

    def _for_load_s(self, history: History) -> float:
        """How many seconds are left for load."""
        return self.limit.left_s() - self.costs.checks_s(history, self._left_out)

    def next(self, history: History) -> Segment | None:
        while self._levels and not history.aborted.keys() >= set(self.targets):
            point, segments = next(iter(self._levels.items()))
            self._began.setdefault(point, time.monotonic())
            self._leave_out(point, history)
            if found := self.repeats.next(history, segments) or first_open(segments, history):
                return self._cut(found, history)
            if self._has_time(point, history):
                have = rounds_of(segments)
                planned = blocks_of(self.profile.load, len(self.targets))
                segments += more_rounds(self.profile, segments, range(have, have + 1), planned)
                continue
            self._close(point)
        return None

    def _leave_out(self, point: LoadPoint, history: History) -> None:
        """Leave out the heaviest levels that there is no time for, once it is known how long answers take."""
        if not history.took_s:
            return
        done = {key.block for key, _ in history.took_s if key.load_point == point}
        rounds_left = max(0, self._fewest - len(done))
        while others := [one for one in self._levels if one != point]:
            needed_s = self._needed_s(others, history) + rounds_left * self.costs.least_round_s(point, history)
            if needed_s <= self._for_load_s(history):
                return
            heaviest = max(others, key=_slots)
            del self._levels[heaviest]
            self._left_out.append(heaviest)
            self.say(f"no time for {heaviest.label} within the budget")

    def _needed_s(self, points: Sequence[LoadPoint], history: History) -> float:
        return sum(self._fewest * self.costs.least_round_s(one, history) for one in points)

    def _left_s(self, point: LoadPoint, history: History) -> float:
        """How many seconds are left for a level: its share of what there is for all that are left, by what a usual
        round of each takes, and no more than leaves the others the least that they need."""
        usual = {
            one: self.costs.usual_round_s(one, segments[0].requests, history) for one, segments in self._levels.items()
        }
        of_all = self._for_load_s(history)
        took = time.monotonic() - self._began[point]
        share = (of_all + took) * usual[point] / sum(usual.values()) - took
        others = [one for one in self._levels if one != point]
        return min(share, of_all - self._needed_s(others, history)) if history.took_s else share

    def _cut(self, segment: Segment, history: History) -> Segment:
        """The segment, cut to the time there is for what the level needs at least: it then sends no longer than that,
        and waits for what is in flight."""
        done = {one.key for one in self._levels[segment.load_point] if history.is_finished(one)}
        open_blocks = max(1, self._fewest * len(self.targets) - len(done))
        left_s = self._left_s(segment.load_point, history)
        slice_s = left_s / open_blocks - self.profile.load.pause
        answer_s = self.costs.answer_s(segment.load_point, history)
        if not history.took_s:  # nobody knows yet
            answer_s = min(answer_s, slice_s / (segment.warmup + 1 + _LEAST_ANSWERS))
        sending_s = max(slice_s - (segment.warmup + 1) * answer_s, answer_s / 2)
        known = segment.duration
        return replace(segment, duration=sending_s if known is None else min(known, sending_s))

    def _has_time(self, point: LoadPoint, history: History) -> bool:
        """Whether another round of the level should end in time."""
        segments = self._levels[point]
        took_s = history.round_s(point, len(self.targets)) + len(self.targets) * self.profile.load.pause
        has_room = took_s <= self._left_s(point, history)
        return has_room and rounds_of(segments) < self.most_rounds and not history.aborted

    def _close(self, point: LoadPoint) -> None:
        segments = self._levels.pop(point)
        found = self.precise(point)
        if found is not None:
            self.say(f"{point.label}, {rounds_of(segments)} rounds: {found.words}")
