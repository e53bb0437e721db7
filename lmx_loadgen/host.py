"""What machine this is: the one place for platform facts, behind a `Probe` so that every branch is tested anywhere."""

import contextlib
import hashlib
import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

_WAIT_S = 2.0
_PACKAGES = ("httpx", "httptools", "uvloop", "anyio", "pydantic")


@dataclass(frozen=True)
class Probe:
    """The machine as asked: files and commands. Neither ever raises; None is no answer."""

    system: str = sys.platform

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def run(self, command: Sequence[str]) -> str | None:
        try:
            done = subprocess.run(command, capture_output=True, timeout=_WAIT_S, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.decode(errors="replace").strip()


def facts(probe: Probe | None = None) -> dict[str, Any]:
    """What a reader of a result needs to know of the machine; the host's name only as a short hash."""
    probe = probe or Probe()
    found = _macos(probe) if probe.system == "darwin" else _linux(probe)
    return {
        "name": host_name(),
        **found,
        "cpu_count": os.cpu_count(),
        "arch": platform.machine(),
        "python": platform.python_version(),
    }


def host_name() -> str:
    """Eight hexadecimal characters that tell this machine from others, and no more."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def versions() -> dict[str, str]:
    """Versions of the packages that timing depends on."""
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


@contextlib.contextmanager
def in_background() -> Iterator[None]:
    """Give way to every other process for the length of a block: what this one does can wait, arrivals cannot.

    Linux can do so (`SCHED_IDLE`, which children do not inherit); elsewhere nothing happens.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    except (AttributeError, OSError):
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _macos(probe: Probe) -> dict[str, Any]:
    memory = probe.run(["sysctl", "-n", "hw.memsize"])
    return {
        "chip": probe.run(["sysctl", "-n", "machdep.cpu.brand_string"]),
        "memory_gb": round(int(memory) / 2**30, 1) if memory and memory.isdigit() else None,
        "os": "macOS",
        "os_version": probe.run(["sw_vers", "-productVersion"]),
    }


def _linux(probe: Probe) -> dict[str, Any]:
    cpu = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", probe.read("/proc/cpuinfo") or "", re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", probe.read("/proc/meminfo") or "", re.MULTILINE)
    release = re.search(r'^PRETTY_NAME="?([^"\n]+)', probe.read("/etc/os-release") or "", re.MULTILINE)
    return {
        "chip": cpu[1].strip() if cpu else None,
        "memory_gb": round(int(memory[1]) / 2**20, 1) if memory else None,
        "os": "Linux",
        "os_version": release[1] if release else None,
    }
