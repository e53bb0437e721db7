"""A witness of the event loop: how late does it come to what is due?

While the loop is busy elsewhere, requests leave late and arrivals without a kernel stamp are stamped late. The
meter asks to be woken every few milliseconds and notes each wake-up that comes late.
"""

import asyncio
from collections import deque

from lmx_loadgen.clock import NS, now_ns

PERIOD_NS = 5_000_000
NOTABLE_NS = 500_000


class LagMeter:
    """Records late wake-ups of the running loop, in nanoseconds, until closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, keep: int = 20_000) -> None:
        self._loop = loop
        self._late: deque[tuple[int, int]] = deque(maxlen=keep)
        self._due = now_ns() + PERIOD_NS
        self.worst_ns = 0
        self._timer = loop.call_later(PERIOD_NS / NS, self._tick)

    def _tick(self) -> None:
        now = now_ns()
        lag = now - self._due
        if lag > NOTABLE_NS:
            self._late.append((now, lag))
            self.worst_ns = max(self.worst_ns, lag)
        self._due = now + PERIOD_NS
        self._timer = self._loop.call_later(PERIOD_NS / NS, self._tick)

    def worst_between(self, start_ns: int, end_ns: int) -> int:
        """The worst lag whose stall overlaps the span; 0 when none was notable."""
        worst = 0
        for woke, lag in reversed(self._late):
            if woke < start_ns:
                break
            if woke - lag <= end_ns:
                worst = max(worst, lag)
        return worst

    def close(self) -> None:
        self._timer.cancel()
