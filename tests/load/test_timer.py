"""Waits that end when they should: what is sent after one is sent no sooner than was meant."""

import asyncio

import pytest
import uvloop

from lmx_loadgen.load.timer import sleep_until
from lmx_loadgen.system.clock import now_ns

pytestmark = pytest.mark.timing


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_no_wait_ends_too_soon(loop: type[asyncio.AbstractEventLoop]) -> None:
    """Timers of event loops go by whole milliseconds, and uvloop rounds some of them down."""
    early: list[int] = []

    async def wait() -> None:
        for tenths in range(60):
            until = now_ns() + tenths * 100_000
            await sleep_until(until)
            early.append(now_ns() - until)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(wait())

    assert min(early) >= 0


def test_a_moment_that_is_over_is_not_waited_for() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def wait() -> None:
        other = asyncio.create_task(count())
        await sleep_until(now_ns() - 1)
        other.cancel()

    asyncio.run(wait())

    assert turns <= 1
