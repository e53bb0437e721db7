"""The machine as it is asked: plain numbers, several commands at once, and no exceptions."""

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from lmx_loadgen.system.probe import Probe


def test_commands_run_at_once(tmp_path: Path) -> None:
    """Each needs the other: one after the other neither would end."""
    os.mkfifo(tmp_path / "pipe")
    found = Probe().run_all(
        {
            "reads": ["sh", "-c", f"cat {tmp_path}/pipe"],
            "writes": ["sh", "-c", f"echo hello > {tmp_path}/pipe"],
            "fails": ["sh", "-c", "echo words; exit 3"],
        }
    )

    assert found == {"reads": "hello", "writes": "", "fails": None}


def test_no_language_has_decimal_commas() -> None:
    assert Probe().run(["sh", "-c", "echo $LC_ALL"]) == "C"


def test_memory_of_this_machine() -> None:
    found = Probe().memory()

    assert found["total"] == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.05)
    assert 0 < found["available"] <= found["total"]
    assert (Probe().swap_used_bytes() or 0) >= 0
    assert all(mhz > 0 for mhz in Probe().core_mhz())


@pytest.mark.parametrize("fault", [FileNotFoundError("/proc/meminfo"), NotImplementedError(), ValueError("no number")])
def test_a_machine_that_psutil_cannot_read(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise fault

    for name in ("virtual_memory", "swap_memory", "cpu_freq"):
        monkeypatch.setattr(psutil, name, fail)

    assert (Probe().memory(), Probe().swap_used_bytes(), Probe().core_mhz()) == ({}, None, [])


def test_a_core_that_is_off_has_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = [SimpleNamespace(current=mhz) for mhz in (2400.0, 0.0)]
    monkeypatch.setattr(psutil, "cpu_freq", lambda **_: clocks)

    assert Probe().core_mhz() == [2400.0]
