"""What macmon says, out of what it printed on real Macs: no zero that stands for something unknown is taken for one."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.observe import macmon
from tests.helpers.machine import Machine
from tests.system.machine import recorded

POWER = ("gpu_power_w", "cpu_power_w", "ram_power_w", "system_power_w")


def said(version: str) -> dict[str, float | None]:
    found = macmon.sample(recorded(f"macmon-pipe.{version}.jsonl").encode())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("version", "power", "gpu", "memory"),
    [
        ("0.6", (0.0109, 0.636, 0.1489, 10.4955), (503, 0.0136, 29.45), (12322914304, 0)),
        ("0.8", (0.0175, 0.2049, 0.1164, 5.8765), (461, 0.09, 37.0), (20985479168, 2602434560)),
        # An M1 has neither a counter of DRAM nor a temperature of the GPU.
        ("m1-ram0", (0.0044, 0.2523, None, 9.3915), (198, 0.0042, None), (10585292800, 1027801088)),
        # On macOS 27 the counters of CPU and DRAM stand still.
        ("macos27-cpu0", (31.2, None, None, 58.9), (1380, 0.97, 66.4), (91000000000, 0)),
    ],
)
def test_each_recorded_version(
    version: str,
    power: tuple[float | None, ...],
    gpu: tuple[float, float, float | None],
    memory: tuple[int, int],
) -> None:
    found = said(version)

    assert tuple(found[name] for name in POWER) == power
    assert (found["gpu_mhz"], found["gpu_busy"], found["gpu_temp_c"]) == gpu
    assert (found["ram_bytes"], found["swap_bytes"]) == memory


def test_the_power_of_a_machine_that_does_not_tell_is_not_zero() -> None:
    line = json.loads(recorded("macmon-pipe.0.6.jsonl")) | {"sys_power": 0.0}

    found = macmon.sample(json.dumps(line).encode())

    assert found is not None
    assert found["system_power_w"] is None


def test_the_new_names_of_a_version_that_has_both_win() -> None:
    line = json.loads(recorded("macmon-pipe.0.8.jsonl")) | {"gpu_usage": [461, 0.021]}

    found = macmon.sample(json.dumps(line).encode())

    assert found is not None
    assert (found["gpu_mhz"], found["gpu_busy"]) == (461, 0.09)


@pytest.mark.parametrize("wrong", [None, "31.2", True, -1, [1], {}, float("nan"), float("inf"), 10**400])
def test_what_is_no_figure_is_not_known(wrong: Any) -> None:
    line = json.loads(recorded("macmon-pipe.0.6.jsonl")) | {"gpu_power": wrong, "gpu_usage": wrong, "memory": wrong}

    found = macmon.sample(json.dumps(line).encode())

    assert found is not None
    names = ("gpu_power_w", "gpu_mhz", "gpu_busy", "ram_bytes", "swap_bytes")
    assert {found[name] for name in names} == {None}
    assert found["cpu_power_w"] == 0.636


@pytest.mark.parametrize("line", [b"", b"[]", b"7", b"{", b"\xff\xfe", b"warning: no sensors", b"{}", b'{"power": {}}'])
def test_a_line_without_anything_of_use_is_no_sample(line: bytes) -> None:
    assert macmon.sample(line) is None


def test_it_runs_where_it_is_installed_on_a_mac_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert macmon.command(Machine(system="darwin")) is None

    program = tmp_path / "macmon"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    assert macmon.command(Machine(system="darwin")) == (str(program), "pipe", "-i", "1000")
    assert macmon.command(Machine(system="linux")) is None
