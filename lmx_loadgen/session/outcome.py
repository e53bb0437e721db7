"""How a run ends: its result out of its event log, stored."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.store.result import RunResult, write_result


@dataclass(frozen=True)
class Recorded:
    """A run whose event log is complete: its folder, and the stop and the error that cut it short, if any did.

    `close` waits until the log is on the disk itself and closes it. Whoever has the run calls it once, when there is
    time for that. It raises StorageError.
    """

    folder: Path
    stop: Stop | None
    error: LoadgenError | None
    close: Callable[[], None]


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: its stored result, the folder it is in, and why it is not complete, None where it is.

    `stop` is an interruption where the run was asked to stop, else what ended the load on its first aborted target.
    """

    result: RunResult
    folder: Path
    stop: Stop | None


def store_outcome(recorded: Recorded) -> RunOutcome:
    """Close a run's log, compute its result and store it. Raises the error that ended the run, with a word on where its
    log is."""
    folder, error = recorded.folder, recorded.error
    try:
        recorded.close()
    except LoadgenError as trouble:
        error = error or trouble
    try:
        result = _summarize(folder)
    except LoadgenError as trouble:
        raise error or trouble from None
    try:
        write_result(folder, result)
    except LoadgenError as trouble:
        if error is None:
            trouble.args = (f"{trouble}; what was measured is safe: `lmx-loadgen recompute {folder}` makes it",)
            raise
    if error is not None:
        hint = f"`lmx-loadgen run --resume {folder}` resumes it"
        error.args = (f"{error}; what was measured is in {folder}, and {hint}",)
        raise error
    return RunOutcome(result, folder, recorded.stop)


def _summarize(folder: Path) -> RunResult:
    from lmx_loadgen.analysis.measured_run import read_run
    from lmx_loadgen.analysis.summary import summarize
    from lmx_loadgen.store.eventlog import NAME

    return summarize(read_run(folder / NAME))
