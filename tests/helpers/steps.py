"""A run without servers: the runner goes through its plan, and each segment is only noted."""

from types import SimpleNamespace
from typing import Any

from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.plan import Segment, make_plan
from lmx_loadgen.session.runner import Runner, UntilConclusive
from lmx_loadgen.session.stop_rules import ErrorLimits


class Steps:
    """Stands in for a run's job maker, recorder and driver: notes the segments that are run, and measures nothing.

    It has what the runner calls and no more, so that a part that is renamed is missed here too.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.answered: set[str] = set()
        self.again: list[tuple[int, int, list[int]]] = []
        self.error_limits = ErrorLimits()

    def jobs(self, segment: Segment, target: object, workers: int) -> list[object]:
        return []

    def probe(self, segment: Segment, target: object, workers: int, first: int) -> list[object]:
        return []

    def stability(self, segment: Segment, target: object, workers: int) -> list[object]:
        return []

    def begin(self, segment: Segment, *, phase: str | None = None) -> None:
        self.segments.append(segment)

    def run(self, *arguments: object) -> object:
        return SimpleNamespace(stopped=None)

    def renew_nonces(self) -> None:
        """Prompts get other nonces."""

    def measure_again(self, level: int, block: int, segments: list[int]) -> None:
        self.again.append((level, block, segments))

    def measuring(self) -> None:
        """A segment's warm-up is over."""

    def end_segment(self, end: object) -> None:
        """A segment was ended."""

    def host_state(self, when: str, state: object) -> None:
        """The machine's state beside a segment."""


def course(steps: Steps, profile: Profile, until: UntilConclusive | None) -> Runner:
    parts: dict[str, Any] = {"jobs": steps, "recorder": steps, "driver": steps, "targets": {"a": None, "b": None}}
    plan = make_plan(profile, ["a", "b"])
    return Runner(profile=profile, plan=plan, workers=1, stop=lambda: False, until=until, probe=False, **parts)
