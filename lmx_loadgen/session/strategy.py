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
    _levels: dict[LoadPoint, list[Segment]] = field(init=False)
    _began: dict[LoadPoint, float] = field(default_factory=dict)
    _closed: set[LoadPoint] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._planned = blocks_of(self.profile.load, len(self.targets))
        levels = dict.fromkeys(segment.load_point for segment in self.plan)
        self._levels = {point: [one for one in self.plan if one.load_point == point] for point in levels}

    def next(self, history: History) -> Segment | None:
        for point, segments in self._levels.items():
            if point in self._closed:
                continue
            self._began.setdefault(point, time.monotonic())
            if found := self.repeats.next(history, segments) or first_open(segments, history):
                return found
            while self._goes_on(point, history):
                segments += self._more(point)
                if found := first_open(segments, history):
                    return found
            self._closed.add(point)
        return None

    def _goes_on(self, point: LoadPoint, history: History) -> bool:
        """Look: whether the level gets another pair of rounds."""
        blocks = self._blocks(point)
        if history.aborted or blocks >= self.most_blocks:
            return False
        if blocks < history.begun.get(point, 0):
            return True
        each_s = (time.monotonic() - self._began[point]) / blocks
        return not self.conclusive(point) and self.limit.has_room_for(ROUNDS_PER_STEP * each_s)

    def _more(self, point: LoadPoint) -> list[Segment]:
        blocks = self._blocks(point)
        wanted = range(blocks, blocks + ROUNDS_PER_STEP)
        return more_rounds(self.profile, self._levels[point], wanted, self._planned)

    def _blocks(self, point: LoadPoint) -> int:
        return len({segment.block for segment in self._levels[point]})


def first_open(segments: Sequence[Segment], history: History) -> Segment | None:
    """The first segment that is neither measured nor of a target that gets no more load."""
    wanted = (one for one in segments if not history.is_finished(one) and one.target not in history.aborted)
    return next((replace(one, attempt=history.again[one.load_point, one.block]) for one in wanted), None)
