"""What is wrong with a machine, each out of what its system said: named, with its fix, and with its exit code."""

import resource
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.commands.doctor import diagnoses, exit_code, local_network_check
from lmx_loadgen.system import lock
from lmx_loadgen.system.diagnosis import Diagnosis
from lmx_loadgen.system.diagnosis import Machine as Found
from lmx_loadgen.system.doctor import examine
from lmx_loadgen.system.doctor_state import MB
from lmx_loadgen.system.folders import LOCK_FOLDER_ENV
from lmx_loadgen.system.probe import Probe
from tests.helpers.machine import Machine
from tests.system.machine import Mac, recorded

OUT = Path("/no/reports")
# A Mac Studio on which all is well.
WELL = {
    "sysctl": "sysctl.studio-m4max",
    "gpu": "ioreg-AGXAccelerator.m5max",
    "version": "sw_vers",
    "heat": "notifyutil-thermal.0-nominal",
    "speed": "pmset-g-therm.apple-silicon",
    "power": "pmset-g.studio-macos26",
    "source": "pmset-g-batt.desktop",
    "memory": "sysctl.studio-m4max",
    "pages": "vm_stat.macos15",
    "custom": "pmset-g-custom.mac-mini",
    "maxfiles": "launchctl-limit-maxfiles",
    "network": "sysctl.network",
}


@pytest.fixture(autouse=True)
def nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOCK_FOLDER_ENV, str(tmp_path))


def mac(arch: str = "arm64", **instead: str | None) -> Mac:
    said = {name: recorded(file) for name, file in {**WELL, **instead}.items() if file is not None}
    return Mac(said=said, arch=arch, own_priority=0, late_s=0.0, load=0.0)


def found(probe: Probe, before: Mapping[str, Any] | None = None) -> dict[str, Diagnosis]:
    from lmx_loadgen.system import host

    state = host.state(probe)
    return {one.check: one for one in examine(Found(host.facts(probe), before or state, state), [OUT], probe)}


def bad(probe: Probe, before: Mapping[str, Any] | None = None) -> list[str]:
    return [check for check, one in found(probe, before).items() if one.status not in ("ok", "note")]


def test_a_mac_on_which_all_is_well() -> None:
    checks = found(mac())

    assert bad(mac()) == []
    assert exit_code(list(checks.values())) == 0
    assert {"open files", "power mode", "heat", "Rosetta", "sleep", "disk"} <= set(checks)


@pytest.mark.parametrize(
    ("instead", "check", "words"),
    [
        ({"power": "pmset-g.low-power"}, "power mode", "lowpowermode"),
        ({"power": "pmset-g.powermode-1-low"}, "power mode", "powermode 0"),
        ({"source": "pmset-g-batt.laptop"}, "power", "plug in"),
        ({"heat": "notifyutil-thermal.1-moderate"}, "heat", "cool down"),
        ({"heat": "notifyutil-thermal.3-trapping"}, "heat", "cool down"),
        ({"speed": "pmset-g-therm.intel"}, "heat", "cool down"),
        ({"memory": "sysctl.under-pressure"}, "memory", "--isolate"),
        ({"sysctl": "sysctl.rosetta"}, "Rosetta", "arm64"),
    ],
)
def test_what_distorts_is_named_with_what_helps(instead: dict[str, str], check: str, words: str) -> None:
    checks = found(mac(**instead))

    assert checks[check].status == "distorts"
    assert words in str(checks[check].fix)
    assert exit_code(list(checks.values())) == 8
    assert [name for name, one in checks.items() if one.status in ("distorts", "fails")] == [check]


@pytest.mark.parametrize(
    ("silent", "check"),
    [
        ({"heat": None}, "heat"),
        ({"heat": "notifyutil-thermal.failed"}, "heat"),
        ({"power": None}, "power mode"),
        ({"memory": None}, "memory"),
        ({"pages": None}, "swap"),
        ({"custom": None}, "sleep"),
        ({"source": None}, "power"),
        ({"network": None}, "source ports"),
        ({"network": None}, "listen queue"),
    ],
)
def test_what_a_mac_does_not_tell_is_not_taken_for_well(silent: dict[str, str | None], check: str) -> None:
    assert found(mac(**silent))[check].status == "unknown"


def test_a_linux_machine_that_tells_nothing() -> None:
    assert set(bad(Machine("linux"))) >= {"power mode", "power", "heat", "memory", "swap"}
    assert exit_code(list(found(Machine("linux")).values())) != 8


def test_a_linux_laptop_that_saves_power() -> None:
    files = {"/sys/firmware/acpi/platform_profile": "low-power\n", "/sys/class/power_supply/AC/online": "0\n"}
    checks = found(Machine("linux", files=files))

    assert (checks["power mode"].status, checks["power"].status) == ("distorts", "distorts")


def test_what_moves_to_and_from_swap_counts_and_not_what_lies_there() -> None:
    from lmx_loadgen.system import host

    state = host.state(mac())
    busy = {**state, "swapped_out_bytes": state["swapped_out_bytes"] - 100 * MB}

    assert found(mac(), state)["swap"].status == "ok"
    assert "100 MB" in found(mac(), busy)["swap"].finding
    assert bad(mac(), busy) == ["swap"]


@pytest.mark.parametrize(
    ("file", "source", "status", "minutes"),
    [
        ("mac-mini", "pmset-g-batt.desktop", "ok", ""),
        ("laptop", "pmset-g-batt.desktop", "note", "30 idle minutes"),
        ("laptop", "pmset-g-batt.laptop", "note", "10 idle minutes"),
    ],
)
def test_sleep_settings_are_those_of_the_power_it_has(file: str, source: str, status: str, minutes: str) -> None:
    sleep = found(mac(custom=f"pmset-g-custom.{file}", source=source))["sleep"]

    assert (sleep.status, minutes in sleep.finding) == (status, True)


def test_a_busy_machine_and_a_process_in_the_background() -> None:
    assert bad(replace(mac(), load=1000.0)) == ["other load"]
    assert bad(replace(mac(), own_priority=1)) == ["priority"]
    assert bad(replace(mac(), late_s=0.08)) == ["priority"]


@pytest.mark.parametrize(("free", "status", "code"), [(0, "fails", 9), (2**29, "note", 0), (None, "unknown", 0)])
def test_a_full_disk(free: int | None, status: str, code: int) -> None:
    checks = found(replace(mac(), free=free))

    assert checks["disk"].status == status
    assert exit_code(list(checks.values())) == code
    if code:
        assert "--out DIR" in str(checks["disk"].fix)


def test_a_folder_that_cannot_be_written_has_no_room(tmp_path: Path) -> None:
    assert (Probe().free_bytes(tmp_path / "not" / "there") or 0) > 0
    assert Probe().free_bytes(Path("/proc/1")) == 0 or not Path("/proc/1").is_dir()


@pytest.mark.parametrize(("said", "fix"), [("256            unlimited", "ulimit"), ("256  1000", "launchctl limit")])
def test_a_hard_limit_on_files_fails_and_a_soft_one_is_raised(
    said: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = mac()
    probe = replace(probe, said={**probe.said, "maxfiles": f"maxfiles    {said}"})
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: None)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, 256))
    files = found(probe)["open files"]

    assert (files.status, "192 connections" in files.finding) == ("fails", True)
    assert fix in str(files.fix)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (65_536, resource.RLIM_INFINITY))
    assert found(probe)["open files"].status == "ok"


def test_another_run_is_seen_and_not_disturbed(tmp_path: Path) -> None:
    assert lock.holder() is None
    with lock.acquire(allow_concurrent=False):
        other = found(mac())["other run"]
        assert other.status == "fails"
        assert "exit code 6" in other.finding
    assert lock.holder() is None
    with lock.acquire(allow_concurrent=False) as again:
        assert again.held_by is None


def test_macos_may_keep_this_program_from_the_local_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(65, "No route to host")

    monkeypatch.setattr("socket.create_connection", refuse)
    check = local_network_check("box", "192.168.1.2", 1234, "darwin")

    assert check.status == "fails"
    assert "Local Network" in str(check.fix)
    assert local_network_check("box", "192.168.1.2", 1234, "linux").status == "note"


def test_every_check_of_a_mac_and_of_this_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmx_loadgen.commands.doctor._WATCH_S", 0)
    checks = [one.check for one in diagnoses(OUT, mac())]

    assert set(checks) == {
        *("open files", "power mode", "power", "heat", "memory", "swap", "other load", "other run", "priority"),
        *("Rosetta", "sleep", "disk", "stamps", "calibration", "browser", "source ports", "listen queue"),
    }
