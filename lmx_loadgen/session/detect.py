"""As many rounds at each level as show a difference that the user named: `--detect 5%`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lmx_loadgen.analysis.comparison.power import FEWEST_ROUNDS, POWER, Precision
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.history import History
from lmx_loadgen.session.plan import FIRST_ROUNDS, Segment, blocks_of, more_rounds
from lmx_loadgen.session.stop_rules import MaxDuration
from lmx_loadgen.session.strategy import ROUNDS_PER_STEP, Repeats, first_open

# Given a level's load point: what its rounds say by what has been measured so far; None where they say nothing.
Precise = Callable[[LoadPoint], Precision | None]


@dataclass
class Detect:
    """Two rounds at each level, then as many as they say that a difference of `effect` takes, level by level.

    What they say is asked again once these are made, and more are added where rounds scatter more than it seemed. Only
    the scatter decides, never the difference itself. `say` is told after each pair of rounds. Of a run that was
    resumed, what had begun was decided before.
    """

    profile: Profile
    targets: Sequence[str]
    plan: Sequence[Segment]
    repeats: Repeats
    effect: float
    precise: Precise
    limit: MaxDuration
    most_rounds: int
    say: Callable[[str], None]
    _levels: dict[LoadPoint, list[Segment]] = field(init=False)
    _wanted: dict[LoadPoint, int] = field(default_factory=dict)
    _closed: set[LoadPoint] = field(default_factory=set)

    def __post_init__(self) -> None:
        points = dict.fromkeys(segment.load_point for segment in self.plan)
        self._levels = {point: [one for one in self.plan if one.load_point == point] for point in points}

    def next(self, history: History) -> Segment | None:
        for point, segments in self._levels.items():
            if point in self._closed:
                continue
            if found := self.repeats.next(history, segments) or first_open(segments, history):
                return found
            while self._goes_on(point, history):
                segments += self._more(point)
                if found := first_open(segments, history):
                    return found
            self._closed.add(point)
        return None

    def _goes_on(self, point: LoadPoint, history: History) -> bool:
        """Look at the scatter: whether the level gets another pair of rounds."""
        have = rounds_of(self._levels[point])
        if history.aborted:
            return False
        if have < history.begun.get(point, 0):
            return True
        found = self.precise(point)
        if found is None:
            return False
        if have >= FEWEST_ROUNDS:  # fewer say little but how many it takes
            self.say(f"{point.label}, {have} rounds: {found.words}")
        if have >= self._wanted.get(point, 0):
            self._wanted[point] = min(self.most_rounds, found.needed)
            if self._wanted[point] > have:
                self.say(f"{point.label}: {self._wanted[point]} rounds planned, by the scatter of the first {have}")
        if have >= self._wanted[point]:
            if found.detectable > self.effect:
                self.say(f"{point.label}: {percent(self.effect)} takes more than {self.most_rounds} rounds")
            return False
        if not self.limit.has_room_for(ROUNDS_PER_STEP * self._round_s(point, history)):
            self.say(f"{point.label}: no time for the {self._wanted[point]} rounds that {percent(self.effect)} takes")
            return False
        return True

    def _round_s(self, point: LoadPoint, history: History) -> float:
        return history.round_s(point, len(self.targets)) + len(self.targets) * self.profile.load.pause

    def _more(self, point: LoadPoint) -> list[Segment]:
        have, planned = rounds_of(self._levels[point]), blocks_of(self.profile.load, len(self.targets))
        return more_rounds(self.profile, self._levels[point], range(have, have + ROUNDS_PER_STEP), planned)


def rounds_of(segments: Sequence[Segment]) -> int:
    """How many rounds these segments of a level are."""
    return len({segment.block for segment in segments})


def detect_words(effect: float, most_rounds: int, max_min: float) -> list[str]:
    """What the plan says of it."""
    return [
        f"then, at each level, as many rounds as find a difference of {percent(effect)} with {percent(POWER)} power,",
        f"by how far the first {FIRST_ROUNDS} lie apart: up to {most_rounds} blocks of each, and none begun that would "
        f"end after {max_min:g} min",
    ]
