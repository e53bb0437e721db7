"""Waits that end within microseconds of their moment, for requests that are due at a time of their own.

Timers of event loops go by whole milliseconds. Linux has a timer that is a file, which the loop watches like a
connection. Elsewhere the loop's timer has to do, which on macOS ends waits up to a millisecond late by design. Either
ends a wait early, and the rest is passed turn by turn, in which the loop goes on reading: a process that is awake is
not woken late.
"""

import asyncio
import contextlib
import heapq
import os
from itertools import count

import anyio
import anyio.lowlevel

from lmx_loadgen.system import timer_file
from lmx_loadgen.system.clock import NS, now_ns

_EARLY_NS = 2_500_000
_FILE_EARLY_NS = 300_000


class Alarm:
    """Ends waits at moments of the run's clock, never too soon. It belongs to the loop in which it is first used."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._has_file = timer_file.is_available()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()

    async def until(self, moment_ns: int) -> None:
        """Wait until `now_ns()` has reached this moment."""
        if not self._has_file:
            if (early_ns := moment_ns - _EARLY_NS - now_ns()) > 0:
                await anyio.sleep(early_ns / NS)
        elif moment_ns - _FILE_EARLY_NS > now_ns():
            await self._rung(moment_ns - _FILE_EARLY_NS)
        while now_ns() < moment_ns:  # noqa: ASYNC110 (there is no event: only time passes)
            await asyncio.sleep(0)

    async def _rung(self, moment_ns: int) -> None:
        loop = asyncio.get_running_loop()
        if self._fd is None:
            self._fd = timer_file.create()
            loop.add_reader(self._fd, self._ring)
        future: asyncio.Future[None] = loop.create_future()
        is_next = not self._waiting or moment_ns < self._waiting[0][0]
        heapq.heappush(self._waiting, (moment_ns, next(self._order), future))
        if is_next:
            timer_file.set_to(self._fd, moment_ns)
        await future

    def _ring(self) -> None:
        assert self._fd is not None
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        now = now_ns()
        while self._waiting and (self._waiting[0][0] <= now or self._waiting[0][2].done()):
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():  # a task that was cancelled waits no more
                future.set_result(None)
        if self._waiting:
            timer_file.set_to(self._fd, self._waiting[0][0])

    def close(self) -> None:
        """Let the timer go; nobody may wait any more."""
        if self._fd is not None:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and has let it go itself
                asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None
