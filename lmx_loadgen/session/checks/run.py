"""All checks of one target, one after the other, each handed over as a line of the event log."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.analysis.digest import digest
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.client import CheckClient
from lmx_loadgen.session.checks.same_work import SameWorkChecks
from lmx_loadgen.session.checks.server_benchmark import run_server_benchmark
from lmx_loadgen.session.checks.skills import run_skills
from lmx_loadgen.session.checks.tool_call import ask_for_call, wanted
from lmx_loadgen.targets.base import Target


@dataclass(frozen=True)
class CheckRunner:
    """What a profile asks of each target beside the load. A check that fails is a finding, never an error.

    Args:
        record: is given the fields of each `check` line.
        benchmark_prompt: what servers are to measure themselves with, those that can; None where they are not to.
        done: what need not be asked again, by `key_of`.
        same_work: asks what a comparison is checked by; None where there is no time for it.
        count_tokens: asks for one answer in one piece where the streamed ones have no count; None where it is not to.
    """

    profile: Profile
    ask: CheckClient
    stop: Callable[[], bool]
    record: Callable[[Target, dict[str, Any]], None]
    benchmark_prompt: str | None = None
    done: frozenset[tuple[str, str, str]] = frozenset()
    same_work: SameWorkChecks | None = None
    count_tokens: Callable[[Target], dict[str, Any] | None] | None = None

    def __bool__(self) -> bool:
        checks = self.profile.checks
        others = (self.benchmark_prompt, self.same_work, self.count_tokens)
        return bool(checks.include_tool_call or checks.include_skills or any(one is not None for one in others))

    def __call__(self, target: Target) -> None:
        """Do them all, unless the run is to stop; the log gets a line as each is done."""
        for lines in self._all(target):
            for line in lines:
                self.record(target, line)
            if self.stop():
                return

    def _all(self, target: Target) -> Iterator[list[dict[str, Any]]]:
        checks = self.profile.checks
        if self.same_work is not None:
            yield from self.same_work(target)
        if self.count_tokens is not None and (target.name, "token_count", "") not in self.done:
            counted = self.count_tokens(target)
            yield [counted] if counted is not None else []
        for spec in wanted(checks):
            if self.done.isdisjoint((target.name, "tool_call", one) for one in (spec.prompt, digest(spec.prompt))):
                yield [ask_for_call(target, spec, self.ask, self._bound_s())]
        skills = [spec for spec in checks.include_skills if (target.name, "skill", spec.name) not in self.done]
        yield run_skills(target, checks.model_copy(update={"include_skills": skills}), self.ask)
        if self.benchmark_prompt is not None and (target.name, "server_benchmark", "") not in self.done:
            yield [run_server_benchmark(target, self.profile, self.benchmark_prompt, self.ask)]

    def _bound_s(self) -> float:
        return min(self.profile.timeouts.request, self.profile.timeouts.first_token + self.profile.timeouts.gap)
