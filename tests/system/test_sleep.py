"""Sleep held off while measuring, and seen where it came all the same."""

import os
import sys

import pytest

from lmx_loadgen.system import sleep
from lmx_loadgen.system.probe import Probe
from tests.system.machine import Mac


def test_macos_is_kept_awake_for_the_length_of_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    mac, children = Mac(), []
    real = Probe.start

    def start(probe: Probe, command: list[str]) -> object:
        children.append(real(probe, command))
        return children[-1]

    monkeypatch.setattr(Probe, "start", start)
    with sleep.prevented(mac):
        assert mac.started == [("/usr/bin/caffeinate", "-i", "-w", str(os.getpid()))]
        assert children[0].poll() is None
    assert children[0].poll() is not None


def test_without_the_command_and_on_linux_nothing_is_done() -> None:
    class Bare(Probe):
        def start(self, command: object) -> None:
            return None

    with sleep.prevented(Bare(system="darwin")), sleep.prevented(Probe(system="linux")):
        pass
    assert Probe().start(["/no/such/command"]) is None


@pytest.mark.parametrize(
    ("system", "through", "awake"),
    [("darwin", "CLOCK_MONOTONIC_RAW", "CLOCK_UPTIME_RAW"), ("linux", "CLOCK_BOOTTIME", "CLOCK_MONOTONIC")],
)
def test_time_asleep_is_what_one_clock_has_over_the_other(system: str, through: str, awake: str) -> None:
    clocks = {through: 400_500_000_000, awake: 100_000_000_000}

    assert sleep.asleep_s(Mac(system=system, clocks=clocks)) == 300.5
    assert sleep.asleep_s(Mac(system=system, clocks={through: 1})) is None
    assert sleep.asleep_s(Mac(system="elsewhere", clocks=clocks)) is None


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="no such clocks")
def test_this_machine_has_both_clocks() -> None:
    found = sleep.asleep_s(Probe())

    assert found is not None
    assert found >= 0
