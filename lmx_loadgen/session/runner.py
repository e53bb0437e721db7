"""The course of a run once everything is ready: segment after segment, pauses between them, a probe of the cache."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby

from lmx_loadgen.load.driver import Driver
from lmx_loadgen.load.messages import INTERRUPTED, Job
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.jobs import JobMaker, spread_ns
from lmx_loadgen.session.plan import LOAD, Segment, blocks_of, rounds, stability_levels
from lmx_loadgen.session.recorder import Recorder
from lmx_loadgen.session.resume import ResumeState
from lmx_loadgen.system import host
from lmx_loadgen.targets.base import Target

ROUNDS_PER_STEP = 2
MOST_AGAIN = 2
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
    A round of several targets in which this machine delayed too many requests (`tainted` says so, given its level and
    block) is measured again, at most `MOST_AGAIN` times a level: a verdict is refused only after that.
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
    tainted: Callable[[int, int], bool] = lambda level, block: False

    def __post_init__(self) -> None:
        self._next = 0
        self._began = time.monotonic() - (self.resume_state.spent_s if self.resume_state is not None else 0.0)
        self.aborted: dict[str, str] = {}
        self._again: Counter[int] = Counter()

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
                self._check(target, self.checks)

    def _run_all(self, segments: Sequence[Segment]) -> None:
        for (level, block), group in groupby(segments, lambda one: (one.level, one.block)):
            of_round = list(group)
            measured = [self._run_once(segment) for segment in of_round]
            while any(measured) and self._may_go_again(level) and self.tainted(level, block):
                self._again[level] += 1
                self.recorder.measure_again(level, block, [segment.segment for segment in of_round])
                self.jobs.renew_nonces()
                for segment in of_round:
                    self._run_once(segment, again=True)

    def _may_go_again(self, level: int) -> bool:
        before = self.resume_state.measured_again.count(level) if self.resume_state is not None else 0
        is_left = self._again[level] + before < MOST_AGAIN
        return len(self.targets) > 1 and is_left and not self.aborted and not self.stop()

    def _run_once(self, segment: Segment, again: bool = False) -> bool:
        """Run a segment unless that is done, or not to be done; whether it ran."""
        if self.stop() or segment.target in self.aborted:
            return False
        if self._is_finished(segment) and not again:
            self._next = max(self._next, segment.segment + 1)
            return False
        if self._next and len(self.targets) > 1:
            self._pause(self.profile.load.pause)
        self._run_segment(segment)
        return True

    def _run_segment(self, segment: Segment) -> None:
        jobs = self.jobs.jobs(segment, self.targets[segment.target], self.workers)
        self.recorder.begin(segment)
        self.before_segment(segment)
        if self.stop():
            return
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
        self._next = max(self._next, segment.segment + 1)

    def _is_finished(self, segment: Segment, phase: str = LOAD) -> bool:
        return self.resume_state is not None and segment.key(phase) in self.resume_state.finished

    def _numbered(self, segments: Iterable[Segment], phase: str = LOAD) -> list[Segment]:
        """Segments that are in no plan, each with the number it had before the run was resumed, or one that is free:
        those of the plan are taken."""
        known = self.resume_state.numbers if self.resume_state is not None else {}
        begun = self.resume_state.next_segment if self.resume_state is not None else 0
        free = count(max(self._next, len(self.plan), begun))
        keyed = [(segment, segment.key(phase)) for segment in segments]
        return [replace(segment, segment=known[key] if key in known else next(free)) for segment, key in keyed]

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
            self._run_all(self._numbered(rounds(self.profile, list(self.targets), level, wanted, planned, 0)))
            blocks += ROUNDS_PER_STEP

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stop() and (left := until - time.monotonic()) > 0:
            time.sleep(min(_TICK_S, left))

    def _probe_cache(self, target: Target) -> None:
        """Two prompts that were never sent before, of equal length, and then the second of them again."""
        for place, (requests, first) in enumerate(((2, 0), (1, 1))):
            segment = self._extra_segment(target, "probe", 1, requests, place)
            self._run_extra(segment, "probe", self.jobs.probe(segment, target, self.workers, first))

    def _compare_answers(self, target: Target) -> None:
        """The same prompt alone, and then as often at once as each level has slots."""
        for concurrency in stability_levels(self.profile):
            segment = self._extra_segment(target, "stability", concurrency, concurrency)
            self._run_extra(segment, "stability", self.jobs.stability(segment, target, self.workers))

    def _run_extra(self, segment: Segment, phase: str, jobs: Sequence[Job]) -> None:
        if self.stop() or not self._can_measure(segment.target):
            return
        self._next = max(self._next, segment.segment + 1)
        if self._is_finished(segment, phase):
            return
        self.recorder.begin(segment, phase=phase)
        self.before_segment(segment)
        if self.stop():
            return
        self.recorder.end_segment(self.driver.run(jobs, 0, lambda: None))

    def _check(self, target: Target, checks: Callable[[Target], None]) -> None:
        segment = self._extra_segment(target, "check", 1, 0)
        self._next = segment.segment + 1
        self.recorder.begin(segment, phase="check")
        self.before_segment(segment)
        if not self.stop():
            checks(target)

    def _can_measure(self, target: str) -> bool:
        return target in self.recorder.answered and target not in self.aborted

    def _extra_segment(self, target: Target, phase: str, concurrency: int, requests: int, place: int = 0) -> Segment:
        """A segment outside the levels: its level's number is one that no level has."""
        levels = len(self.profile.load.concurrency)
        (segment,) = self._numbered([Segment(0, target.name, levels, concurrency, place, requests, None, 0)], phase)
        return segment
