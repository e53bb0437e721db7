"""As many rounds at each level as show a difference that the user named: `--detect 5%`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lmx_loadgen.analysis.comparison.power import FEWEST_ROUNDS, POWER, Precision
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.history import History
from lmx_loadgen.session.plan import FIRST_ROUNDS, Segment
from lmx_loadgen.session.stop_rules import MaxDuration
from lmx_loadgen.session.strategy import ROUNDS_PER_STEP, GrowingLevels, Repeats

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
    _wanted: dict[LoadPoint, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._levels = GrowingLevels(self.profile, self.targets, self.plan, self.repeats)

    def next(self, history: History) -> Segment | None:
        return self._levels.next(history, lambda point: self._goes_on(point, history))

    def _goes_on(self, point: LoadPoint, history: History) -> bool:
        """Look at the scatter: whether the level gets another pair of rounds."""
        have = self._levels.rounds(point)
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


def detect_words(effect: float, most_rounds: int, max_min: float) -> list[str]:
    """What the plan says of it."""
    return [
        f"then, at each level, as many rounds as find a difference of {percent(effect)} with {percent(POWER)} power,",
        f"by how far the first {FIRST_ROUNDS} lie apart: up to {most_rounds} blocks of each, and none begun that would "
        f"end after {max_min:g} min",
    ]
