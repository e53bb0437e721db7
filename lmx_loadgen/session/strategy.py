"""Decides what is measured next, by what has been measured: a fixed plan, or until the verdicts are conclusive."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.history import History
from lmx_loadgen.session.plan import Segment, blocks_of, more_rounds
from lmx_loadgen.session.stop_rules import MaxDuration

ROUNDS_PER_STEP = 2
MOST_AGAIN = 2

# Given a load point and a block: whether this machine moved the figures of that round.
Tainted = Callable[[LoadPoint, int], bool]
# Given a level's load point: whether its verdicts are conclusive by what has been measured so far.
Conclusive = Callable[[LoadPoint], bool]


class Strategy(Protocol):
    """Decides what is measured next."""

    def next(self, history: History) -> Segment | None:
        """The segment to measure now, by its key and attempt; None when nothing is left. It is asked again once that
        segment is in `history`."""


@dataclass(frozen=True)
class Repeats:
    """Measures a round again that this machine delayed, at most `MOST_AGAIN` times a level: a verdict is refused only
    after that. It is judged once its last segment is measured; alone, a target has no rounds."""

    tainted: Tainted

    def next(self, history: History, known: Sequence[Segment]) -> Segment | None:
        """The first segment of the round that has just been measured, where all of it is to be measured again."""
        if not history.measured or history.aborted:
            return None
        last = history.measured[-1]
        of_round = [one for one in known if (one.load_point, one.block) == (last.load_point, last.block)]
        is_whole = len(of_round) > 1 and all(map(history.is_finished, of_round))
        if (
            not is_whole
            or history.again_at(last.load_point) >= MOST_AGAIN
            or not self.tainted(last.load_point, last.block)
        ):
            return None
        return replace(of_round[0], attempt=history.again[last.load_point, last.block] + 1)


@dataclass(frozen=True)
class FixedPlan:
    """A plan in its order, and rounds again that were tainted."""

    plan: Sequence[Segment]
    repeats: Repeats

    def next(self, history: History) -> Segment | None:
        return self.repeats.next(history, self.plan) or first_open(self.plan, history)


@dataclass
class GrowingLevels:
    """The plan's segments level by level, and more rounds of a level once these are measured.

    `began` is when a level was first asked for, in seconds of the monotonic clock.
    """

    profile: Profile
    targets: Sequence[str]
    plan: Sequence[Segment]
    repeats: Repeats
    began: dict[LoadPoint, float] = field(default_factory=dict)
    _closed: set[LoadPoint] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._planned = blocks_of(self.profile.load, len(self.targets))
        self._levels = by_level(self.plan)

    def next(self, history: History, goes_on: Callable[[LoadPoint], bool]) -> Segment | None:
        """The next segment; `goes_on` is asked whether a level gets another pair of rounds."""
        for point, segments in self._levels.items():
            if point in self._closed:
                continue
            self.began.setdefault(point, time.monotonic())
            if found := self.repeats.next(history, segments) or first_open(segments, history):
                return found
            while goes_on(point):
                have = rounds_of(segments)
                wanted = range(have, have + ROUNDS_PER_STEP)
                segments += more_rounds(self.profile, segments, wanted, self._planned)
                if found := first_open(segments, history):
                    return found
            self._closed.add(point)
        return None

    def rounds(self, point: LoadPoint) -> int:
        return rounds_of(self._levels[point])


@dataclass
class UntilConclusive:
    """A plan, level by level, and more rounds at each level until it is conclusive, or has `most_blocks`, or there is
    no time left for another pair of rounds.

    A look at the verdicts comes after the planned rounds and after each pair. Of a run that was resumed, what had begun
    was decided before.
    """

    profile: Profile
    targets: Sequence[str]
    plan: Sequence[Segment]
    repeats: Repeats
    conclusive: Conclusive
    limit: MaxDuration
    most_blocks: int

    def __post_init__(self) -> None:
        self._levels = GrowingLevels(self.profile, self.targets, self.plan, self.repeats)

    def next(self, history: History) -> Segment | None:
        return self._levels.next(history, lambda point: self._goes_on(point, history))

    def _goes_on(self, point: LoadPoint, history: History) -> bool:
        """Look: whether the level gets another pair of rounds."""
        blocks = self._levels.rounds(point)
        if history.aborted or blocks >= self.most_blocks:
            return False
        if blocks < history.begun.get(point, 0):
            return True
        each_s = (time.monotonic() - self._levels.began[point]) / blocks
        return not self.conclusive(point) and self.limit.has_room_for(ROUNDS_PER_STEP * each_s)


def by_level(plan: Sequence[Segment]) -> dict[LoadPoint, list[Segment]]:
    """The segments of each level, in the plan's order."""
    levels: dict[LoadPoint, list[Segment]] = {}
    for segment in plan:
        levels.setdefault(segment.load_point, []).append(segment)
    return levels


def rounds_of(segments: Sequence[Segment]) -> int:
    """How many rounds these segments of a level are."""
    return len({segment.block for segment in segments})


def first_open(segments: Sequence[Segment], history: History) -> Segment | None:
    """The first segment that is neither measured nor of a target that gets no more load."""
    wanted = (one for one in segments if not history.is_finished(one) and one.target not in history.aborted)
    return next((replace(one, attempt=history.again[one.load_point, one.block]) for one in wanted), None)
