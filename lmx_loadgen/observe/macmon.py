"""What `macmon` says of a Mac, once a second and without root: power, clock, heat and memory.

A 0 is not always one. The energy counters of CPU and DRAM stand still on macOS 27, an M1 has none for DRAM and no GPU
temperature, and the power of the whole machine cannot always be read: macmon prints 0 for all of them, and here it is
None. `powermetrics` has the same figures and needs root, so it is not read.
"""

import math
import shutil
from collections.abc import Mapping
from typing import Any

import pydantic_core

from lmx_loadgen.system.probe import Probe

SOURCE = "macmon"
INTERVAL_S = 1.0


def command(probe: Probe | None = None) -> tuple[str, ...] | None:
    """How to have it print a sample a second; None where it is not installed, and on other systems."""
    path = shutil.which("macmon") if (probe or Probe()).system == "darwin" else None
    return None if path is None else (path, "pipe", "-i", f"{INTERVAL_S * 1e3:.0f}")


def sample(line: bytes) -> dict[str, float | None] | None:
    """What a line says of the time since the line before it, in the fields of a `sample` line of the event log.

    None where it says nothing of use. Versions before 0.8 have the clock and the load of the GPU as a pair; its load is
    a share of the time there, times the share of the full clock.
    """
    try:
        said = pydantic_core.from_json(line)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    heat, memory, pair = _part(said, "temp"), _part(said, "memory"), said.get("gpu_usage")
    mhz, busy = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
    found = {
        "gpu_power_w": _above_zero(said.get("gpu_power")),
        "cpu_power_w": _above_zero(said.get("cpu_power")),
        "ram_power_w": _above_zero(said.get("ram_power")),
        "system_power_w": _above_zero(said.get("sys_power")),
        "gpu_mhz": _above_zero(said.get("gpu_freq_mhz", mhz)),
        "gpu_busy": _number(said.get("gpu_active_ratio", busy)),
        "gpu_temp_c": _above_zero(heat.get("gpu_temp_avg")),
        "cpu_temp_c": _above_zero(heat.get("cpu_temp_avg")),
        "ram_bytes": _above_zero(memory.get("ram_usage")),
        "swap_bytes": _number(memory.get("swap_usage")),  # none may be in use
    }
    return None if all(value is None for value in found.values()) else found


def _part(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = said.get(name)
    return part if isinstance(part, dict) else {}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _above_zero(value: object) -> float | None:
    return _number(value) or None
