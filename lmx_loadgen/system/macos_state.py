"""How a Mac does at the moment: heat, power and memory, out of `notifyutil`, `pmset`, `sysctl`, `vm_stat`
and psutil.

Free memory in percent is not asked for: it counts a mapped model as free and a model of the GPU as used, and is rounded
to what may be gigabytes. The system's own level of pressure and the growth of its swap counters say what matters;
psutil knows neither, as what it calls swapped in and out is any page read or written.
"""

import re
from typing import Any

from lmx_loadgen.system.macos import SYSCTL, values, whole
from lmx_loadgen.system.probe import Probe

_HEAT = "com.apple.system.thermalpressurelevel"
PMSET = "/usr/bin/pmset"
COMMANDS = {
    "heat": ("/usr/bin/notifyutil", "-g", _HEAT),
    "speed": (PMSET, "-g", "therm"),
    "power": (PMSET, "-g"),
    "source": (PMSET, "-g", "batt"),
    "memory": (SYSCTL, "-i", "kern.memorystatus_vm_pressure_level"),
    "pages": ("/usr/bin/vm_stat",),
}
_MODES = {("powermode", "0"): "automatic", ("powermode", "1"): "low", ("powermode", "2"): "high"}
_MODES |= {("lowpowermode", "0"): "automatic", ("lowpowermode", "1"): "low"}
# What every Mac tells: where one of these is missing, the result has to say that it is not known.
_EXPECTED = ("thermal_level", "power_mode", "memory_pressure_level")
_KINDS = {
    "wired": "Pages wired down",
    "anonymous": "Anonymous pages",
    "file_backed": "File-backed pages",
    "compressed": "Pages occupied by compressor",
}


def state(probe: Probe) -> dict[str, Any]:
    """The fields of a host state; `unknown` names those that the system did not tell."""
    said = probe.run_all(COMMANDS)
    memory = values(said["memory"])
    speed = re.search(r"^\s*CPU_Speed_Limit\s*=\s*(\d+)", said["speed"] or "", re.MULTILINE)
    found = {
        "thermal_level": thermal_level(said["heat"]),
        "cpu_speed_limit": int(speed[1]) / 100 if speed else None,
        "power_mode": power_mode(said["power"]),
        "power_source": power_source(said["source"]),
        "memory_pressure_level": whole(memory.get("kern.memorystatus_vm_pressure_level")),
        "swap_used_bytes": probe.swap_used_bytes(),
        **memory_bytes(said["pages"]),
    }
    unknown = [name for name in _EXPECTED if found[name] is None]
    return found | {"unknown": unknown or None}


def source(probe: Probe) -> str | None:
    """Where the machine's power comes from at the moment."""
    return power_source(probe.run(COMMANDS["source"]))


def thermal_level(said: str | None) -> int | None:
    """0 nominal, 1 moderate, 2 heavy, 3 trapping, 4 sleeping. A failure is said with exit status 0."""
    found = re.search(rf"^{re.escape(_HEAT)} ([0-4])$", said or "", re.MULTILINE)
    return int(found[1]) if found else None


def power_mode(said: str | None) -> str | None:
    """`automatic`, `low` or `high`. Macs with High Power Mode say `powermode`, others `lowpowermode`."""
    found = re.search(r"^ *(powermode|lowpowermode) +(\d)\b", said or "", re.MULTILINE)
    return _MODES.get((found[1], found[2])) if found else None


def power_source(said: str | None) -> str | None:
    """`AC Power` or `Battery Power`."""
    found = re.search(r"^Now drawing from '([^']+)'", said or "", re.MULTILINE)
    return found[1] if found else None


def memory_bytes(said: str | None) -> dict[str, Any]:
    """Bytes of memory by what they hold, and those swapped in and out since the start, out of `vm_stat`'s pages."""
    size = re.search(r"page size of (\d+) bytes", said or "")
    if size is None:
        return {}
    pages = {name: int(count) for name, count in re.findall(r'^"?([^":\n]+)"?: +(\d+)\.?$', said or "", re.MULTILINE)}
    held = {kind: pages[name] * int(size[1]) for kind, name in _KINDS.items() if name in pages}
    moved = {"swapped_in_bytes": pages.get("Swapins"), "swapped_out_bytes": pages.get("Swapouts")}
    found = {name: count * int(size[1]) for name, count in moved.items() if count is not None}
    return {"memory_bytes": held or None, **found}
