"""What machine this is, on either system, and what it costs when nothing answers."""

import contextlib
import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lmx_loadgen.system import host, package_data
from tests.helpers.machine import Machine

NICE_0 = 20  # the limit on priorities that lets a process go back to the ordinary one


def test_a_mac() -> None:
    found = host.facts(
        Machine(
            "darwin",
            commands={
                "sysctl -n hw.memsize": "206158430208",
                "sysctl -n machdep.cpu.brand_string": "Apple M2 Ultra",
                "sw_vers -productVersion": "15.1",
            },
        )
    )

    assert found["chip"] == "Apple M2 Ultra"
    assert (found["memory_gb"], found["os"], found["os_version"]) == (192.0, "macOS", "15.1")


def test_a_linux_machine() -> None:
    found = host.facts(
        Machine(
            "linux",
            files={
                "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Some Chip @ 3 GHz\nprocessor\t: 1\nmodel name\t: x\n",
                "/proc/meminfo": "MemTotal:       16384000 kB\nMemFree: 1 kB\n",
                "/etc/os-release": 'NAME="x"\nPRETTY_NAME="Some Linux 12"\n',
            },
        )
    )

    assert found["chip"] == "Some Chip @ 3 GHz"
    assert (found["memory_gb"], found["os"], found["os_version"]) == (15.6, "Linux", "Some Linux 12")


def test_what_nobody_answers_is_none_and_never_raises() -> None:
    for system in ("darwin", "linux"):
        found = host.facts(Machine(system))
        assert (found["chip"], found["memory_gb"], found["os_version"]) == (None, None, None)
    nonsense = Machine("darwin", commands={"sysctl -n hw.memsize": "a lot"})
    assert host.facts(nonsense)["memory_gb"] is None


def test_macos_tells_the_graphics_cores_of_its_chip() -> None:
    commands = {
        "sysctl -n machdep.cpu.brand_string": "Apple M4 Max",
        "ioreg -rd1 -c AGXAccelerator": '+-o AGXAcceleratorG16X\n  {\n    "gpu-core-count" = 40\n    "x" = 1\n  }',
    }

    assert host.facts(Machine("darwin", commands=commands))["chip"] == "Apple M4 Max, 40-core GPU"
    commands["ioreg -rd1 -c AGXAccelerator"] = "nothing"
    assert host.facts(Machine("darwin", commands=commands))["chip"] == "Apple M4 Max"


def test_a_command_that_is_not_there_or_fails_has_no_answer(tmp_path: Path) -> None:
    probe = host.Probe()

    assert probe.run([str(tmp_path / "no-such-command")]) is None
    assert probe.run(["false"]) is None
    assert probe.run(["printf", "\\377x\n"]) == "\ufffdx"
    assert probe.read(str(tmp_path)) is None


def test_the_host_s_own_name_is_not_told() -> None:
    import platform

    assert len(host.host_name()) == 8
    assert platform.node() not in str(host.facts())


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="this system has no class of processes that give way")
def test_the_block_in_the_background_gives_way_and_ends_as_it_began_also_after_an_error() -> None:
    """In a thread of its own, as the class is a thread's: whoever may not raise a priority cannot take it back."""

    def classes() -> list[int]:
        found = [os.sched_getscheduler(0)]
        with contextlib.suppress(ZeroDivisionError), host.in_background():
            found.append(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)
            raise ZeroDivisionError
        return [*found, os.sched_getscheduler(0)]

    with ThreadPoolExecutor(1) as thread:
        before, inside, after = thread.submit(classes).result()

    assert inside == os.SCHED_IDLE
    if os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_NICE)[0] >= NICE_0:
        assert after == before


def test_data_folders_are_found_in_a_checkout_and_in_an_installed_package(tmp_path: Path) -> None:
    package = tmp_path / "lmx_loadgen"
    package.mkdir()
    assert package_data.folder("profiles", package) == tmp_path / "profiles"

    (package / "_data" / "profiles").mkdir(parents=True)
    assert package_data.folder("profiles", package) == package / "_data" / "profiles"
    assert (package_data.folder("profiles") / "quick.yaml").is_file()
    assert (package_data.folder("reference") / "published.yaml").is_file()


def test_the_state_of_a_mac() -> None:
    found = host.state(
        Machine(
            "darwin",
            commands={
                "pmset -g therm": "Note: No thermal warning level has been recorded\n\tCPU_Speed_Limit \t= 80\n",
                "pmset -g": "System-wide power settings:\n lowpowermode         1\n",
                "memory_pressure -Q": "The system has 1 (2 pages)\nSystem-wide memory free percentage: 61%",
                "vm_stat": "Mach Virtual Memory Statistics:\nPages free: 1.\nSwapouts:                    4711.\n",
            },
        )
    )

    assert found == {"cpu_speed_limit": 0.8, "low_power": True, "memory_free": 0.61, "swapped_out": 4711}


def test_the_state_of_a_linux_machine() -> None:
    found = host.state(
        Machine(
            "linux",
            files={
                "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000\n",
                "/proc/pressure/cpu": "some avg10=12.50 avg60=1.00 avg300=0.20 total=1\n",
                "/proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=9.00 total=0\n",
                "/proc/meminfo": "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:   250 kB\n",
                "/proc/vmstat": "pswpin 1\npswpout 42\n",
            },
        )
    )

    assert found == {
        "cpu_mhz": 2400,
        "cpu_stalled": 0.125,
        "memory_stalled": 0,
        "memory_free": 0.25,
        "swapped_out": 42,
    }


def test_a_machine_that_tells_nothing_of_its_state() -> None:
    assert host.state(Machine("linux")) == host.state(Machine("darwin")) == {}
