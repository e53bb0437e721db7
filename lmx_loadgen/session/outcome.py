"""How a run ends: its result out of its event log, stored, and the exit code."""

from dataclasses import dataclass
from pathlib import Path

from lmx_loadgen.errors import LoadgenError, NothingMeasured, StoppedEarly
from lmx_loadgen.store.result import RunResult, write_result


@dataclass(frozen=True)
class Recorded:
    """A run whose event log is complete: its folder, the signal and the error that cut it short, if any did."""

    folder: Path
    signal: int | None
    error: LoadgenError | None


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: its stored result, the folder it is in, and the exit code it asks for."""

    result: RunResult
    folder: Path
    exit_code: int


def store_outcome(recorded: Recorded) -> RunOutcome:
    """Compute a run's result and store it. Raises the error that ended the run, with a word on where its log is."""
    folder, error = recorded.folder, recorded.error
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
        hint = f"`lmx-loadgen run --resume {folder}` goes on with it"
        error.args = (f"{error}; what was measured is in {folder}, and {hint}",)
        raise error
    return RunOutcome(result, folder, _exit_code(result, recorded.signal))


def _exit_code(result: RunResult, signal: int | None) -> int:
    if signal is not None:
        return 128 + signal
    counts = [level.requests for target in result.targets for level in target.levels]
    # A level that was aborted in silence has no failed request, only such as were never answered.
    if not any(count.ok for count in counts) and (result.complete or any(count.failed for count in counts)):
        return NothingMeasured.exit_code
    return 0 if result.complete else StoppedEarly.exit_code


def _summarize(folder: Path) -> RunResult:
    from lmx_loadgen.analysis.measured_run import MeasuredRun
    from lmx_loadgen.analysis.summary import summarize
    from lmx_loadgen.store.eventlog import NAME, read_log

    return summarize(MeasuredRun(read_log(folder / NAME)))
