"""What a Mac is, out of what its commands printed on real ones."""

import pytest

from lmx_loadgen.system import host, macos
from tests.system.machine import RECORDED, Mac, recorded


def facts(arch: str = "arm64", **said: str) -> dict[str, object]:
    held = {"total": 128 * 2**30, "available": 2**30}
    return host.facts(Mac(arch=arch, said={name: recorded(file) for name, file in said.items()}, held=held))


def test_a_mac_studio() -> None:
    found = facts(sysctl="sysctl.studio-m4max", gpu="ioreg-AGXAccelerator.m5max", version="sw_vers", source=DESKTOP)

    assert found["chip"] == "Apple M4 Max, 40-core GPU"
    assert (found["model"], found["memory_gb"]) == ("Mac16,9", 128.0)
    assert found["performance_levels"] == [{"name": "Performance", "cores": 12}, {"name": "Efficiency", "cores": 4}]
    assert (found["os"], found["os_version"], found["os_build"]) == ("macOS", "26.1", "25B78")
    assert (found["translated"], found["gpu_wired_limit_mb"], found["power_source"]) == (False, 0, "AC Power")


DESKTOP = "pmset-g-batt.desktop"


def test_every_recorded_output_says_where_it_comes_from() -> None:
    firsts = [path.read_text().splitlines()[0] for path in RECORDED.iterdir()]

    assert len(firsts) >= 29
    assert all(first.startswith("# ") for first in firsts)


@pytest.mark.parametrize(("file", "cores"), [("m1pro", 16), ("m4", 10), ("m5max", 40)])
def test_graphics_cores(file: str, cores: int) -> None:
    found = facts(sysctl="sysctl.studio-m4max", gpu=f"ioreg-AGXAccelerator.{file}")

    assert found["chip"] == f"Apple M4 Max, {cores}-core GPU"


def test_an_intel_mac_has_none() -> None:
    said = {"sysctl": "machdep.cpu.brand_string: Intel(R) Core(TM) i9", "gpu": recorded("ioreg-AGXAccelerator.intel")}
    found = host.facts(Mac(arch="x86_64", said=said))

    assert (found["chip"], found["translated"]) == ("Intel(R) Core(TM) i9", False)


@pytest.mark.parametrize(
    ("file", "levels", "fast"),
    [
        ("m5max", [("Super", 6), ("Performance", 12)], 6),
        ("m6", [("Super", 2), ("Performance", 4), ("Efficiency", 6)], 2),
    ],
)
def test_the_fast_cores_are_the_first_kind_whatever_it_is_called(
    file: str, levels: list[tuple[str, int]], fast: int
) -> None:
    mac = Mac(said={"sysctl": recorded(f"sysctl.perflevels-{file}")})

    assert host.facts(mac)["performance_levels"] == [{"name": name, "cores": cores} for name, cores in levels]
    assert host.fast_cores(mac) == fast


def test_without_kinds_of_cores_all_count() -> None:
    assert host.fast_cores(Mac()) == host.facts(Mac())["cpu_count"]


@pytest.mark.parametrize(
    ("arch", "said", "translated"),
    [
        ("x86_64", recorded("sysctl.rosetta"), True),
        ("x86_64", "hw.optional.arm64: 1", True),
        ("arm64", "hw.optional.arm64: 1\nsysctl.proc_translated: 0", False),
        ("x86_64", "machdep.cpu.brand_string: Apple M2 Ultra", None),  # nobody told
        ("x86_64", "", None),
    ],
)
def test_rosetta(arch: str, said: str, translated: bool | None) -> None:
    assert host.facts(Mac(arch=arch, said={"sysctl": said}))["translated"] is translated


def test_what_is_absent_is_not_known() -> None:
    """Unknown keys are no output with status 0, or words on stderr; neither is a value."""
    for mac in (Mac(), Mac(said={"sysctl": recorded("sysctl-n.unknown"), "gpu": "", "version": ""})):
        found = host.facts(mac)
        names = ("chip", "model", "memory_gb", "performance_levels", "gpu_wired_limit_mb", "os_version", "os_build")
        assert {found[name] for name in (*names, "power_source")} == {None}
    assert macos.facts(Mac(said={"sysctl": "iogpu.wired_limit_mb: a lot"}))["gpu_wired_limit_mb"] is None


def test_commands_are_called_by_absolute_path() -> None:
    mac = Mac()
    host.facts(mac)
    host.state(mac)

    assert len(mac.asked) >= 10
    assert all(command[0].startswith("/usr/") for command in mac.asked)
