"""What a Linux machine is and how it does, out of /proc, /sys and /etc."""

import os
import re
import resource
from typing import Any

from lmx_loadgen.system.probe import Probe

_KINDS = {"anonymous": "AnonPages", "mapped": "Mapped", "available": "MemAvailable"}


def facts(probe: Probe) -> dict[str, Any]:
    """The machine, in fields that a header's `host` has."""
    cpu = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", probe.read("/proc/cpuinfo") or "", re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", probe.read("/proc/meminfo") or "", re.MULTILINE)
    release = re.search(r'^PRETTY_NAME="?([^"\n]+)', probe.read("/etc/os-release") or "", re.MULTILINE)
    return {
        "chip": cpu[1].strip() if cpu else None,
        "memory_gb": round(int(memory[1]) / 2**20, 1) if memory else None,
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
    cores = range(os.cpu_count() or 1)
    speeds = [probe.read(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq") for core in cores]
    known = [int(speed) / 1000 for speed in speeds if speed and speed.strip().isdigit()]
    memory, counters = probe.read("/proc/meminfo"), probe.read("/proc/vmstat")
    total, free = _number(r"MemTotal:\s*(\d+)", memory), _number(r"MemAvailable:\s*(\d+)", memory)
    held = {kind: _number(rf"^{name}:\s*(\d+) kB", memory) for kind, name in _KINDS.items()}
    return {
        "cpu_mhz": sum(known) / len(known) if known else None,
        "cpu_stalled": _stalled(probe.read("/proc/pressure/cpu")),
        "memory_stalled": _stalled(probe.read("/proc/pressure/memory")),
        "memory_free": free / total if free is not None and total else None,
        "memory_bytes": {kind: round(kb * 1024) for kind, kb in held.items() if kb is not None} or None,
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
