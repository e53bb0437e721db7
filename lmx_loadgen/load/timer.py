"""Waits whose end can be relied on."""

import anyio

from lmx_loadgen.system.clock import NS, now_ns

_TIMER_NS = 1_000_000


async def sleep_until(moment_ns: int) -> None:
    """Wait until `now_ns()` has reached this moment, and not a microsecond less.

    Timers of event loops go by whole milliseconds, and uvloop's may end up to one too soon: a wait to a deadline would
    then leave a moment in which to send. The rest is passed turn by turn, in which the loop goes on reading.
    """
    while (left_ns := moment_ns - now_ns()) > 0:  # noqa: ASYNC110 (there is no event: only time passes)
        await anyio.sleep(left_ns / NS if left_ns > _TIMER_NS else 0)
