"""When which request is due.

A schedule is asked and told, and never waits, sends or holds a connection itself: `job.JobRun` waits for what is due,
has it sent, and tells the schedule how that ended. A closed loop is one schedule. An open loop, whose due times are
drawn ahead, is another: its `begin` hands out a turn for each of them, `claim` drops what finds too many in flight, and
`after` never goes on.
"""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Protocol

from lmx_loadgen.load.backoff import backoff_s, is_failed
from lmx_loadgen.load.messages import Go, Job
from lmx_loadgen.load.request import Turn
from lmx_loadgen.load.slots import Marks, SlotLoad
from lmx_loadgen.system.clock import NS, now_ns
from lmx_loadgen.wire.ending import HELD_OPEN
from lmx_loadgen.wire.timing import RequestTiming


class Schedule(Protocol):
    """Says when which request of a job is due: at a time of its own, or because another one has ended."""

    # Whether a turn says which request it is before it is claimed, so that the request can be made ahead.
    KNOWN_AHEAD: ClassVar[bool]

    def begin(self, go: Go) -> Iterator[Turn]:
        """The turns that are due at times of their own, in the order of `due_ns`; they are read as they come near."""

    def claim(self, turn: Turn) -> bool:
        """A turn has come: fill in which request it is. False where none is sent after all, which ends it; it is
        `is_dropped` where one was due all the same."""

    def after(self, turn: Turn, timing: RequestTiming) -> bool:
        """A request has ended: whether its turn comes again, on the same connection, and at its new `due_ns`."""

    def awaited_from_ns(self) -> int | None:
        """Since when, at the earliest, the server owes a byte; None while it owes none."""

    def marks(self) -> Marks:
        """The marks so far."""


class ClosedLoop:
    """A fixed number of slots, each sending its next request when its last one has ended.

    What is left to send is shared by all slots of the job. `clock` is read in ns.
    """

    KNOWN_AHEAD: ClassVar[bool] = False

    def __init__(self, job: Job, clock: Callable[[], int] = now_ns) -> None:
        self._job = job
        self._clock = clock
        self._load = SlotLoad(job, clock)

    def begin(self, go: Go) -> Iterator[Turn]:
        return self._load.begin(go)

    def claim(self, turn: Turn) -> bool:
        job, load = self._job, self._load
        if load.is_over:
            load.drain()
            return False
        turn.number = job.first + load.taken * job.step
        turn.template = job.order[turn.number % len(job.order)]
        load.taken += 1
        if turn.failures:  # how much longer than asked a wait took is nobody's lateness
            turn.due_ns = self._clock()
        return True

    def after(self, turn: Turn, timing: RequestTiming) -> bool:
        self._load.note_end(turn, timing)
        if is_failed(timing):
            turn.failures += 1
            turn.due_ns = self._end_of_wait_ns(self._clock(), backoff_s(turn.failures, timing))
        else:
            turn.failures = 0
            # Where the slot first waited for the end of a body that was left open, its next request is due only now.
            turn.due_ns = self._clock() if HELD_OPEN in timing.notes else (timing.end_ns or self._clock())
        return True

    def _end_of_wait_ns(self, now: int, wait_s: float) -> int:
        """A slot waits after a failure, but no longer than there may be something to send."""
        if self._load.has_all:
            return now
        until, deadline_ns = now + math.ceil(wait_s * NS), self._load.deadline_ns
        return until if deadline_ns is None else min(until, max(now, deadline_ns))

    def awaited_from_ns(self) -> int | None:
        return self._load.all_due_ns

    def marks(self) -> Marks:
        return self._load.marks()


class OpenLoop:
    """Requests that are due at times drawn ahead, whatever became of those before them.

    Each takes the lowest slot that is free; one that finds none is dropped, and not sent later. `clock` is read in ns.
    """

    KNOWN_AHEAD: ClassVar[bool] = True

    def __init__(self, job: Job, due_ns: Sequence[int], clock: Callable[[], int] = now_ns) -> None:
        self._job = job
        self._due_ns = due_ns
        self._clock = clock
        self._free = list(job.slots)
        heapq.heapify(self._free)
        self._busy = 0
        self._busy_since_ns: int | None = None
        self._start_ns: int | None = None

    def begin(self, go: Go) -> Iterator[Turn]:
        job, self._start_ns = self._job, go.start_ns
        for place, offset in enumerate(self._due_ns):
            number = job.first + place * job.step
            template = job.order[number % len(job.order)]
            yield Turn(-1, go.start_ns + offset, number, template)

    def claim(self, turn: Turn) -> bool:
        if not self._free:
            turn.is_dropped = True
            turn.slot = self._job.slots[-1] if self._job.slots else 0
            return False
        turn.slot = heapq.heappop(self._free)
        self._busy += 1
        if self._busy == 1:
            self._busy_since_ns = self._clock()
        return True

    def after(self, turn: Turn, timing: RequestTiming) -> bool:
        heapq.heappush(self._free, turn.slot)
        self._busy -= 1
        if not self._busy:
            self._busy_since_ns = None
        return False

    def awaited_from_ns(self) -> int | None:
        return self._busy_since_ns

    def marks(self) -> Marks:
        """The load is all there from its start, and over when the last request may come: also where none does."""
        start = self._start_ns
        is_over = start is not None and self._clock() >= start + self._job.horizon_ns
        over_ns = start + self._job.horizon_ns if start is not None and is_over else None
        return {"start_ns": start, "ramp_end_ns": start, "drain_start_ns": over_ns}


def stagger_offsets(slots: int, spread_ns: int) -> list[int]:
    """Start offsets in ns that spread `slots` evenly over `spread_ns`: the first starts at once, and the next wave
    meets a server that is already loaded evenly, not all slots in step."""
    return [spread_ns * slot // slots for slot in range(slots)]
