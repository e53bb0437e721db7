"""What machine this is: the one place for platform facts, behind a `Probe` so that every branch is tested anywhere."""

import contextlib
import hashlib
import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

LOCK_FOLDER_ENV = "LMX_LOADGEN_LOCK_DIR"
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


def state(probe: Probe | None = None) -> dict[str, Any]:
    """How the machine does now, as far as its system tells: heat, power and memory.

    `cpu_speed_limit` is a share of full speed, `memory_free` and `memory_stalled` are shares of memory and of time
    (the last ten seconds), `cpu_mhz` a mean over cores, `swapped_out` pages since the start of the system.
    """
    probe = probe or Probe()
    found = _macos_state(probe) if probe.system == "darwin" else _linux_state(probe)
    return {name: value for name, value in found.items() if value is not None}


def _macos_state(probe: Probe) -> dict[str, Any]:
    limit = _number(r"CPU_Speed_Limit\s*=\s*(\d+)", probe.run(["pmset", "-g", "therm"]))
    low_power = _number(r"lowpowermode\s+(\d)", probe.run(["pmset", "-g"]))
    free = _number(r"free percentage:\s*(\d+)%", probe.run(["memory_pressure", "-Q"]))
    return {
        "cpu_speed_limit": None if limit is None else limit / 100,
        "low_power": None if low_power is None else low_power == 1,
        "memory_free": None if free is None else free / 100,
        "swapped_out": _number(r"Swapouts:\s*(\d+)", probe.run(["vm_stat"])),
    }


def _linux_state(probe: Probe) -> dict[str, Any]:
    cores = range(os.cpu_count() or 1)
    speeds = [probe.read(f"/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq") for core in cores]
    known = [int(speed) / 1000 for speed in speeds if speed and speed.strip().isdigit()]
    memory = probe.read("/proc/meminfo")
    total, free = _number(r"MemTotal:\s*(\d+)", memory), _number(r"MemAvailable:\s*(\d+)", memory)
    return {
        "cpu_mhz": sum(known) / len(known) if known else None,
        "cpu_stalled": _stalled(probe.read("/proc/pressure/cpu")),
        "memory_stalled": _stalled(probe.read("/proc/pressure/memory")),
        "memory_free": free / total if free is not None and total else None,
        "swapped_out": _number(r"pswpout (\d+)", probe.read("/proc/vmstat")),
    }


def _stalled(pressure: str | None) -> float | None:
    """The share of the last ten seconds in which some task waited for the resource (Linux PSI)."""
    share = _number(r"some avg10=([\d.]+)", pressure)
    return None if share is None else share / 100


def _number(pattern: str, text: str | None) -> float | None:
    found = re.search(pattern, text or "")
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def host_name() -> str:
    """Eight hexadecimal characters that tell this machine from others, and no more."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def lock_folder(probe: Probe | None = None, env: Mapping[str, str] = os.environ, home: Path | None = None) -> Path:
    """Where this user's lock lies: the folder for caches, or `LMX_LOADGEN_LOCK_DIR` (for tests, and for machines whose
    home cannot be written)."""
    if chosen := env.get(LOCK_FOLDER_ENV):
        return Path(chosen)
    home = home or Path.home()
    if (probe or Probe()).system == "darwin":
        return home / "Library" / "Caches" / "lmx-loadgen"
    return Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "lmx-loadgen"


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
        "chip": _apple_chip(probe),
        "memory_gb": round(int(memory) / 2**30, 1) if memory and memory.isdigit() else None,
        "os": "macOS",
        "os_version": probe.run(["sw_vers", "-productVersion"]),
    }


def _apple_chip(probe: Probe) -> str | None:
    """`Apple M4 Max, 40-core GPU`: chips of one name differ in their graphics cores, and in what memory delivers."""
    name = probe.run(["sysctl", "-n", "machdep.cpu.brand_string"])
    cores = re.search(r'"gpu-core-count" = (\d+)', probe.run(["ioreg", "-rd1", "-c", "AGXAccelerator"]) or "")
    return f"{name}, {cores[1]}-core GPU" if name and cores else name


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
