"""What is measured once everything is ready: what the strategy asks for, and then what each target is asked beside the
load."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from lmx_loadgen.load.messages import Job
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.jobs import JobMaker, spread_ns
from lmx_loadgen.session.plan import Segment, stability_points
from lmx_loadgen.session.segment_run import Parts, SegmentRun
from lmx_loadgen.session.strategy import Strategy
from lmx_loadgen.store.segment_key import LOAD, SegmentKey
from lmx_loadgen.targets.base import Target

_TICK_S = 0.05


@dataclass(frozen=True)
class Runner:
    """Runs one run. `run` raises the LoadgenError that ends it early; what was sent is recorded.

    A target whose level was stopped, for its errors or its silence, gets no more load: what its other levels would show
    is not worth the wait. Other targets go on.
    """

    profile: Profile
    targets: Mapping[str, Target]
    strategy: Strategy
    parts: Parts
    jobs: JobMaker
    workers: int
    probe: bool = True
    checks: Callable[[Target], None] | None = None

    def run(self) -> None:
        """All that the strategy asks for; then each target's cache is probed, its answers are compared, and it is asked
        to do what the profile's checks say."""
        history = self.parts.history
        while not self.parts.stop() and (segment := self.strategy.next(history)) is not None:
            if not history.is_empty and len(self.targets) > 1:
                self._pause(self.profile.load.pause)
            self._run_segment(segment)
        for target in self.targets.values():
            self.parts.view.phase(f"checking {target.name}: caches, settings, answers")
            if self.probe:
                self._probe_cache(target)
                self._compare_answers(target)
            if self.checks is not None and not self.parts.stop() and target.name not in history.aborted:
                self._check(target, self.checks)

    def _run_segment(self, segment: Segment) -> None:
        if self.parts.stop():
            return
        history = self.parts.history
        if segment.attempt > history.again[segment.load_point, segment.block]:
            self._measure_again(segment)
        jobs = self.jobs.jobs(segment, self.targets[segment.target], self.workers)
        stop = self._segment_run(segment).measure(jobs, spread_ns(self.profile.load.stagger))
        if stop is not None:
            words = f"{segment.target} was aborted at {segment.load_point.label}: {stop.message}"
            history.aborted[segment.target] = replace(stop, message=words)

    def _measure_again(self, segment: Segment) -> None:
        """What was measured of the segment's round is void."""
        self.parts.recorder.measure_again(segment.load_point, segment.block)
        self.parts.history.measure_again(segment.load_point, segment.block)

    def _pause(self, seconds: float) -> None:
        self.parts.view.phase("pause between blocks")
        until = time.monotonic() + seconds
        while not self.parts.stop() and (left := until - time.monotonic()) > 0:
            time.sleep(min(_TICK_S, left))

    def _probe_cache(self, target: Target) -> None:
        """Two prompts that were never sent before, of equal length, and then the second of them again."""
        for place, (requests, first) in enumerate(((2, 0), (1, 1))):
            segment = Segment(SegmentKey(target.name, ALONE, place, "probe"), requests, None, 0)
            self._run_extra(segment, self.jobs.probe(segment, target, self.workers, first))

    def _compare_answers(self, target: Target) -> None:
        """The same prompt alone, and then as often at once as each level has slots."""
        measured = {key.load_point for key in self.parts.history.finished if key.phase == LOAD}
        for point in stability_points(self.profile, measured):
            segment = Segment(SegmentKey(target.name, point, 0, "stability"), point.slots, None, 0)
            self._run_extra(segment, self.jobs.stability(segment, target, self.workers))

    def _run_extra(self, segment: Segment, jobs: Sequence[Job]) -> None:
        history = self.parts.history
        can_measure = segment.target in history.answered and segment.target not in history.aborted
        if can_measure and not self.parts.stop() and not history.is_finished(segment):
            self._segment_run(segment).measure(jobs, 0)

    def _check(self, target: Target, checks: Callable[[Target], None]) -> None:
        segment = Segment(SegmentKey(target.name, ALONE, 0, "check"), 0, None, 0)
        if self._segment_run(segment).make_ready():
            checks(target)

    def _segment_run(self, segment: Segment) -> SegmentRun:
        return SegmentRun(segment, self.targets[segment.target], self.parts, shows_block=len(self.targets) > 1)
