"""All checks of one target, one after the other, each handed over as a line of the event log."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.checks.asking import Asker
from lmx_loadgen.checks.server_benchmark import run_server_benchmark
from lmx_loadgen.checks.skills import run_skills
from lmx_loadgen.checks.tool_call import ask_for_call, wanted
from lmx_loadgen.profile import Profile
from lmx_loadgen.targets.base import Target


@dataclass(frozen=True)
class Checks:
    """What a profile asks of each target beside the load. A check that fails is a finding, never an error.

    Args:
        noted: is given the fields of each `check` line.
        server_benchmark: whether servers that can are to measure themselves.
    """

    profile: Profile
    ask: Asker
    stop: Callable[[], bool]
    noted: Callable[[Target, dict[str, Any]], None]
    server_benchmark: bool = False

    def __bool__(self) -> bool:
        checks = self.profile.checks
        return bool(checks.include_tool_call or checks.include_skills or self.server_benchmark)

    def __call__(self, target: Target) -> None:
        """Do them all, unless the run is to stop; the log gets a line as each is done."""
        for lines in self._all(target):
            for line in lines:
                self.noted(target, line)
            if self.stop():
                return

    def _all(self, target: Target) -> Iterator[list[dict[str, Any]]]:
        for spec in wanted(self.profile.checks):
            yield [ask_for_call(target, spec, self.ask, self._bound_s())]
        yield run_skills(target, self.profile.checks, self.ask)
        if self.server_benchmark:
            yield [run_server_benchmark(target, self.profile, self.ask)]

    def _bound_s(self) -> float:
        return min(self.profile.timeouts.request, self.profile.timeouts.first_token + self.profile.timeouts.gap)
