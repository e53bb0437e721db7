"""What on this machine makes figures wrong or a run fail: each thing that is known to, with what helps."""

import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

from lmx_loadgen.system import host, lock, open_files, sleep_settings
from lmx_loadgen.system.diagnosis import Diagnosis, Machine, not_told
from lmx_loadgen.system.doctor_state import MB, heat, memory, power_mode, power_source, swap
from lmx_loadgen.system.network_limits import QUEUE_COMMAND, WIDEN_COMMAND, NetworkLimits, network_limits
from lmx_loadgen.system.probe import Probe

# Loads beyond it are nobody's everyday; a hard limit below it is what some launchers set.
_MANY_FILES = 1024
_FEW_PORTS, _SHORT_QUEUE = 4096, 128
_LEAST_FREE, _LITTLE_FREE = 64 * MB, 1024 * MB


def examine(machine: Machine, folders: Sequence[Path], probe: Probe) -> Iterator[Diagnosis]:
    """Every check of the machine itself; `folders` are those that a run writes to."""
    yield _open_files(probe)
    limits = network_limits(probe)
    yield _source_ports(limits)
    yield _listen_queue(limits)
    for check in (power_mode, power_source, heat, memory, swap):
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


def _source_ports(limits: NetworkLimits) -> Diagnosis:
    """Each connection needs one to go out from."""
    ports, held = limits.source_ports, limits.held
    if ports is None:
        return not_told("source ports", "its range of them")
    finding = f"{ports} for connections{'' if limits.is_shared else ' to each server'}, {held} of them just used"
    if ports < _FEW_PORTS:
        return Diagnosis("source ports", "note", finding, f"for heavier loads: {WIDEN_COMMAND[limits.system]}")
    if held > ports // 2:
        return Diagnosis("source ports", "note", finding, "wait a minute before a heavy load")
    return Diagnosis("source ports", "ok", finding)


def _listen_queue(limits: NetworkLimits) -> Diagnosis:
    """How many connections wait for a server of this machine before more are dropped."""
    queue = limits.listen_queue
    if queue is None:
        return not_told("listen queue", "how many connections wait for a server")
    finding = f"{queue} connections for a server here: enough for loads up to about {limits.easy_load}"
    if queue < _SHORT_QUEUE:
        return Diagnosis("listen queue", "note", finding, f"for heavier loads: {QUEUE_COMMAND[limits.system]}")
    return Diagnosis("listen queue", "ok", finding)


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
        return not_told("sleep", "when it sleeps")
    if minutes == 0:
        return Diagnosis("sleep", "ok", "this Mac does not sleep when idle")
    finding = f"this Mac sleeps after {minutes} idle minutes; a run keeps it awake, a closed lid does not"
    return Diagnosis("sleep", "note", finding, "keep the lid open, or turn it off: sudo pmset -a sleep 0")


def _disk(folder: Path, probe: Probe) -> Diagnosis:
    free = probe.free_bytes(folder)
    if free is None:
        return not_told("disk", f"the free space of {folder}")
    if free < _LEAST_FREE:
        finding = f"{free / MB:.0f} MB can be written to {folder}: a run cannot be stored (exit code 5)"
        return Diagnosis("disk", "fails", finding, "free some space, or store elsewhere: --out DIR")
    finding = f"{free / 2**30:.1f} GB free for {folder}"
    if free < _LITTLE_FREE:
        return Diagnosis("disk", "note", finding, "free some space before long runs")
    return Diagnosis("disk", "ok", finding)
