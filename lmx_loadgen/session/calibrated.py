"""A run's calibration, stored or made now, and the number of workers that a load needs."""

import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmx_loadgen import __version__
from lmx_loadgen.calibration.run import Measure, calibrate
from lmx_loadgen.errors import ResultError
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.instrument import instrument
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.recorder import Silent
from lmx_loadgen.session.run import record
from lmx_loadgen.session.setup import Calibrated
from lmx_loadgen.store.calibration import Calibration, find, read_calibrations, store
from lmx_loadgen.store.eventlog import LogContents, read_log
from lmx_loadgen.system import host

# A user of a fast local server sees up to this many chunks a second.
_FAST_CHUNKS_PER_S = 100


def measure(options: Options) -> Measure:
    """How a calibration runs a profile: as a run of these options, with no probes, stored nowhere.

    It raises KeyboardInterrupt when it was stopped by Ctrl-C, and the LoadgenError that ended it.
    """

    def measured(profile: Profile) -> LogContents:
        with tempfile.TemporaryDirectory(prefix="lmx-loadgen-") as scratch:
            quiet = replace(options, out=Path(scratch), probe=False)
            recorded = record(profile, quiet, Silent(), lambda loop, stamps: None)
            if recorded.signal is not None:
                raise KeyboardInterrupt
            if recorded.error is not None:
                raise recorded.error
            return read_log(recorded.folder / "events.jsonl")

    return measured


def calibration_for_run(options: Options, report: Callable[[str], None]) -> Calibrated:
    """What `session.run` asks for a run's calibration: the newest one that fits; where there is none, a quick one is
    made and stored beside the runs. It raises LoadgenError, also StorageError."""

    def calibrated(loop: str, stamps: str) -> dict[str, Any]:
        found = find(_known(options.out), __version__, loop, stamps, options.workers)
        if found is None:
            report("measuring the instrument's own error first (about 15 s, once; --no-calibrate skips it)")
            found = calibrate(measure(options), is_quick=True, report=lambda words: None)
            store(options.out, found)
        return found.model_dump(mode="json")

    return calibrated


def workers_for(options: Options, concurrency: int) -> int:
    """How many measuring processes a load needs, as far as it has been calibrated: usually one.

    One core is left to the server.
    """
    loop, stamps = instrument(options)
    found = find(_known(options.out), __version__, loop, stamps.value, 1)
    if found is None or found.sustained_chunks_per_s is None:
        return 1
    needed = math.ceil(concurrency * _FAST_CHUNKS_PER_S / found.sustained_chunks_per_s)
    return max(1, min(needed, (os.cpu_count() or 1) - 1))


def _known(folder: Path) -> list[Calibration]:
    try:
        return read_calibrations(folder, host.host_name())
    except ResultError:
        return []  # of another version, or damaged: made anew
