"""A load on a fixed number of slots: how it starts, when it is over, and the marks of its course."""

import math
from collections.abc import Callable, Iterator
from typing import TypedDict

from lmx_loadgen.load.messages import Go, Job
from lmx_loadgen.load.request import Turn
from lmx_loadgen.wire.timing import RequestTiming


class Marks(TypedDict):
    """The marks of a load's course, for `SegmentEnd`: its start, when it was full, when the first found no more work.
    None for what never came."""

    start_ns: int | None
    ramp_end_ns: int | None
    drain_start_ns: int | None


class SlotLoad:
    """What slots that send one request after the other have in common, whatever they send next.

    Attributes:
        taken: how many requests were claimed.
        deadline_ns: when no more are sent; None where only their number ends the load.
        all_due_ns: when the last slot's first request is due; None before the start.
    """

    def __init__(self, job: Job, clock: Callable[[], int]) -> None:
        self._job = job
        self._clock = clock
        self._most = math.inf if job.requests is None else job.requests
        self.taken = 0
        self.deadline_ns: int | None = None
        self.all_due_ns: int | None = None
        self._start_ns: int | None = None
        self._first_sends: list[int] = []
        self._drain_start_ns: int | None = None

    def begin(self, go: Go) -> Iterator[Turn]:
        """The first turn of each slot."""
        job, self._start_ns = self._job, go.start_ns
        self.all_due_ns = go.start_ns + max(go.offsets_ns, default=0)
        if job.duration_ns is not None:
            self.deadline_ns = go.start_ns + job.duration_ns
        starts = zip(job.slots, go.offsets_ns, strict=True)
        return iter([Turn(slot, go.start_ns + offset, first_wave=True) for slot, offset in starts])

    @property
    def has_all(self) -> bool:
        """Whether as many requests were claimed as were asked for."""
        return self.taken >= self._most

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be sent."""
        return self.has_all or (self.deadline_ns is not None and self._clock() >= self.deadline_ns)

    def drain(self) -> None:
        """A slot found no more work."""
        if self._drain_start_ns is None:
            self._drain_start_ns = self._clock()

    def note_end(self, turn: Turn, timing: RequestTiming) -> None:
        """A request has ended: the first of its slot is the last of its ramp."""
        if turn.first_wave:
            self._first_sends.append(timing.send_ns or self._clock())
            turn.first_wave = False

    def marks(self) -> Marks:
        """The marks so far."""
        is_full = len(self._first_sends) == len(self._job.slots)
        return {
            "start_ns": self._start_ns,
            "ramp_end_ns": max(self._first_sends, default=self._start_ns) if is_full else None,
            "drain_start_ns": self._drain_start_ns,
        }
