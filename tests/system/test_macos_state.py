"""How a Mac does: heat, power and memory, each out of recorded outputs, and never fine for want of an answer."""

from typing import Any

import pytest

from lmx_loadgen.system import host
from tests.system.machine import Mac, recorded

MODES = {"powermode-0-automatic": "automatic", "powermode-1-low": "low", "powermode-2-high": "high"}


def state(**said: str) -> dict[str, Any]:
    return host.state(Mac(said={name: recorded(file) for name, file in said.items()}))


@pytest.mark.parametrize(
    ("file", "level"),
    [("0-nominal", 0), ("1-moderate", 1), ("2-heavy", 2), ("3-trapping", 3), ("4-sleeping", 4), ("failed", None)],
)
def test_heat(file: str, level: int | None) -> None:
    found = state(heat=f"notifyutil-thermal.{file}")

    assert found.get("thermal_level") == level
    assert ("thermal_level" in found["unknown"]) == (level is None)


@pytest.mark.parametrize(("file", "limit"), [("apple-silicon", None), ("intel", 0.28)])
def test_only_an_intel_mac_tells_its_speed(file: str, limit: float | None) -> None:
    assert state(speed=f"pmset-g-therm.{file}").get("cpu_speed_limit") == limit


@pytest.mark.parametrize(("file", "mode"), [*MODES.items(), ("low-power", "low"), ("studio-macos26", "automatic")])
def test_power_mode_by_either_word(file: str, mode: str) -> None:
    assert state(power=f"pmset-g.{file}")["power_mode"] == mode


def test_a_hot_mac_in_low_power_mode_shows_both() -> None:
    found = state(heat="notifyutil-thermal.2-heavy", power="pmset-g.low-power")

    assert (found["thermal_level"], found["power_mode"]) == (2, "low")


@pytest.mark.parametrize(("file", "source"), [("desktop", "AC Power"), ("laptop", "Battery Power")])
def test_power_source(file: str, source: str) -> None:
    assert state(source=f"pmset-g-batt.{file}")["power_source"] == source


@pytest.mark.parametrize(("file", "level"), [("studio-m4max", 1), ("under-pressure", 2)])
def test_memory_pressure(file: str, level: int) -> None:
    assert state(memory=f"sysctl.{file}")["memory_pressure_level"] == level


@pytest.mark.parametrize("swapped", [0, 12_190_420_992])
def test_swap_in_use(swapped: int) -> None:
    assert host.state(Mac(swapped=swapped))["swap_used_bytes"] == swapped


@pytest.mark.parametrize("file", ["macos15", "macos27"])
def test_memory_in_bytes_by_the_page_size_in_the_header(file: str) -> None:
    found = state(pages=f"vm_stat.{file}")

    assert found["memory_bytes"] == {
        "wired": 212530 * 16384,
        "anonymous": 802766 * 16384,
        "file_backed": 384567 * 16384,
        "compressed": 90849 * 16384,
    }
    assert (found["swapped_in_bytes"], found["swapped_out_bytes"]) == (997990 * 16384, 1484124 * 16384)
    assert "memory_free" not in found  # counts a mapped model as free, and is rounded to gigabytes


def test_pages_of_another_size() -> None:
    said = recorded("vm_stat.macos15").replace("16384", "4096")

    assert host.state(Mac(said={"pages": said}))["memory_bytes"]["wired"] == 212530 * 4096


def test_a_mac_that_tells_nothing_is_not_taken_for_a_cool_one() -> None:
    assert host.state(Mac()) == {"unknown": ["thermal_level", "power_mode", "memory_pressure_level"]}
