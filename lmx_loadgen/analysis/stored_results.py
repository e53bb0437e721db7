"""The stored results of a folder: one a target of each run, and the imported ones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lmx_loadgen.analysis.measured_run import read_run
from lmx_loadgen.analysis.plan_importer import results_in
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.errors import ResultError
from lmx_loadgen.store import eventlog, result
from lmx_loadgen.store.imported import FOLDER, imported_store, marked
from lmx_loadgen.store.plan_result import json_files, read_benchmark, read_json
from lmx_loadgen.store.result import BenchmarkResult, RunResult, find_runs, read_result
from lmx_loadgen.system.clock import EARLIEST, moment


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A stored result. `place` is what names it: its run's folder, with the target where there are several, or
    `imported`. `number` is its place in the list of all, 0 for one that is not in it."""

    result: BenchmarkResult
    place: str
    path: Path
    number: int = 0


def all_results(results_dir: Path, skipped: Callable[[str], None]) -> list[StoredResult]:
    """Every result of a results folder, newest first. `skipped` gets a sentence for each that cannot be read."""
    results = [*_of_runs(results_dir, skipped), *_imported(results_dir, skipped)]
    results.sort(key=lambda stored: moment(stored.result.timestamp) or EARLIEST, reverse=True)
    return [replace(stored, number=number) for number, stored in enumerate(results, start=1)]


def of_model(results: Sequence[StoredResult], part: str | None) -> list[StoredResult]:
    """Those whose model's id has this in it, in whatever case."""
    return [stored for stored in results if part is None or part.casefold() in stored.result.model_id.casefold()]


def read_or_summarize(folder: Path) -> RunResult:
    """A run's result; that of a run that was killed before it could store one is made now. Raises ResultError."""
    if (folder / result.NAME).is_file():
        return read_result(folder)
    return summarize(read_run(folder / eventlog.NAME))


def results_of_run(run: RunResult, folder: Path, target: str | None = None) -> list[StoredResult]:
    """The results of a run's targets, or of one of them. Raises ResultError where nothing was measured."""
    name = folder.resolve().name
    results = [
        StoredResult(one.benchmark, f"{name}:{one.name}" if len(run.targets) > 1 else name, folder)
        for one in run.targets
        if one.benchmark is not None and target in (None, one.name)
    ]
    if not results:
        raise ResultError(f"{folder} has no result: nothing was measured in it")
    return results


def imported_result(path: Path) -> StoredResult:
    """A file among the imported ones. Raises ResultError."""
    return StoredResult(marked(read_benchmark(path)), FOLDER, path)


def results_in_file(path: Path) -> list[StoredResult]:
    """The results in a file of a shape that could be imported. Raises ResultError where there is none."""
    read = results_in(read_json(path), path.name)
    if not read.results:
        raise ResultError(f"{path} has no result: {read.faults[0]}")
    return [StoredResult(one, path.name, path) for one in read.results]


def plain_results(folder: Path, skipped: Callable[[str], None]) -> list[BenchmarkResult]:
    """The plan's results that lie right in a folder, one a file, as Opta-LMX and the service store them.

    JSON of another kind is passed over; `skipped` gets a sentence for each file that is damaged.
    """
    found: list[BenchmarkResult] = []
    for path in json_files(folder):
        try:
            data = read_json(path)
        except ResultError as error:
            skipped(str(error))
            continue
        if isinstance(data, dict) and "model_id" in data:
            read = results_in(data, path.name)
            found += read.results
            for fault in read.faults:
                skipped(f"{path}: {fault}")
    return found


def _of_runs(results_dir: Path, skipped: Callable[[str], None]) -> Iterator[StoredResult]:
    for folder in find_runs(results_dir):
        try:
            yield from results_of_run(read_or_summarize(folder), folder)
        except ResultError as error:
            skipped(str(error))


def _imported(results_dir: Path, skipped: Callable[[str], None]) -> Iterator[StoredResult]:
    for path in imported_store(results_dir).files():
        try:
            yield imported_result(path)
        except ResultError as error:
            skipped(str(error))
