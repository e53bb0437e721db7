"""A measuring process that is used again, and one that is not."""

import os
import signal
from collections.abc import Iterator

import pytest

from lmx_loadgen.load.driver import Driver
from lmx_loadgen.load.standby import Standby
from lmx_loadgen.wire.stamps import StampSource

LOOP = StampSource.LOOP


@pytest.fixture
def standby() -> Iterator[Standby]:
    made = Standby()
    yield made
    made.close()


def test_the_next_run_has_the_same_process_and_waits_for_nothing(standby: Standby) -> None:
    first = standby.start("asyncio", LOOP)
    driver = Driver([first])
    ready = driver.wait_ready()
    driver.close()
    again = standby.start("asyncio", LOOP)

    assert again is first
    assert again.is_running
    assert Driver([again]).wait_ready() == ready


def test_another_kind_is_another_process(standby: Standby) -> None:
    first = standby.start("asyncio", LOOP, {"A": "1"})
    second = standby.start("asyncio", LOOP, {"A": "2"})

    assert second is not first
    assert (first.is_running, second.is_running) == (False, True)


@pytest.mark.parametrize("how", ["in the midst of a segment", "dead"])
def test_one_that_may_not_be_as_it_was_is_not_used_again(standby: Standby, how: str) -> None:
    first = standby.start("asyncio", LOOP)
    if how == "dead":
        os.kill(first.pid, signal.SIGKILL)
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    else:
        first.is_idle = False  # type: ignore[attr-defined]
    first.close()

    assert standby.start("asyncio", LOOP) is not first
    assert not first.is_running
