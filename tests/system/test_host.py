"""What machine this is, on either system, and what it costs when nothing answers."""

import os
import resource
from pathlib import Path

import pytest

from lmx_loadgen.system import host, package_data
from lmx_loadgen.system.probe import Probe
from tests.helpers.machine import Machine

PAGE = resource.getpagesize()


def test_a_linux_machine() -> None:
    found = host.facts(
        Machine(
            "linux",
            files={
                "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Some Chip @ 3 GHz\nprocessor\t: 1\nmodel name\t: x\n",
                "/etc/os-release": 'NAME="x"\nPRETTY_NAME="Some Linux 12"\n',
            },
            held={"total": 16_777_216_000, "available": 1},
        )
    )

    assert found["chip"] == "Some Chip @ 3 GHz"
    assert (found["memory_gb"], found["os"], found["os_version"]) == (15.6, "Linux", "Some Linux 12")


def test_a_machine_is_busy_from_half_of_its_cores_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)

    assert host.busy(Machine("darwin", load=3.26)) == "load average 3.3 on 4 cores"
    assert host.busy(Machine("linux", load=2.0)) is None
    assert host.busy(Machine("linux")) is None


def test_what_nobody_answers_is_none_and_never_raises() -> None:
    for system in ("darwin", "linux"):
        found = host.facts(Machine(system))
        assert (found["chip"], found["memory_gb"], found["os_version"]) == (None, None, None)


def test_a_command_that_is_not_there_or_fails_has_no_answer(tmp_path: Path) -> None:
    probe = Probe()

    assert probe.run([str(tmp_path / "no-such-command")]) is None
    assert probe.run(["false"]) is None
    assert probe.run(["printf", "\\377x\n"]) == "\ufffdx"
    assert probe.read(str(tmp_path)) is None


def test_data_folders_are_found_in_a_checkout_and_in_an_installed_package(tmp_path: Path) -> None:
    package = tmp_path / "lmx_loadgen"
    package.mkdir()
    assert package_data.folder("profiles", package) == tmp_path / "profiles"

    (package / "_data" / "profiles").mkdir(parents=True)
    assert package_data.folder("profiles", package) == package / "_data" / "profiles"
    assert (package_data.folder("profiles") / "quick.yaml").is_file()
    assert (package_data.folder("reference") / "published.yaml").is_file()


def test_the_state_of_a_linux_machine() -> None:
    found = host.state(
        Machine(
            "linux",
            files={
                "/proc/pressure/cpu": "some avg10=12.50 avg60=1.00 avg300=0.20 total=1\n",
                "/proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=9.00 total=0\n",
                "/proc/meminfo": "MemTotal:       1000 kB\nAnonPages: 5 kB\n",
                "/proc/vmstat": "pswpin 1\npswpout 42\n",
            },
            held={"total": 1_024_000, "available": 256_000},
            clocks_mhz=[2000, 2800],
        )
    )

    assert found == {
        "cpu_mhz": 2400,
        "cpu_stalled": 0.125,
        "memory_stalled": 0,
        "memory_free": 0.25,
        "memory_bytes": {"available": 256_000, "anonymous": 5120},
        "swapped_in_bytes": PAGE,
        "swapped_out_bytes": 42 * PAGE,
    }


def test_a_machine_that_tells_nothing_of_its_state() -> None:
    assert host.state(Machine("linux")) == {}
    assert host.state(Machine("darwin")) == {"unknown": ["thermal_level", "power_mode", "memory_pressure_level"]}
