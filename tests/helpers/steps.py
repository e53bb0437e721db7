"""A run without servers: the runner does what its strategy says, and each segment is only noted."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.history import History
from lmx_loadgen.session.plan import Segment, make_plan
from lmx_loadgen.session.resume import ResumeState
from lmx_loadgen.session.runner import Runner
from lmx_loadgen.session.segment_run import Parts, SegmentRun
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.stop_rules import MaxDuration, StopRules
from lmx_loadgen.session.strategy import FixedPlan, Repeats, UntilConclusive
from lmx_loadgen.session.view import Silent


class Steps:
    """Stands in for a run's job maker, recorder and driver: notes the segments that are run, and measures nothing.

    It has what the runner and a segment call and no more, so that a part that is renamed is missed here too.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.again: list[tuple[LoadPoint, int]] = []
        self.stop = StopFlag()

    def jobs(self, segment: Segment, target: object, workers: int) -> list[object]:
        return []

    def probe(self, segment: Segment, target: object, workers: int, first: int) -> list[object]:
        return []

    def stability(self, segment: Segment, target: object, workers: int) -> list[object]:
        return []

    def run(self, jobs: object, stagger_ns: object, listener: SegmentRun) -> object:
        self.segments.append(listener.segment)
        return SimpleNamespace(stopped=None)

    def measure_again(self, point: LoadPoint, block: int) -> None:
        self.again.append((point, block))

    def segment_end(self, segment: Segment, end: object) -> None:
        """A segment was ended."""

    def host_state(self, segment: Segment, when: str, state: object) -> None:
        """The machine's state beside a segment."""


class Until(NamedTuple):
    """Until which verdicts, for how many seconds, with how many blocks at most."""

    conclusive: Callable[[LoadPoint], bool]
    max_s: float
    most_blocks: int


def course(
    steps: Steps,
    profile: Profile,
    until: Until | None = None,
    *,
    resumed: ResumeState | None = None,
    tainted: Callable[[LoadPoint, int], bool] = lambda point, block: False,
    names: Sequence[str] = ("a", "b"),
    probe: bool = False,
) -> Runner:
    """The runner of such a run; of its targets there are only names."""
    plan, history, repeats = make_plan(profile, names), History.of(resumed), Repeats(tainted)
    strategy: FixedPlan | UntilConclusive = FixedPlan(plan, repeats)
    if until is not None:
        limit = MaxDuration(until.max_s, history.spent_s)
        strategy = UntilConclusive(profile, names, plan, repeats, until.conclusive, limit, until.most_blocks)
    stand_in: Any = steps
    parts = Parts(stand_in, stand_in, history, StopRules(profile), steps.stop, Silent(), host_state=dict)
    targets: Any = {name: SimpleNamespace(name=name) for name in names}
    return Runner(profile, targets, strategy, parts, stand_in, 1, probe)
