"""Waits for moments of their own: none ends too soon, and each one ends."""

import asyncio

import pytest
import uvloop

from lmx_loadgen.load.alarm import Alarm
from lmx_loadgen.system import timer_file
from lmx_loadgen.system.clock import now_ns

WITH_FILE = pytest.mark.skipif(not timer_file.is_available(), reason="this system has no timer that is a file")
SOON_S = 30
MS = 1_000_000


@pytest.fixture(params=[pytest.param(True, marks=WITH_FILE), False], ids=["file", "loop"])
def alarm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Alarm:
    monkeypatch.setattr(timer_file, "is_available", lambda: request.param)
    return Alarm()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_no_wait_ends_too_soon_and_each_one_ends(alarm: Alarm, loop: type[asyncio.AbstractEventLoop]) -> None:
    ended: list[int] = []

    async def one(moment_ns: int) -> None:
        await alarm.until(moment_ns)
        ended.append(now_ns() - moment_ns)

    async def work() -> None:
        start = now_ns()
        async with asyncio.timeout(SOON_S), asyncio.TaskGroup() as group:
            for tenths in (90, 5, 31, 30, 0, -4, 200):  # in no order, some of them together, one that is over
                group.create_task(one(start + tenths * 100_000))
        alarm.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work())

    assert len(ended) == 7
    assert min(ended) >= 0


def test_a_wait_that_is_cancelled_holds_up_no_other(alarm: Alarm) -> None:
    async def work() -> None:
        start = now_ns()
        first = asyncio.create_task(alarm.until(start + 20 * MS))
        second = asyncio.create_task(alarm.until(start + 30 * MS))
        await asyncio.sleep(0)
        first.cancel()
        async with asyncio.timeout(SOON_S):
            await second
        assert first.cancelled()
        alarm.close()
        alarm.close()  # nothing is left to close

    asyncio.run(work())
