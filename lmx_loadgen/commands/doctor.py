"""`doctor` from its flags to its output: every check of the machine and of this installation, and the exit code."""

import contextlib
import errno
import json
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import click

from lmx_loadgen import __version__
from lmx_loadgen.errors import FiguresDistorted, ProfileError, ResultError, RunWillFail
from lmx_loadgen.report import png
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.session.instrument import instrument
from lmx_loadgen.session.options import Options
from lmx_loadgen.store.calibration import Calibration, find, read_calibrations
from lmx_loadgen.system import folders, host, identity
from lmx_loadgen.system.diagnosis import Diagnosis, Machine
from lmx_loadgen.system.doctor import examine
from lmx_loadgen.system.local_network import privacy_hint
from lmx_loadgen.system.probe import Probe
from lmx_loadgen.targets import own
from lmx_loadgen.targets.address import is_loopback
from lmx_loadgen.wire.stamps import StampSource

# Long enough to see whether the machine is swapping.
_WATCH_S = 1.0
_CONNECT_S = 2.0
_LINE = 600
_MARKS = {"ok": "ok", "note": "note", "unknown": "not known", "distorts": "DISTORTS", "fails": "FAILS"}


def doctor_command(out: Path, as_json: bool, probe: Probe | None = None) -> int:
    """Print every check; the exit code."""
    found = list(diagnoses(out, probe or Probe()))
    code = exit_code(found)
    if as_json:
        click.echo(json.dumps({"exit_code": code, "checks": [one.as_dict() for one in found]}, indent=1))
        return code
    for one in found:
        click.echo(f"{_MARKS[one.status]:10}{one.check:15}{sanitize(one.finding, _LINE)}")
        if one.fix is not None:
            click.echo(f"{'':25}-> {sanitize(one.fix, _LINE)}")
    return code


def exit_code(found: Sequence[Diagnosis]) -> int:
    """That of the worst that was found."""
    statuses = {one.status for one in found}
    if "fails" in statuses:
        return RunWillFail.exit_code
    return FiguresDistorted.exit_code if "distorts" in statuses else 0


def diagnoses(out: Path, probe: Probe) -> Iterator[Diagnosis]:
    """Of the machine first, then of this installation."""
    before = host.state(probe)
    time.sleep(_WATCH_S)
    machine = Machine(host.facts(probe), before, host.state(probe))
    yield from examine(machine, [out, folders.calibration_folder()], probe)
    yield from _instrument()
    yield _browser()
    yield from _own_targets(probe)


def _instrument() -> Iterator[Diagnosis]:
    """Who stamps arrivals, and how well this machine's error is known."""
    loop, stamps = instrument(Options())
    if stamps is StampSource.KERNEL:
        yield Diagnosis("stamps", "ok", f"taken by the kernel, on {loop}")
    else:
        finding = f"this system's kernel does not stamp TCP data: {loop} does, which costs 0.2 to 1 ms of accuracy"
        yield Diagnosis("stamps", "note", finding, None if loop == "uvloop" else "pip install uvloop")
    made = find(_calibrations(), __version__, loop, stamps.value, 1)
    help_ = "on a quiet machine: lmx-loadgen calibrate"
    if made is None:
        yield Diagnosis("calibration", "note", "none yet: the next run makes a quick one, in 20 s", help_)
    elif made.busy:
        finding = f"made on a busy machine ({made.busy_reason}): errors are overstated until a run makes it again"
        yield Diagnosis("calibration", "note", finding, help_)
    else:
        yield Diagnosis("calibration", "ok", f"{'quick' if made.quick else 'full'}, of {made.created_at}")


def _calibrations() -> list[Calibration]:
    found: list[Calibration] = []
    for name in identity.known_ids():
        with contextlib.suppress(ResultError):
            found += read_calibrations(folders.calibration_folder(), name)
    return found


def _browser() -> Diagnosis:
    missing = png.missing()
    if missing is None:
        return Diagnosis("browser", "ok", "plot --format png can draw")
    return Diagnosis("browser", "note", f"plot --format png fails: {missing[0]}", missing[1])


def _own_targets(probe: Probe) -> Iterator[Diagnosis]:
    """Whether macOS lets this program reach the user's own targets in the local network; nobody else is contacted."""
    try:
        elsewhere = [spec for spec in own.read_own().values() if not is_loopback(spec.url or "")]
    except ProfileError as damaged:
        yield Diagnosis("own targets", "fails", str(damaged), f"fix or delete {own.path()}")
        return
    for spec in elsewhere if probe.system == "darwin" else []:
        parts = urlsplit(spec.url or "")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        yield local_network_check(spec.name, str(parts.hostname), port, probe.system)


def local_network_check(name: str, host_name: str, port: int, system: str) -> Diagnosis:
    """One attempt to connect to a target of the user's own."""
    try:
        with socket.create_connection((host_name, port), timeout=_CONNECT_S):
            return Diagnosis("local network", "ok", f"{name} can be reached")
    except OSError as error:
        hint = privacy_hint(error, system).removeprefix("; ")
        why = error.strerror or errno.errorcode.get(error.errno or 0, str(error))
        if hint:
            return Diagnosis("local network", "fails", f"{name} at {host_name}:{port} cannot be reached ({why})", hint)
        return Diagnosis("local network", "note", f"{name} at {host_name}:{port} does not answer ({why})")
