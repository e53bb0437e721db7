"""What machine this is and how it does: one face for macOS and Linux, each of which has a file of its own."""

import functools
import os
import platform
import re
import resource
from importlib import metadata
from typing import Any

from lmx_loadgen.system import linux, macos, macos_state, priority, sleep
from lmx_loadgen.system.identity import machine_id
from lmx_loadgen.system.probe import Probe

# Of the cores.
_MOST_LOAD = 0.5
_PACKAGES = ("httpx", "httptools", "uvloop", "anyio", "pydantic")


def facts(probe: Probe | None = None) -> dict[str, Any]:
    """What a reader of a result needs to know of the machine; its identity only as a short hash."""
    found = {"machine_id": machine_id(probe), **_lasting(probe)}
    probe = probe or Probe()
    if probe.system == "darwin":
        found["power_source"] = macos_state.source(probe)
    return {**found, **priority.background(probe)}


def chip(probe: Probe | None = None) -> str | None:
    """The processor's name, of an Apple one with the number of its graphics cores."""
    found: str | None = _lasting(probe)["chip"]
    return found


def fast_cores(probe: Probe | None = None) -> int:
    """How many cores there are for work that must not wait: those of the fastest kind, where there are several."""
    levels = _lasting(probe).get("performance_levels") or [{}]
    return levels[0].get("cores") or os.cpu_count() or 1


def _lasting(probe: Probe | None) -> dict[str, Any]:
    """What stays as it is for as long as this process lives."""
    return _of_this_machine() if probe is None else _found_lasting(probe)


@functools.cache
def _of_this_machine() -> dict[str, Any]:
    return _found_lasting(Probe())


def _found_lasting(probe: Probe) -> dict[str, Any]:
    return {
        **(macos.facts(probe) if probe.system == "darwin" else linux.facts(probe)),
        "cpu_count": os.cpu_count(),
        "arch": probe.arch,
        "python": platform.python_version(),
    }


def state(probe: Probe | None = None) -> dict[str, Any]:
    """How the machine does now, as far as its system tells: heat, power, memory and sleep.

    `thermal_level` and `memory_pressure_level` are macOS's own; `cpu_speed_limit` is a share of full speed;
    `memory_free` and `memory_stalled` are shares of memory and of time (the last ten seconds); `memory_bytes` says what
    memory holds; swapped bytes count from the start of the system, as does `asleep_s`, in seconds.
    """
    probe = probe or Probe()
    found = macos_state.state(probe) if probe.system == "darwin" else linux.state(probe)
    found["asleep_s"] = sleep.asleep_s(probe)
    return {name: value for name, value in found.items() if value is not None}


def busy(probe: Probe | None = None) -> str | None:
    """What else keeps this machine busy now, in words; None where it is quiet, or does not tell.

    A load average of more than half the cores: what this tool itself has done a minute ago counts for less.
    """
    load, cores = (probe or Probe()).load_average(), os.cpu_count() or 1
    if load is None or load <= _MOST_LOAD * cores:
        return None
    return f"load average {load:.1f} on {cores} core{'s' if cores > 1 else ''}"


@functools.cache
def versions() -> dict[str, str]:
    """Versions of the packages that timing depends on; they stay while this process runs."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def peak_rss_bytes(probe: Probe | None = None) -> int:
    """The most memory this process has held.

    On Linux from the kernel's own account of it: `ru_maxrss` begins with what the parent held when it forked.
    """
    probe = probe or Probe()
    found = re.search(r"^VmHWM:\s*(\d+) kB", probe.read("/proc/self/status") or "", re.MULTILINE)
    if found is not None:
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if probe.system == "darwin" else peak * 1024
