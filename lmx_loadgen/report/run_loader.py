"""Stored runs, read for drawing."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lmx_loadgen.analysis.formats import short_time
from lmx_loadgen.analysis.measured_run import MeasuredRun, read_run
from lmx_loadgen.analysis.metrics import VERSION
from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.errors import ResultError
from lmx_loadgen.store import eventlog, result
from lmx_loadgen.store.result import RunResult

T = TypeVar("T")


def views(named: Sequence[Path], results_dir: Path, skipped: Callable[[str], None]) -> list[RunView]:
    """The named runs, or all in `results_dir`. Of the latter, one that cannot be read is told to `skipped`.

    Raises ResultError when there is nothing to draw, or a named run cannot be read.
    """
    return labeled_views(_each(named, results_dir, skipped, _view))


def measured_runs(named: Sequence[Path], results_dir: Path, skipped: Callable[[str], None]) -> list[MeasuredRun]:
    """What was measured in the same runs. Raises as `views` does."""
    return _each(named, results_dir, skipped, lambda folder: read_run(folder / eventlog.NAME))


def _each(
    named: Sequence[Path], results_dir: Path, skipped: Callable[[str], None], read: Callable[[Path], T]
) -> list[T]:
    if named:
        return [read(folder) for folder in named]
    found = []
    for folder in result.find_runs(results_dir):
        try:
            found.append(read(folder))
        except ResultError as error:
            skipped(str(error))
    if not found:
        raise ResultError(f"there is no run in {results_dir}: make one with `lmx-loadgen run`, or name its folder")
    return found


def labeled_views(runs: Sequence[RunView]) -> list[RunView]:
    """The runs, each with a label that no other has: those of one minute tell their seconds too, those of one second
    their id."""
    for more in (lambda run: short_time(run.result.started_at, seconds=True), _with_id):
        counts = Counter(run.label for run in runs)
        runs = [run if counts[run.label] == 1 else replace(run, label=more(run)) for run in runs]
    return list(runs)


def _with_id(run: RunView) -> str:
    return f"{run.label} · {run.result.run_id}"


def _view(folder: Path) -> RunView:
    """A run's result and request lines; a run that was killed before it could store its result is summed up now."""
    log_path = folder / eventlog.NAME
    run = read_run(log_path) if log_path.is_file() else None
    killed = not (folder / result.NAME).is_file()
    stored = summarize(run) if run is not None and killed else result.read_result(folder)
    _check_definitions(folder, stored)
    return view_of(stored, run)


def _check_definitions(folder: Path, stored: RunResult) -> None:
    """Figures of other metric definitions may mean something else under the same name: they share no chart."""
    if stored.metrics_version < VERSION:
        raise ResultError(
            f"{folder / result.NAME} is of metric definitions {stored.metrics_version}, and this version draws those "
            f"of {VERSION}, which are never mixed: compute it anew with `lmx-loadgen recompute {folder}`"
        )
    if stored.metrics_version > VERSION:
        raise ResultError(
            f"{folder / result.NAME} is of later metric definitions ({stored.metrics_version}, this version has "
            f"{VERSION}): update lmx-loadgen to draw it"
        )


def view_of(stored: RunResult, run: MeasuredRun | None) -> RunView:
    """A run's result with what was measured, labeled by its date."""
    return RunView(stored, run, short_time(stored.started_at))
