"""How a measuring process is: the lag of its event loop, and the sign of life that it gives its parent.

While the loop is busy elsewhere, requests leave late and arrivals without a kernel stamp are stamped late. The
meter asks to be woken every few milliseconds and notes how late it was woken.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from lmx_loadgen.load.messages import Alive, Job
from lmx_loadgen.system.clock import NS, now_ns

PERIOD_NS = 5_000_000
_SPAN_NS = 100_000_000


class LagMeter:
    """Watches the running loop until closed. Lags are kept as the worst of every tenth of a second, in ns, and those of
    a period and more also as the stalls they were."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._worst: dict[int, int] = {}
        # The stalls, one after the other: when each began and ended.
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._due = now_ns() + PERIOD_NS
        self._timer = loop.call_later(PERIOD_NS / NS, self._tick)

    def _tick(self) -> None:
        now = now_ns()
        self.note(self._due, now)
        self._due = now + PERIOD_NS
        self._timer = self._loop.call_later(PERIOD_NS / NS, self._tick)

    def note(self, due_ns: int, woke_ns: int) -> None:
        """Something due at one time was done at another; the stall counts for all of the time between."""
        lag = woke_ns - due_ns
        for span in range(due_ns // _SPAN_NS, woke_ns // _SPAN_NS + 1):
            if lag > self._worst.get(span, 0):
                self._worst[span] = lag
        if lag >= PERIOD_NS:
            self._starts.append(due_ns)
            self._ends.append(woke_ns)

    def stalls_at(self, moments: Sequence[int]) -> list[tuple[int, int]]:
        """The stalls that overlap one of the moments (in order), as (start, length), one still going on among them.

        Between two looks nobody knows when the loop was taken, and after a stall what waited is done one by one: a
        stall reaches a period further on either side.
        """
        if not moments:
            return []
        now = now_ns()
        going_on = [(self._due, now)] if now - self._due >= PERIOD_NS else []
        first, last = self._reached(moments[0], moments[-1])
        if last - first > len(moments):  # in a long answer of a busy loop there are far more stalls than reads
            places = sorted({place for moment in moments for place in range(*self._reached(moment, moment))})
        else:
            places = list(range(first, last))
        return [
            (start, end - start)
            for start, end in (*((self._starts[place], self._ends[place]) for place in places), *going_on)
            if bisect_left(moments, start - PERIOD_NS) < bisect_right(moments, end + PERIOD_NS)
        ]

    def _reached(self, first_ns: int, last_ns: int) -> tuple[int, int]:
        """From which stall to which one they may reach into a span."""
        return bisect_left(self._ends, first_ns - PERIOD_NS), bisect_right(self._starts, last_ns + PERIOD_NS)

    def worst_between(self, start_ns: int, end_ns: int) -> int:
        """The worst lag in the tenths of a second that the span touches; 0 when nothing was late."""
        spans = range(start_ns // _SPAN_NS, end_ns // _SPAN_NS + 1)
        return max((self._worst.get(span, 0) for span in spans), default=0)

    def close(self) -> None:
        self._timer.cancel()


BEAT_S = 1.0


class Heartbeat:
    """Says once a second that the loop turns (more often where a server may not be silent for as long) until closed,
    and how long no byte has come.

    Silence is time without one byte on any of the segment's connections, headers and pings included. It counts from
    when the last slot was due to start, and not while the segment waits for the parent, which judges it.
    """

    def __init__(self, job: Job, quiet_since_ns: Callable[[], int | None], tell: Callable[[Any], None]) -> None:
        self._segment = job.segment
        self._quiet_since_ns = quiet_since_ns
        self._tell = tell
        self._every_s = min(BEAT_S, job.no_progress / 4)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._every_s, self._beat)

    def _beat(self) -> None:
        since, now = self._quiet_since_ns(), now_ns()
        self._tell(Alive(self._segment, None if since is None else max(0, now - since), now))
        self._timer = self._loop.call_later(self._every_s, self._beat)

    def close(self) -> None:
        self._timer.cancel()
