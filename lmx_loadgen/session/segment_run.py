"""One segment from its begin to its end."""

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.load.driver import Driver
from lmx_loadgen.load.handle import Look
from lmx_loadgen.load.messages import Ended, FinishedRequest, Job, SegmentEnd
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.session.capacity import Deadline
from lmx_loadgen.session.history import History
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.recorder import Recorder
from lmx_loadgen.session.request_line import ended_of
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.stop_rules import FallsBehind, LevelRules, StopRules
from lmx_loadgen.session.view import View
from lmx_loadgen.store.segment_key import LOAD
from lmx_loadgen.targets.base import Target

# Given a segment: makes the servers ready for it, and says how the machine does then, where anything was done.
Ready = Callable[[Segment], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Parts:
    """What every segment of a run is measured with."""

    driver: Driver
    recorder: Recorder
    history: History
    rules: StopRules
    stop: StopFlag
    view: View
    host_state: Callable[[], Mapping[str, Any]]
    make_ready: Ready = lambda segment: None
    deadline: Deadline | None = None


@dataclass
class SegmentRun:
    """Makes a segment ready, has it measured, and records it. The driver tells it of each request as it ends."""

    segment: Segment
    target: Target
    parts: Parts
    shows_block: bool = False
    _rules: LevelRules = field(init=False)

    def __post_init__(self) -> None:
        self._rules = self.parts.rules.of_segment(self.segment.key)

    @property
    def _is_load(self) -> bool:
        return self.segment.key.phase == LOAD

    def make_ready(self) -> bool:
        """Have the servers ready for the segment; False where the run is to stop meanwhile."""
        state = self.parts.make_ready(self.segment)
        if state is not None:
            self.parts.recorder.host_state(self.segment, "isolated", state)
        return not self.parts.stop()

    def measure(self, jobs: Sequence[Job], stagger_ns: int | None) -> Stop | None:
        """Measure it, unless the run is to stop; why its target gets no more load, None where it may.

        Raises WorkerDied, and what `make_ready` raises.
        """
        began = time.monotonic()
        if self._is_load:
            self.parts.view.warming_up(self.segment.target, self.segment.load_point, self.segment.block)
        if not self.make_ready():
            return None
        if self._is_load and (due := _due_ns(jobs)):
            self._rules.falls_behind = FallsBehind(due)
            self._rules.known_ns = dict.fromkeys(range(len(jobs)), 0) if self.parts.driver.keeps_requests else None
        before = self._record_host("before") if self._is_load else {}
        end = self.parts.driver.run(jobs, stagger_ns, self)
        self.parts.recorder.segment_end(self.segment, end)
        self.parts.history.add(self.segment, time.monotonic() - began)
        if not self._is_load:
            return None
        self.parts.view.end_segment()
        self.parts.history.note_machine(self.segment, before, self._record_host("after"))
        stop = self._rules.stop
        is_over = stop is None or stop.kind == "overload"  # that ends the level, and others may be lighter
        return None if self.parts.stop() or is_over else stop

    def _record_host(self, when: str) -> Mapping[str, Any]:
        state = self.parts.host_state()
        self.parts.recorder.host_state(self.segment, when, state)
        return state

    # What the driver calls

    def measuring(self) -> None:
        if self._is_load:
            one = self.segment
            block = one.block if self.shows_block else None
            self.parts.view.start_segment(one.target, one.load_point, one.requests, one.duration, block)

    @property
    def look(self) -> Look:
        return self.parts.recorder.look(self.segment)

    def sent(self, sent: FinishedRequest) -> None:
        self.ended(ended_of(self._stored(sent), self.target.dialect.rules))

    def fetched(self, sent: FinishedRequest) -> None:
        self._stored(sent)

    def _stored(self, sent: FinishedRequest) -> Mapping[str, Any]:
        line = self.parts.recorder.request(sent, self.segment)
        self.parts.history.note_request(line)
        return line

    def ended(self, ended: Ended) -> None:
        self._rules.errors.note_outcome(ended.outcome, ended.reason)
        if ended.phase != "measured":
            return
        if self._rules.falls_behind is not None:
            self._rules.falls_behind.note_ended(ended)
        if ended.outcome not in ("cancelled", "dropped"):
            self.parts.view.finished(ended.outcome == "ok", ended.ttft_s, ended.decode_rate, ended.is_of_tokens)

    def cut_short(self, end: SegmentEnd) -> None:
        self.parts.recorder.segment_end(self.segment, end)

    def quiet(self, worker: int, quiet_ns: int | None) -> None:
        self._rules.silence.note_quiet(worker, quiet_ns)

    def known_until(self, worker: int, at_ns: int) -> None:
        if self._rules.known_ns is not None:
            self._rules.known_ns[worker] = at_ns

    def why_stop(self) -> Stop | None:
        deadline = self.parts.deadline
        return self.parts.stop.why or self._rules.stop or (deadline.why if deadline is not None else None)


def _due_ns(jobs: Sequence[Job]) -> "array[int]":
    """When each request of an open loop is due, by its number, put together again from all workers' shares."""
    return array("q", sorted(due for job in jobs for due in job.due_ns or ()))
