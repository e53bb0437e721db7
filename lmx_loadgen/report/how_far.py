"""How far a run is, and how long it will still take, by what has been measured of it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.session.view import PlannedSegment


@dataclass
class HowFar:
    """The plan, and what has come of it. Seconds are of whole segments: the pause before, the warm-up, the load.

    A segment that nobody planned, or that is measured again, makes the plan longer as it begins.
    """

    waiting: list[PlannedSegment] = field(default_factory=list)
    current: PlannedSegment | None = None
    ended: int = 0
    _took: dict[tuple[str, LoadPoint], list[float]] = field(default_factory=lambda: defaultdict(list))
    _planned_s: float = 0.0
    _took_s: float = 0.0

    def plan(self, segments: Sequence[PlannedSegment]) -> None:
        self.waiting = list(segments)

    def begin(self, target: str, load_point: LoadPoint, block: int) -> None:
        """A segment begins; one that had begun without an end is forgotten."""
        found = next((one for one in self.waiting if one.key == (target, load_point, block)), None)
        if found is None:
            known = [one.seconds for one in self.waiting if one.load_point == load_point]
            found = PlannedSegment(target, load_point, block, known[0] if known else self._usual_s())
        else:
            self.waiting.remove(found)
        self.current = found

    def end(self, seconds: float) -> None:
        """The segment is over; it took so long."""
        if self.current is None:
            return
        self._took[self.current.target, self.current.load_point].append(seconds)
        self._planned_s += self.current.seconds
        self._took_s += seconds
        self.ended += 1
        self.current = None

    @property
    def number(self) -> int:
        """Which segment this is, from 1."""
        return self.ended + (self.current is not None)

    @property
    def total(self) -> int:
        return self.number + len(self.waiting)

    def share(self, of_current: float) -> float:
        """How much of the run is done, where `of_current` of the segment under way is."""
        left = self._planned_left_s(of_current)
        done = self._planned_s + (of_current * self.current.seconds if self.current else 0.0)
        return done / (done + left) if done + left > 0 else 0.0

    def left_s(self, of_current: float) -> float | None:
        """How many seconds are left, each segment as long as those of its target and load were; where none was, as the
        plan's estimate has it, corrected by how far it was out so far. None before a segment has ended."""
        if not self.ended:
            return None
        current = [] if self.current is None else [(1 - of_current) * self._expected_s(self.current)]
        return sum([*current, *map(self._expected_s, self.waiting)])

    def _expected_s(self, one: PlannedSegment) -> float:
        took = self._took.get((one.target, one.load_point))
        if took:
            return fmean(took)
        return one.seconds * (self._took_s / self._planned_s if self._planned_s else 1.0)

    def _planned_left_s(self, of_current: float) -> float:
        current = 0.0 if self.current is None else (1 - of_current) * self.current.seconds
        return current + sum(one.seconds for one in self.waiting)

    def _usual_s(self) -> float:
        return self._planned_s / self.ended if self.ended else 1.0
