"""A run's calibration, stored or made now."""

import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmx_loadgen import __version__
from lmx_loadgen.errors import Interrupted, LoadgenError, ResultError, StorageError
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.course import record
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.setup import Calibrated
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent, View
from lmx_loadgen.store.calibration import Calibration, find, read_calibrations, store
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.system import folders, host, identity, open_files

if TYPE_CHECKING:
    from lmx_loadgen.calibration.run import Measure


def measure(options: Options, stop: StopFlag) -> "Measure":
    """How a calibration runs a profile: as a run of these options, with no probes, stored nowhere.

    It raises Interrupted once `stop` is set, and the LoadgenError that ended it.
    """

    def measured(profile: Profile) -> LogContents:
        with tempfile.TemporaryDirectory(prefix="lmx-loadgen-") as scratch:
            quiet = replace(options, out=Path(scratch), probe=False, capacity=None)
            recorded = record(profile, quiet, stop=stop, base_dir=Path(scratch), view=Silent())
            recorded.close()
            stop.check()
            if recorded.error is not None:
                raise recorded.error
            log = read_log(recorded.folder / "events.jsonl")
            return replace(log, requests=list(log.requests))  # the folder goes

    return measured


def calibration_for_run(options: Options, stop: StopFlag, view: View) -> Calibrated:
    """What `session.run` asks for a run's calibration: the newest one that fits. Where there is none, or only one of a
    machine that was busy then and is quiet now, a quick one is made and stored. It raises LoadgenError, Interrupted
    once `stop` is set."""

    def calibrated(loop: str, stamps: str) -> dict[str, Any]:
        known = known_calibrations(options.out)
        found = find(known, __version__, loop, stamps, options.workers)
        if found is None:
            view.say("Measuring the instrument's own error first (about 20 s, once; --no-calibrate skips it).")
        elif found.busy and host.busy() is None:
            view.say(f"The stored calibration was made on a busy machine ({found.busy_reason}). Calibrating again.")
        else:
            return found.model_dump(mode="json")
        view.phase("calibrating, about 20 s:")
        made = _calibrated_now(options, stop, view.say)
        found = find([*known, made], __version__, loop, stamps, options.workers) or made
        return found.model_dump(mode="json")

    return calibrated


def stored_calibration(options: Options) -> Calibrated:
    """What `session.run` asks for a run's calibration, where none is to be made: the newest one that fits, or None."""

    def calibrated(loop: str, stamps: str) -> dict[str, Any] | None:
        found = find(known_calibrations(options.out), __version__, loop, stamps, options.workers)
        return None if found is None else found.model_dump(mode="json")

    return calibrated


def _calibrated_now(options: Options, stop: StopFlag, report: Callable[[str], None]) -> Calibration:
    """A quick calibration, stored for the runs to come. That it cannot be stored keeps no run from being measured."""
    from lmx_loadgen.calibration.run import calibrate

    # A machine that allows few files is calibrated for the loads that it allows.
    most = open_files.most_connections()
    try:
        made = calibrate(measure(options, stop), is_quick=True, report=lambda words: None, most=most)
    except Interrupted:
        raise
    except LoadgenError as trouble:
        trouble.args = (f"{trouble}; --no-calibrate runs without a calibration",)
        raise
    if made.busy:
        report(
            f"This machine is busy ({made.busy_reason}), so the instrument's error may be overstated. "
            "The next run on a quiet machine calibrates again."
        )
    try:
        store(folders.calibration_folder(), made)
    except StorageError as trouble:
        report(f"The calibration could not be stored, and the next run will calibrate again: {trouble}")
    return made


def known_calibrations(out: Path) -> list[Calibration]:
    """This machine's calibrations: its own, and those beside the runs, where earlier versions and `--out` put them."""
    found: list[Calibration] = []
    for folder in (folders.calibration_folder(), out):
        for name in identity.known_ids():
            with contextlib.suppress(ResultError):  # of another version, or damaged: made anew
                found += read_calibrations(folder, name)
    return found
