"""The course of a run once everything is ready: segment after segment, pauses between them, a probe of the cache."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lmx_loadgen.load.driver import Driver
from lmx_loadgen.load.messages import INTERRUPTED, Job
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.jobs import JobMaker, spread_ns
from lmx_loadgen.session.plan import Segment, blocks_of, rounds, stability_levels
from lmx_loadgen.session.recorder import Recorder
from lmx_loadgen.session.resume import ResumeState
from lmx_loadgen.system import host
from lmx_loadgen.targets.base import Target

ROUNDS_PER_STEP = 2
_TICK_S = 0.05

# Given a level: whether its verdicts are conclusive by what has been measured so far.
Conclusive = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class UntilConclusive:
    """Add rounds to a level until it is conclusive or has `most_blocks`, or the whole run has taken `max_s` seconds."""

    conclusive: Conclusive
    max_s: float
    most_blocks: int


@dataclass
class Runner:
    """Runs the plan of one run. `run` raises the LoadgenError that ends it early; what was sent is recorded.

    A target whose level was stopped, for its errors or its silence, gets no more load: what its other levels would show
    is not worth the wait. `aborted` has the sentence that says so. Other targets go on.
    With a `resume_state` it goes the same way again, and skips what is finished.
    """

    profile: Profile
    plan: Sequence[Segment]
    targets: Mapping[str, Target]
    jobs: JobMaker
    workers: int
    recorder: Recorder
    driver: Driver
    stop: Callable[[], bool]
    until: UntilConclusive | None = None
    probe: bool = True
    checks: Callable[[Target], None] | None = None
    before_segment: Callable[[Segment], None] = lambda segment: None
    resume_state: ResumeState | None = None

    def __post_init__(self) -> None:
        self._next = 0
        self._began = time.monotonic() - (self.resume_state.spent_s if self.resume_state is not None else 0.0)
        self.aborted: dict[str, str] = {}

    def run(self) -> None:
        """All levels, low to high; then each target's cache is probed, its answers are compared, and it is asked to
        do what the profile's checks say."""
        for level in range(len(self.profile.load.concurrency)):
            began = time.monotonic()
            self._run_all([segment for segment in self.plan if segment.level == level])
            if self.until is not None:
                self._add_rounds(level, self.until, began)
        for target in self.targets.values():
            if self.probe:
                self._probe_cache(target)
                self._compare_answers(target)
            if self.checks is not None and not self.stop() and target.name not in self.aborted:
                self.before_segment(self._extra_segment(target, 1))
                self.checks(target)

    def _run_all(self, segments: Sequence[Segment]) -> None:
        for segment in segments:
            if self.stop():
                return
            if segment.target in self.aborted:
                continue
            if self._is_finished(segment):
                self._next = max(self._next, segment.segment) + 1
                continue
            if self._next and len(self.targets) > 1:
                self._pause(self.profile.load.pause)
            self._run_segment(segment)

    def _run_segment(self, segment: Segment) -> None:
        jobs = self.jobs.jobs(segment, self.targets[segment.target], self.workers)
        self.recorder.begin(segment)
        self.before_segment(segment)
        self.recorder.host_state("before", host.state())
        error_limits = self.recorder.error_limits
        end = self.driver.run(
            jobs, spread_ns(self.profile.load.stagger), self.recorder.measuring, lambda: error_limits.reason
        )
        self.recorder.end_segment(end)
        why = error_limits.reason if end.stopped in (None, INTERRUPTED) else end.stopped
        if why is not None and not self.stop():
            self.aborted[segment.target] = f"{segment.target} was given up at concurrency {segment.concurrency}: {why}"
        self.recorder.host_state("after", host.state())
        self._next = max(self._next, segment.segment) + 1

    def _is_finished(self, segment: Segment) -> bool:
        return self.resume_state is not None and segment.segment in self.resume_state.finished

    def _add_rounds(self, level: int, until: UntilConclusive, began: float) -> None:
        """Look, and measure on while the verdicts are open and there is time for another pair of rounds, which takes as
        long as those since the level `began`."""
        planned = blocks = blocks_of(self.profile.load, len(self.targets))
        begun = self.resume_state.blocks_begun(level) if self.resume_state is not None else 0
        while not self.stop() and not self.aborted and blocks < until.most_blocks:
            now = time.monotonic()
            late = now - self._began + (now - began) / blocks * ROUNDS_PER_STEP > until.max_s
            # What had begun was decided before the run was cut off.
            if blocks >= begun and (until.conclusive(level) or late):
                return
            wanted = range(blocks, blocks + ROUNDS_PER_STEP)
            # Later levels of the plan have numbers already: these come after all of them.
            first = max(self._next, len(self.plan))
            self._run_all(rounds(self.profile, list(self.targets), level, wanted, planned, first))
            blocks += ROUNDS_PER_STEP

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stop() and (left := until - time.monotonic()) > 0:
            time.sleep(min(_TICK_S, left))

    def _probe_cache(self, target: Target) -> None:
        """Two prompts that were never sent before, of equal length, and then the second of them again."""
        for requests, first in ((2, 0), (1, 1)):
            segment = self._extra_segment(target, 1, requests)
            self._run_extra(segment, "probe", self.jobs.probe(segment, target, self.workers, first))

    def _compare_answers(self, target: Target) -> None:
        """The same prompt alone, and then as often at once as each level has slots."""
        for concurrency in stability_levels(self.profile):
            segment = self._extra_segment(target, concurrency, concurrency)
            self._run_extra(segment, "stability", self.jobs.stability(segment, target, self.workers))

    def _run_extra(self, segment: Segment, phase: str, jobs: Sequence[Job]) -> None:
        if self.stop() or not self._can_measure(segment.target):
            return
        self._next = segment.segment + 1
        if self._is_finished(segment):
            return
        self.recorder.begin(segment, phase=phase)
        self.before_segment(segment)
        self.recorder.end_segment(self.driver.run(jobs, 0, lambda: None))

    def _can_measure(self, target: str) -> bool:
        return target in self.recorder.answered and target not in self.aborted

    def _extra_segment(self, target: Target, concurrency: int, requests: int = 0) -> Segment:
        """A segment outside the levels: its level's number is one that no level has."""
        levels = len(self.profile.load.concurrency)
        number = max(self._next, len(self.plan))
        return Segment(number, target.name, levels, concurrency, 0, requests, None, 0)
