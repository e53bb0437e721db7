"""The timing model: slots with a queue, prefill, and decode steps with absolute deadlines.

The engine knows nothing of sockets. It tells each `GeneratedSequence` when it has a slot and when a token is due; it
says whether it wants another. All deadlines share one heap and one loop timer, so that a step of a thousand
sequences costs one wake-up.
"""

import math
from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Protocol

from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.system.clock import NS, now_ns

MS = 1_000_000


class GeneratedSequence(Protocol):
    """One sequence, as the engine sees it."""

    alive: bool
    burst: bool
    prefill_ns: int

    def admitted(self, now: int) -> None:
        """A slot was given: prefill begins."""

    def token(self, due: int) -> bool:
        """A token is due; the answer says whether more are wanted."""

    def pour(self, due: int, release: Callable[[], None]) -> None:
        """Send everything as fast as possible, then call `release`."""


class Timeline:
    """Calls at absolute times (ns), never early, on one timer of the loop."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = count()
        self._timer: TimerHandle | None = None
        self._armed = 0
        self._firing = False

    def at(self, due: int, call: Callable[[int], None]) -> None:
        """Call `call(due)` at `due`, or as soon after it as the loop allows."""
        heappush(self._heap, (due, next(self._order), call))
        if not self._firing and (self._timer is None or due < self._armed):
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = self._heap[0][0]
        # Loop timers count whole milliseconds: rounding up keeps every call from being early.
        wait_ms = math.ceil(max(0, self._armed - now_ns()) / MS)
        self._timer = self._loop.call_later(wait_ms / 1000, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._firing = True
        now, heap = now_ns(), self._heap
        try:
            while heap and heap[0][0] <= now:
                due, _, call = heappop(heap)
                call(due)
        finally:
            self._firing = False
            if heap:
                self._arm()


class Engine:
    """Slots and prefill; `_decode` and `_join` differ between the two kinds of decoding."""

    def __init__(self, settings: SimSettings, timeline: Timeline) -> None:
        self._settings = settings
        self._timeline = timeline
        self._random = Random(settings.seed)
        self._started = now_ns()
        self._queue: deque[GeneratedSequence] = deque()
        self.running = 0
        # The batch engine's step: who gets its token, and who joins the next one.
        self._members: list[GeneratedSequence] = []
        self._joining: list[GeneratedSequence] = []
        self._stepping = False
        self._step_ns = 0
        self._join = self._join_batch if settings.engine == "batch" else self._join_alone

    @property
    def waiting(self) -> int:
        """Requests without a slot."""
        return sum(job.alive for job in self._queue)

    def full(self) -> bool:
        """Whether one more request would exceed the queue's limit."""
        limit, slots = self._settings.queue_limit, self._settings.slots
        if limit is None or slots is None or self.running < slots:
            return False
        return self.waiting >= limit

    def submit(self, job: GeneratedSequence) -> None:
        """Give the job a slot, now or when one is free."""
        slots = self._settings.slots
        if slots is None or self.running < slots:
            self._admit(job)
        else:
            self._queue.append(job)

    def stretch(self, duration_ns: float) -> int:
        """A duration with jitter and slowdown on it."""
        sigma = self._settings.jitter
        if sigma:
            duration_ns *= math.exp(self._random.gauss(-sigma * sigma / 2, sigma))
        if self._settings.slowdown:
            duration_ns *= 1 + self._settings.slowdown * (now_ns() - self._started) / (60 * NS)
        return int(duration_ns)

    def _admit(self, job: GeneratedSequence) -> None:
        self.running += 1
        now = now_ns()
        job.admitted(now)
        self._timeline.at(now + self.stretch(job.prefill_ns), partial(self._first, job))

    def _release(self) -> None:
        self.running -= 1
        while self._queue:
            job = self._queue.popleft()
            if job.alive:
                self._admit(job)
                return

    def _first(self, job: GeneratedSequence, due: int) -> None:
        if job.alive and job.burst:
            job.pour(due, self._release)
        elif job.alive and job.token(due):
            self._join(job, due)
        else:
            self._release()

    def _step_length(self, batch: int) -> int:
        settings = self._settings
        return self.stretch((settings.step_ms + settings.step_ms_per_seq * batch) * MS)

    def _join_batch(self, job: GeneratedSequence, due: int) -> None:
        self._joining.append(job)
        if not self._stepping:
            self._stepping = True
            self._begin_step(due)

    def _begin_step(self, start: int) -> None:
        self._members += self._joining
        self._joining.clear()
        if not self._members:
            self._stepping = False
            return
        self._step_ns = self._step_length(len(self._members))
        self._timeline.at(start + self._step_ns, self._step)

    def _step(self, due: int) -> None:
        self._members = [job for job in self._members if self._wants_more(job, due)]
        # A step that came more than a whole step late starts anew: a real engine does not catch up either.
        now = now_ns()
        self._begin_step(now if now - due > self._step_ns else due)

    def _wants_more(self, job: GeneratedSequence, due: int) -> bool:
        if job.alive and job.token(due):
            return True
        self._release()
        return False

    def _join_alone(self, job: GeneratedSequence, due: int) -> None:
        self._timeline.at(due + self._step_length(1), partial(self._alone, job))

    def _alone(self, job: GeneratedSequence, due: int) -> None:
        if self._wants_more(job, due):
            self._join_alone(job, due)
