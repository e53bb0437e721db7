"""What on this machine makes figures wrong or a run fail: each thing that is known to, with what helps."""

import resource
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lmx_loadgen.system import host, lock, open_files, sleep_settings
from lmx_loadgen.system.probe import Probe

Status = Literal["ok", "note", "unknown", "distorts", "fails"]
MB = 2**20
# Loads beyond it are nobody's everyday; a hard limit below it is what some launchers set.
_MANY_FILES = 1024
_LEAST_FREE, _LITTLE_FREE = 64 * MB, 1024 * MB
_SWAPPING = 16 * MB
_STALLED = 0.05
_HEAT = ("nominal", "moderate", "heavy", "trapping", "sleeping")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at. `distorts`: figures will be wrong; `fails`: a run or a command will fail; `note`:
    good to know; `unknown`: the system did not tell."""

    check: str
    status: Status
    finding: str
    fix: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine said: lasting `facts`, its `state` now, and its state a moment before."""

    facts: Mapping[str, Any]
    before: Mapping[str, Any]
    state: Mapping[str, Any]


def examine(machine: Machine, folders: Sequence[Path], probe: Probe) -> Iterator[Diagnosis]:
    """Every check of the machine itself; `folders` are those that a run writes to."""
    yield _open_files(probe)
    for check in (_power_mode, _power_source, _heat, _memory, _swap):
        yield check(machine, probe)
    yield _load(probe)
    yield _other_run()
    if probe.system == "darwin":
        yield _priority(machine)
        yield _translated(machine)
        yield _sleep(sleep_settings.idle_minutes(probe, machine.state.get("power_source")))
    yield from (_disk(folder, probe) for folder in folders)


def _open_files(probe: Probe) -> Diagnosis:
    most, (_, hard) = open_files.most_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= _MANY_FILES:
        return Diagnosis("open files", "ok", f"up to {most} connections for each process")
    fix = "as root, raise the hard limit: ulimit -H -n 65536; then run this from that shell"
    if probe.system == "darwin" and sleep_settings.launchd_hard_limit(probe) not in (None, "unlimited"):
        fix = "sudo launchctl limit maxfiles 65536 unlimited, then log in again"
    return Diagnosis("open files", "fails", f"a hard limit of {hard} files: runs above {most} connections fail", fix)


def _power_mode(machine: Machine, probe: Probe) -> Diagnosis:
    mode = machine.state.get("power_mode")
    if mode == "low" or "low-power" in (probe.read("/sys/firmware/acpi/platform_profile") or ""):
        fix = "System Settings > Energy or Battery > Low Power Mode: Never, or sudo pmset -a lowpowermode 0 powermode 0"
        other = "choose another power profile: powerprofilesctl set performance"
        return Diagnosis(
            "power mode", "distorts", "low power mode slows all cores", fix if probe.system == "darwin" else other
        )
    return _told("power mode", mode)


def _power_source(machine: Machine, probe: Probe) -> Diagnosis:
    source = machine.state.get("power_source") or machine.facts.get("power_source") or _linux_source(probe)
    if source == "Battery Power":
        return Diagnosis("power", "distorts", "on battery: clocks follow the charge", "plug in the power supply")
    return Diagnosis("power", "ok", str(source)) if source else _nobody_knows("power", "its source")


def _heat(machine: Machine, probe: Probe) -> Diagnosis:
    level, speed = machine.state.get("thermal_level"), machine.state.get("cpu_speed_limit")
    fix = "let it cool down, and find what heats it: top -o cpu"
    if level:
        return Diagnosis("heat", "distorts", f"thermal pressure is {_HEAT[level]}: cores are slowed down", fix)
    if speed is not None and speed < 1:
        return Diagnosis("heat", "distorts", f"the processor is limited to {speed:.0%} of its speed", fix)
    return _told("heat", "nominal" if level == 0 else None)


def _memory(machine: Machine, probe: Probe) -> Diagnosis:
    level, stalled = machine.state.get("memory_pressure_level"), machine.state.get("memory_stalled")
    fix = "close programs or unload models; where two models do not fit, measure with --isolate"
    if level is not None and level >= 2:
        return Diagnosis("memory", "distorts", f"memory pressure is {'critical' if level >= 4 else 'high'}", fix)
    if stalled is not None and stalled > _STALLED:
        return Diagnosis("memory", "distorts", f"programs wait for memory {stalled:.0%} of the time", fix)
    return _told("memory", "no pressure" if level == 1 or stalled is not None else None)


def _swap(machine: Machine, probe: Probe) -> Diagnosis:
    """What is swapped out may lie there for days: only what moves now costs time."""
    moved = [
        machine.state[name] - machine.before[name]
        for name in ("swapped_in_bytes", "swapped_out_bytes")
        if name in machine.state and name in machine.before
    ]
    if not moved:
        return _nobody_knows("swap", "what is swapped")
    if sum(moved) > _SWAPPING:
        fix = "close programs or unload models until the machine stops swapping"
        return Diagnosis("swap", "distorts", f"swapping now: {sum(moved) / MB:.0f} MB in a second", fix)
    return Diagnosis("swap", "ok", "nothing is being swapped")


def _load(probe: Probe) -> Diagnosis:
    if (busy := host.busy(probe)) is not None:
        return Diagnosis("other load", "distorts", busy, "end what else runs, or wait; top shows it")
    return Diagnosis("other load", "ok", "the machine is quiet")


def _priority(machine: Machine) -> Diagnosis:
    if machine.facts.get("background"):
        fix = "start it from a terminal, without taskpolicy -b and not from a launchd job of ProcessType Background"
        return Diagnosis("priority", "distorts", "this process has background priority: slow cores, late timers", fix)
    return Diagnosis("priority", "ok", "not in the background")


def _translated(machine: Machine) -> Diagnosis:
    if machine.facts.get("translated"):
        fix = "install Python for arm64, and run it from a terminal that is not translated either"
        return Diagnosis("Rosetta", "distorts", "this Python is translated by Rosetta: its timings are worthless", fix)
    return Diagnosis("Rosetta", "ok", "not translated")


def _other_run() -> Diagnosis:
    if (other := lock.holder()) is not None:
        finding = f"another lmx-loadgen {lock.describe(other)} is measuring: a run stops with exit code 6"
        return Diagnosis("other run", "fails", finding, "wait until it has ended, or end it")
    return Diagnosis("other run", "ok", "no other lmx-loadgen is measuring")


def _sleep(minutes: int | None) -> Diagnosis:
    if minutes is None:
        return _nobody_knows("sleep", "when it sleeps")
    if minutes == 0:
        return Diagnosis("sleep", "ok", "this Mac does not sleep when idle")
    finding = f"this Mac sleeps after {minutes} idle minutes; a run keeps it awake, a closed lid does not"
    return Diagnosis("sleep", "note", finding, "keep the lid open, or turn it off: sudo pmset -a sleep 0")


def _disk(folder: Path, probe: Probe) -> Diagnosis:
    free = probe.free_bytes(folder)
    if free is None:
        return _nobody_knows("disk", f"the free space of {folder}")
    if free < _LEAST_FREE:
        finding = f"{free / MB:.0f} MB can be written to {folder}: a run cannot be stored (exit code 5)"
        return Diagnosis("disk", "fails", finding, "free some space, or store elsewhere: --out DIR")
    finding = f"{free / 2**30:.1f} GB free for {folder}"
    if free < _LITTLE_FREE:
        return Diagnosis("disk", "note", finding, "free some space before long runs")
    return Diagnosis("disk", "ok", finding)


def _linux_source(probe: Probe) -> str | None:
    online = [probe.read(f"/sys/class/power_supply/{name}/online") for name in ("AC", "AC0", "ACAD", "ADP0", "ADP1")]
    known = [said.strip() for said in online if said]
    return ("AC Power" if "1" in known else "Battery Power") if known else None


def _told(check: str, value: str | None) -> Diagnosis:
    """Well where it was told; what the system does not tell is not known, and never taken for well."""
    return Diagnosis(check, "ok", value) if value is not None else _nobody_knows(check, "it")


def _nobody_knows(check: str, what: str) -> Diagnosis:
    return Diagnosis(check, "unknown", f"the system does not tell {what}")
