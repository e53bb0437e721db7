"""What a search for a server's capacity measures next, within a time."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lmx_loadgen.analysis.capacity_search import Ladder, Tried, edge
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.history import History
from lmx_loadgen.session.plan import Segment, assumed_answer_s
from lmx_loadgen.session.stop_rules import MaxDuration
from lmx_loadgen.store.segment_key import LOAD, SegmentKey

_LEAST_IN_BLOCK, _WAVES = 20, 3
# A queue takes its time to form: a block of an open loop lasts for as long as so many answers.
_LEAST_OPEN_S, _LEAST_DUE, _ANSWERS = 30.0, 50, 30
# A block that could send for less is not worth its while.
_LEAST_S = 1.0

# Given a target's name: what was measured of it so far, by level of the ladder.
TriedOf = Callable[[str], Mapping[int, Tried]]


@dataclass
class CapacitySearch:
    """One block after the other, of the target that has had fewest, where its search says; `say` is told each step."""

    profile: Profile
    targets: Sequence[str]
    ladder: Ladder
    share: float
    tried: TriedOf
    limit: MaxDuration
    say: Callable[[str], None]
    _closed: set[str] = field(default_factory=set)

    def next(self, history: History) -> Segment | None:
        open_targets = [name for name in self.targets if name not in self._closed and name not in history.aborted]
        for name in sorted(open_targets, key=lambda name: _blocks(history, name)):
            tried = self.tried(name)
            level = edge(tried, self.ladder, self.share).following
            if level is None:
                self._closed.add(name)
                continue
            segment = self._block(name, level, history)
            if segment is None:
                self.say("no time for another block")
            return segment
        return None

    def _block(self, target: str, level: int, history: History) -> Segment | None:
        """The next block of a level, as long as there is time for one; it then sends no longer than that."""
        point, answer_s = self.ladder.point(level), self._answer_s(self.ladder.point(level), history)
        block = _blocks(history, target, point)
        sending_s = self.limit.left_s() - answer_s
        if sending_s < _LEAST_S:
            return None
        requests: int | None = max(_LEAST_IN_BLOCK, _WAVES * point.slots)
        offset = block * max(_LEAST_IN_BLOCK, _WAVES * point.slots)
        if point.kind == "open":
            wanted_s = max(_LEAST_OPEN_S, _LEAST_DUE / point.rate, _ANSWERS * answer_s)
            requests, sending_s, offset = None, min(sending_s, wanted_s), block * math.ceil(point.rate * wanted_s)
        warmup = 0 if block else self.profile.load.warmup
        return Segment(SegmentKey(target, point, block), requests, sending_s, warmup, offset)

    def _answer_s(self, point: LoadPoint, history: History) -> float:
        """About how long an answer takes: as at the nearest load that is known."""
        known = sorted(
            (abs(math.log(at.likely_in_flight / point.likely_in_flight)), seconds)
            for at in {key.load_point for key, _ in history.took_s}
            if (seconds := history.answer_s(at)) is not None
        )
        return known[0][1] if known else min(assumed_answer_s(self.profile.request.max_tokens), self.limit.left_s() / 2)


class Deadline:
    """Ends whatever runs when the time of a search is up; what is cut off then is not counted."""

    def __init__(self, limit: MaxDuration) -> None:
        self._limit = limit

    @property
    def why(self) -> Stop | None:
        return Stop("interrupted", "the time was up") if self._limit.left_s() <= 0 else None


def time_left(within_s: float, began: float, spent_s: float) -> MaxDuration:
    """The time of a search whose set-up began at a moment of the monotonic clock, in seconds."""
    return MaxDuration(within_s - (time.monotonic() - began), spent_s)


def _blocks(history: History, target: str, point: LoadPoint | None = None) -> int:
    """How many blocks of a target were measured, at all loads or at one."""
    loads = (key for key in history.finished if key.phase == LOAD and key.target == target)
    return sum(point is None or key.load_point == point for key in loads)
