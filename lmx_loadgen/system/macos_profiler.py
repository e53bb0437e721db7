"""What `system_profiler` says of a Mac, where `sysctl` and `ioreg` say nothing: it takes a hundred times as long."""

import re
from typing import Any

import pydantic_core

from lmx_loadgen.system.probe import Probe

_PROFILER = "/usr/sbin/system_profiler"
COMMANDS = {
    "hardware": (_PROFILER, "SPHardwareDataType", "-json"),
    "displays": (_PROFILER, "SPDisplaysDataType", "-json"),
}
# Newer chips have a fourth number, and cores of another name at its head.
_KINDS = {2: ("Performance", "Efficiency"), 3: ("Super", "Efficiency", "Performance")}


def facts(probe: Probe) -> dict[str, Any]:
    """Chip with its graphics cores, model, memory and kinds of cores; None for what it does not tell."""
    said = probe.run_all(COMMANDS)
    hardware, display = _first(said["hardware"]), _first(said["displays"])
    chip, cores = hardware.get("chip_type"), str(display.get("sppci_cores", ""))
    memory = re.fullmatch(r"(\d+) GB", str(hardware.get("physical_memory", "")))
    return {
        "chip": f"{chip}, {cores}-core GPU" if chip and cores.isdecimal() else chip,
        "model": hardware.get("machine_model"),
        "memory_gb": float(memory[1]) if memory else None,
        "performance_levels": _levels(str(hardware.get("number_processors", ""))),
    }


def _levels(said: str) -> list[dict[str, Any]] | None:
    """`proc 16:12:4` is all, then each kind, the fastest first."""
    found = re.fullmatch(r"proc \d+((?::\d+)+)", said)
    counts = [int(count) for count in found[1].split(":")[1:]] if found else []
    names = _KINDS.get(len(counts), ())
    return [{"name": name, "cores": count} for name, count in zip(names, counts, strict=False) if count] or None


def _first(said: str | None) -> dict[str, Any]:
    """The first entry of the one list in its JSON."""
    try:
        data = pydantic_core.from_json(said or "{}")
    except ValueError:
        return {}
    lists = [part for part in data.values() if isinstance(part, list)] if isinstance(data, dict) else []
    return next((entry for part in lists for entry in part if isinstance(entry, dict)), {})
