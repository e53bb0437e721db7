"""Tells the parent that this process is alive, and ends a segment in which nothing comes from the server any more."""

import asyncio
from collections.abc import Callable
from typing import Any

from lmx_loadgen.load.closed_loop import Segment
from lmx_loadgen.load.messages import Alive
from lmx_loadgen.system.clock import NS, now_ns

BEAT_S = 1.0


class Watchdog:
    """Looks at a segment once a second (more often where it may not be silent for as long) until closed.

    Silence is time without one byte on any of its connections, headers and pings included. It counts from when the
    last slot was due to start, and not while the segment waits for the parent. `stop` is called once, with the reason.
    """

    def __init__(self, segment: Segment, tell: Callable[[Any], None], stop: Callable[[str], None]) -> None:
        self._segment = segment
        self._tell = tell
        self._stop = stop
        self._limit_s = segment.job.no_progress
        self._every_s = min(BEAT_S, self._limit_s / 4)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(self._every_s, self._look)

    def _look(self) -> None:
        self._tell(Alive(self._segment.job.segment))
        self._timer = self._loop.call_later(self._every_s, self._look)
        since = self._segment.quiet_since_ns()
        if since is not None and now_ns() - since >= self._limit_s * NS:
            self.close()
            self._stop(f"no byte came from the server for {self._limit_s:g} s (--no-progress-timeout)")

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
