"""What every test over real sockets is run with: each source of stamps, each event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from lmx_loadgen.wire.stamps import StampSource, kernel_stamps_available

SOURCES = [StampSource.LOOP, StampSource.PROTOCOL]
if kernel_stamps_available():
    SOURCES.append(StampSource.KERNEL)


@pytest.fixture(params=SOURCES, ids=str)
def stamps(request: pytest.FixtureRequest) -> StampSource:
    return request.param


@pytest.fixture(params=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Runs a coroutine on each of the two event loops, in a thread of its own (the browser tests hold this one)."""
    factory = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else None

    def run(work: Awaitable[None]) -> None:
        with ThreadPoolExecutor(1) as thread, asyncio.Runner(loop_factory=factory) as runner:
            thread.submit(runner.run, work).result()

    return run
