"""What a Linux machine is and how it does: memory and clocks from psutil, the rest out of /proc and /etc.

psutil has no anonymous and mapped memory and no stalls, and counts swapped pages as 4 KiB whatever their size.
"""

import re
import resource
from typing import Any

from lmx_loadgen.system.probe import Probe

_KINDS = {"anonymous": "AnonPages", "mapped": "Mapped"}


def facts(probe: Probe) -> dict[str, Any]:
    """The machine, in fields that a header's `host` has."""
    cpu = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", probe.read("/proc/cpuinfo") or "", re.MULTILINE)
    memory = probe.memory().get("total")
    release = re.search(r'^PRETTY_NAME="?([^"\n]+)', probe.read("/etc/os-release") or "", re.MULTILINE)
    return {
        "chip": cpu[1].strip() if cpu else None,
        "memory_gb": None if memory is None else round(memory / 2**30, 1),
        "os": "Linux",
        "os_version": release[1] if release else None,
    }


def machine_id(probe: Probe) -> str | None:
    """What tells this installation from all others; it never leaves this tool unhashed."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        if (found := (probe.read(path) or "").strip()) and found != "uninitialized":
            return found
    return None


def state(probe: Probe) -> dict[str, Any]:
    """The fields of a host state."""
    speeds, memory = probe.core_mhz(), probe.memory()
    held, counters = probe.read("/proc/meminfo"), probe.read("/proc/vmstat")
    kinds = {kind: _number(rf"^{name}:\s*(\d+) kB", held) for kind, name in _KINDS.items()}
    known = {kind: round(kb * 1024) for kind, kb in kinds.items() if kb is not None}
    return {
        "cpu_mhz": sum(speeds) / len(speeds) if speeds else None,
        "cpu_stalled": _stalled(probe.read("/proc/pressure/cpu")),
        "memory_stalled": _stalled(probe.read("/proc/pressure/memory")),
        "memory_free": memory["available"] / memory["total"] if memory else None,
        "memory_bytes": known | {kind: memory[kind] for kind in ("available",) if memory} or None,
        "swapped_in_bytes": _swapped_bytes("pswpin", counters),
        "swapped_out_bytes": _swapped_bytes("pswpout", counters),
    }


def _swapped_bytes(counter: str, counters: str | None) -> int | None:
    pages = _number(rf"^{counter} (\d+)", counters)
    return None if pages is None else round(pages) * resource.getpagesize()


def _stalled(pressure: str | None) -> float | None:
    """The share of the last ten seconds in which some task waited for the resource (Linux PSI)."""
    share = _number(r"some avg10=([\d.]+)", pressure)
    return None if share is None else share / 100


def _number(pattern: str, text: str | None) -> float | None:
    found = re.search(pattern, text or "", re.MULTILINE)
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None
