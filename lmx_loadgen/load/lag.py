"""A witness of the event loop: how late does it come to what is due?

While the loop is busy elsewhere, requests leave late and arrivals without a kernel stamp are stamped late. The
meter asks to be woken every few milliseconds and notes how late it was woken.
"""

import asyncio

from lmx_loadgen.system.clock import NS, now_ns

PERIOD_NS = 5_000_000
_SPAN_NS = 100_000_000


class LagMeter:
    """Watches the running loop until closed. Lags are kept as the worst of every tenth of a second, in ns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._worst: dict[int, int] = {}
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

    def worst_between(self, start_ns: int, end_ns: int) -> int:
        """The worst lag in the tenths of a second that the span touches; 0 when nothing was late."""
        spans = range(start_ns // _SPAN_NS, end_ns // _SPAN_NS + 1)
        return max((self._worst.get(span, 0) for span in spans), default=0)

    def close(self) -> None:
        self._timer.cancel()
