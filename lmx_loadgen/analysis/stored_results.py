"""Which stored results there are, and which of them words after `results` mean."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lmx_loadgen.analysis.plan_importer import results_in
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.errors import InputError, ResultError
from lmx_loadgen.store import eventlog, result
from lmx_loadgen.store.imported import FOLDER, imported_store, marked
from lmx_loadgen.store.plan_result import read_benchmark, read_json
from lmx_loadgen.store.result import BenchmarkResult, RunResult, find_runs, read_result

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A stored result. `place` is what names it: its run's folder, with the target where there are several, or
    `imported`. `number` is its place in the list of all, 0 for one that is not in it."""

    result: BenchmarkResult
    place: str
    path: Path
    number: int = 0


def all_results(results_dir: Path, skipped: Told) -> list[StoredResult]:
    """Every result of a results folder, newest first: one a target of each run, and the imported ones.

    What cannot be read is told to `skipped`.
    """
    found = [*_of_runs(results_dir, skipped), *_imported(results_dir, skipped)]
    found.sort(key=lambda one: _moment(one.result.timestamp), reverse=True)
    return [StoredResult(one.result, one.place, one.path, number) for number, one in enumerate(found, start=1)]


def of_model(found: Sequence[StoredResult], part: str | None) -> list[StoredResult]:
    """Those whose model's id has this in it, in whatever case."""
    return [one for one in found if part is None or part.casefold() in one.result.model_id.casefold()]


def meant(words: Sequence[str], results_dir: Path, skipped: Told) -> list[StoredResult]:
    """The results that the words name: a number of the list, a run's folder (all its targets), RUN:TARGET, or a file.

    No word means all. Raises InputError or ResultError.
    """
    numbered = all_results(results_dir, skipped) if not words or any(word.isdecimal() for word in words) else []
    if not words:
        return numbered
    return [one for word in words for one in _meant(word, results_dir, numbered)]


def the_one(word: str, results_dir: Path, skipped: Told) -> StoredResult:
    """The one result that a word names. Raises InputError where it names several, ResultError where none."""
    found = meant([word], results_dir, skipped)
    if len(found) > 1:
        named = ", ".join(one.place for one in found[:8])
        raise InputError(f"{word} has {len(found)} results: say which one, of {named}")
    return found[0]


def _meant(word: str, results_dir: Path, numbered: Sequence[StoredResult]) -> list[StoredResult]:
    if word.isdecimal():
        number = int(word) if len(word) < 10 else 0
        if not 1 <= number <= len(numbered):
            raise InputError(f"there is no result number {word[:20]}: the list in {results_dir} has {len(numbered)}")
        return [numbered[number - 1]]
    try:
        return _by_name(word, results_dir)
    except OSError as error:
        raise ResultError(f"cannot read {word[:200]}: {error.strerror or error}") from None


def _by_name(word: str, results_dir: Path) -> list[StoredResult]:
    for text, target in ((word, None), (word.rpartition(":")[0], word.rpartition(":")[2])):
        for folder in (Path(text), results_dir / text):
            if text and _is_run(folder):
                return _of_run(folder, target)
    for path in (Path(word), results_dir / FOLDER / word, results_dir / FOLDER / f"{word}.json"):
        if path.is_file():
            return _of_file(path, results_dir)
    raise ResultError(
        f"{word[:200]} is neither a run, nor an imported file, nor a number of the list in {results_dir}: "
        "see `lmx-loadgen results list`"
    )


def _is_run(folder: Path) -> bool:
    return (folder / result.NAME).is_file() or (folder / eventlog.NAME).is_file()


def _of_runs(results_dir: Path, skipped: Told) -> Iterator[StoredResult]:
    for folder in find_runs(results_dir):
        try:
            yield from _of_run(folder, None)
        except ResultError as error:
            skipped(str(error))


def _of_run(folder: Path, target: str | None) -> list[StoredResult]:
    """The results of a run's targets, or of one. Raises ResultError, and InputError for a target it has not."""
    targets = _stored(folder).targets
    chosen = [one for one in targets if target in (None, one.name)]
    if target is not None and not chosen:
        raise InputError(f"{folder} has no target {target!r}, but {', '.join(one.name for one in targets)}")
    name = folder.resolve().name
    found = [
        StoredResult(one.benchmark, f"{name}:{one.name}" if len(targets) > 1 else name, folder)
        for one in chosen
        if one.benchmark is not None
    ]
    if not found:
        raise ResultError(f"{folder} has no result: nothing was measured in it")
    return found


def _stored(folder: Path) -> RunResult:
    """A run's result; of a run that was killed before it could store one, it is made now. Raises ResultError."""
    if (folder / result.NAME).is_file():
        return read_result(folder)
    return summarize(eventlog.read_log(folder / eventlog.NAME))


def _imported(results_dir: Path, skipped: Told) -> Iterator[StoredResult]:
    for path in imported_store(results_dir).files():
        try:
            yield StoredResult(marked(read_benchmark(path)), FOLDER, path)
        except ResultError as error:
            skipped(str(error))


def _of_file(path: Path, results_dir: Path) -> list[StoredResult]:
    """An imported file, or one from elsewhere in a shape that could be imported."""
    if path.resolve().parent == imported_store(results_dir).directory.resolve():
        return [StoredResult(marked(read_benchmark(path)), FOLDER, path)]
    taken = results_in(read_json(path), path.name)
    if not taken.results:
        raise ResultError(f"{path} has no result: {taken.faults[0]}")
    return [StoredResult(one, path.name, path) for one in taken.results]


def _moment(timestamp: str) -> datetime:
    """When it was; the beginning of time where that is not told in a known way. No zone means UTC."""
    earliest = datetime.min.replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(timestamp)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else max(moment.astimezone(UTC), earliest)
    except (ValueError, OverflowError):
        return earliest
