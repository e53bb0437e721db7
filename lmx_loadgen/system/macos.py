"""What a Mac is: chip, cores, memory and system, out of `sysctl`, `ioreg`, `sw_vers` and psutil.

Every command is called by its absolute path. What is absent is None: not known, and never taken for fine.
"""

import re
from collections.abc import Mapping
from typing import Any

from lmx_loadgen.system.probe import Probe

SYSCTL, IOREG = "/usr/sbin/sysctl", "/usr/sbin/ioreg"
_MOST_LEVELS = 4
_KEYS = (
    "machdep.cpu.brand_string",
    "hw.model",
    "hw.optional.arm64",
    "sysctl.proc_translated",
    "iogpu.wired_limit_mb",
    "kern.osproductversion",
    "kern.osversion",
    "hw.nperflevels",
    *(f"hw.perflevel{level}.{part}" for level in range(_MOST_LEVELS) for part in ("name", "physicalcpu")),
)
COMMANDS = {
    "sysctl": (SYSCTL, "-i", *_KEYS),  # -i: unknown keys are left out, and the others are still answered
    "gpu": (IOREG, "-rd1", "-c", "AGXAccelerator"),
    "version": ("/usr/bin/sw_vers",),
}
UUID_COMMAND = (IOREG, "-rd1", "-c", "IOPlatformExpertDevice")


def facts(probe: Probe) -> dict[str, Any]:
    """The machine, in fields that a header's `host` has.

    `performance_levels` are its kinds of cores, the fastest first; `translated` is whether this process runs under
    Rosetta; `gpu_wired_limit_mb` is 0 where the system's own limit holds.
    """
    said = probe.run_all(COMMANDS)
    keys = values(said["sysctl"])
    version = dict(re.findall(r"^(\w+):\s*(.+?)\s*$", said["version"] or "", re.MULTILINE))
    memory = probe.memory().get("total")
    return {
        "chip": _chip(keys.get("machdep.cpu.brand_string"), said["gpu"]),
        "model": keys.get("hw.model"),
        "memory_gb": None if memory is None else round(memory / 2**30, 1),
        "performance_levels": _levels(keys),
        "gpu_wired_limit_mb": whole(keys.get("iogpu.wired_limit_mb")),
        "translated": _translated(keys, probe.arch),
        "os": "macOS",
        "os_version": version.get("ProductVersion") or keys.get("kern.osproductversion"),
        "os_build": version.get("BuildVersion") or keys.get("kern.osversion"),
    }


def platform_uuid(probe: Probe) -> str | None:
    """What tells this Mac from all others; it never leaves this tool unhashed."""
    found = re.search(r'"IOPlatformUUID" = "([^"]+)"', probe.run(UUID_COMMAND) or "")
    return found[1] if found else None


def values(said: str | None) -> dict[str, str]:
    """What `sysctl` printed, by key."""
    lines = [line.partition(": ") for line in (said or "").splitlines()]
    return {key.strip(): value.strip() for key, sign, value in lines if sign and value.strip()}


def whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _chip(name: str | None, graphics: str | None) -> str | None:
    """`Apple M4 Max, 40-core GPU`: chips of one name differ in their graphics cores, and in what memory delivers."""
    cores = re.search(r'"gpu-core-count" = (\d+)', graphics or "")
    return f"{name}, {cores[1]}-core GPU" if name and cores else name


def _levels(keys: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """The kinds of cores: `perflevel0` is always the fastest, whatever it is called."""
    count = whole(keys.get("hw.nperflevels"))
    if count is None:
        return None
    cores = [(keys.get(f"hw.perflevel{n}.name"), whole(keys.get(f"hw.perflevel{n}.physicalcpu"))) for n in range(count)]
    return [{"name": name, "cores": number} for name, number in cores]


def _translated(keys: Mapping[str, str], arch: str) -> bool | None:
    if keys.get("sysctl.proc_translated") == "1" or (arch == "x86_64" and keys.get("hw.optional.arm64") == "1"):
        return True
    return False if arch == "arm64" or "Intel" in keys.get("machdep.cpu.brand_string", "") else None
