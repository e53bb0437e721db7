"""Which runs, targets and results the words after a command name."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lmx_loadgen.analysis.comparison.blocks import Arm, arm_of
from lmx_loadgen.analysis.comparison.runs import does_same_work
from lmx_loadgen.analysis.comparison.verdict import FEWEST
from lmx_loadgen.analysis.measured_run import MeasuredRun, read_run
from lmx_loadgen.analysis.stored_results import (
    StoredResult,
    all_results,
    imported_result,
    read_or_summarize,
    results_in_file,
    results_of_run,
)
from lmx_loadgen.errors import InputError, ResultError
from lmx_loadgen.store import eventlog, result
from lmx_loadgen.store.imported import FOLDER, imported_store
from lmx_loadgen.store.log_reader import read_header
from lmx_loadgen.store.result import find_runs

_MOST_EARLIER = 20


class _Stored:
    """A stored run: its header is read at once, its requests when they are asked for, and once. Raises ResultError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = read_header(folder / eventlog.NAME)

    @cached_property
    def measured(self) -> MeasuredRun:
        return read_run(self.folder / eventlog.NAME)


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A run as named, and a target of it where one was named."""

    stored: _Stored
    target: str | None = None

    @property
    def folder(self) -> Path:
        return self.stored.folder

    @property
    def measured(self) -> MeasuredRun:
        """What was measured. Raises ResultError."""
        return self.stored.measured

    @property
    def targets(self) -> list[str]:
        return [str(target["name"]) for target in self.stored.header["targets"]]

    @property
    def only_target(self) -> str:
        """The target that was named, or the only one. Raises InputError where there are several."""
        if self.target is None and len(self.targets) != 1:
            raise InputError(
                f"{self.folder} has several targets ({', '.join(self.targets)}): "
                f"say which one, like {self.folder}:{self.targets[0]}"
            )
        return self.target or self.targets[0]


def find_pair(words: Sequence[str], results_dir: Path) -> list[NamedRun]:
    """The two targets to compare. Each word is a run's folder, RUN:TARGET, or a target's name in the newest run that
    has it.

    One word is a run with two targets; none is the newest such run. Raises InputError or ResultError.
    """
    if len(words) > 2:
        raise InputError("compare takes two sides at most: run folders, RUN:TARGET, or names of targets")
    if len(words) == 2:
        return _two_runs(words[0], words[1], results_dir)
    run = find_run(words, results_dir)
    if len(run.targets) != 2:
        raise InputError(
            f"{run.folder} has {len(run.targets)} target{'s' if len(run.targets) != 1 else ''} "
            f"({', '.join(run.targets)}): say which two, like {run.folder}:{run.targets[0]} OTHER:TARGET"
        )
    return [NamedRun(run.stored, target) for target in run.targets]


def find_run(words: Sequence[str], results_dir: Path) -> NamedRun:
    """The run that a word names; without any the newest with two targets or more. Raises ResultError."""
    run = _named_run(words[0], results_dir) if words else _newest_with_pair(results_dir)
    if run is None:
        raise ResultError(f"{words[0]} is no run: give a run's folder, or two of them")
    return run


def find_replicates(words: Sequence[str], results_dir: Path) -> list[NamedRun]:
    """The runs that the words name: each a run's folder, RUN:TARGET, or a folder of runs, which means all in it.

    Raises InputError or ResultError.
    """
    found = []
    for word in words:
        run = _named_run(word, results_dir)
        runs = [run] if run is not None else _runs_in(word)
        if not runs:
            raise ResultError(f"{word[:200]} is neither a run's folder nor a folder of runs")
        found += runs
    return found


def _runs_in(word: str) -> list[NamedRun]:
    """All runs of a folder, or of FOLDER:TARGET."""
    name, _, target = word.rpartition(":")
    for text, of_runs in ((word, None), (name, target)):
        if text and (folders := find_runs(Path(text))):
            runs = [NamedRun(_Stored(folder), of_runs) for folder in folders]
            for run in runs:
                _check_target(run.folder, of_runs, run.targets)
            return runs
    return []


def earlier_runs(like: Arm, until: Arm, results_dir: Path) -> list[Arm]:
    """The newest runs in `results_dir` that did the same work by the same target as `like`, that one among them.

    None is `until` or began after it; at most `_MOST_EARLIER`, and none at all below three, which tell too little.
    """
    found = [like]
    for folder in reversed(find_runs(results_dir)):
        with contextlib.suppress(ResultError):
            header = read_header(folder / eventlog.NAME)
            is_before = header["run_id"] not in (like.run_id, until.run_id) and (
                header["started_at"] < until.header["started_at"]
            )
            if len(found) < _MOST_EARLIER and is_before and does_same_work(header, like.name, like):
                found.append(arm_of(read_run(folder / eventlog.NAME), like.name))
    return found if len(found) >= FEWEST else []


def find_results(words: Sequence[str], results_dir: Path, skipped: Callable[[str], None]) -> list[StoredResult]:
    """The results that the words name: a number of the list, a run's folder (all its targets), RUN:TARGET, or a file.

    No word means all. `skipped` gets a sentence for each that cannot be read. Raises InputError or ResultError.
    """
    numbered = all_results(results_dir, skipped) if not words or any(word.isdecimal() for word in words) else []
    if not words:
        return numbered
    return [found for word in words for found in _results(word, results_dir, numbered)]


def find_result(word: str, results_dir: Path, skipped: Callable[[str], None]) -> StoredResult:
    """The one result that a word names. Raises InputError where it names several, ResultError where none."""
    results = find_results([word], results_dir, skipped)
    if len(results) > 1:
        places = ", ".join(found.place for found in results[:8])
        raise InputError(f"{word} has {len(results)} results: say which one, of {places}")
    return results[0]


def _two_runs(first: str, second: str, results_dir: Path) -> list[NamedRun]:
    runs = [_named_run(word, results_dir) for word in (first, second)]
    if runs == [None, None] and first != second:  # two names of targets: in the newest run that has both
        newest = _newest(results_dir, lambda targets: {first, second} <= set(targets))
        if newest is not None:
            return [NamedRun(newest.stored, target) for target in (first, second)]
    return [run or _newest_with(word, results_dir) for run, word in zip(runs, (first, second), strict=True)]


def _named_run(word: str, results_dir: Path) -> NamedRun | None:
    found = _run_folder(word, results_dir, (eventlog.NAME,))
    if found is None:
        return None
    folder, target = found
    run = NamedRun(_Stored(folder), target)
    _check_target(folder, target, run.targets)
    return run


def _run_folder(word: str, results_dir: Path, files: Sequence[str]) -> tuple[Path, str | None] | None:
    """The folder of the run that a word names, itself or in `results_dir`, and the target where it is RUN:TARGET.

    A run's folder has one of `files`; None when no such folder is there.
    """
    name, _, target = word.rpartition(":")
    for text, of_run in ((word, None), (name, target)):
        for folder in (Path(text), results_dir / text):
            if text and any(_is_file(folder / file, word) for file in files):
                return folder, of_run
    return None


def _is_file(path: Path, word: str) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a name too long, a folder above that is locked
        raise ResultError(f"cannot read {word[:200]}: {error.strerror or error}") from None


def _check_target(folder: Path, target: str | None, targets: Sequence[str]) -> None:
    if target is not None and target not in targets:
        raise InputError(f"{folder} has no target {target!r}, but {', '.join(targets)}")


def _newest(results_dir: Path, wanted: Callable[[Sequence[str]], bool]) -> NamedRun | None:
    """The newest run whose targets are `wanted`; a damaged run is passed over."""
    for folder in reversed(find_runs(results_dir)):
        with contextlib.suppress(ResultError):
            run = NamedRun(_Stored(folder))
            if wanted(run.targets):
                return run
    return None


def _newest_with(target: str, results_dir: Path) -> NamedRun:
    run = _newest(results_dir, lambda targets: target in targets)
    if run is None:
        raise ResultError(f"{target} is neither a run nor a target of any run in {results_dir}: name a run's folder")
    return NamedRun(run.stored, target)


def _newest_with_pair(results_dir: Path) -> NamedRun:
    run = _newest(results_dir, lambda targets: len(targets) > 1)
    if run is None:
        raise ResultError(
            f"no run in {results_dir} has two targets: make one with `lmx-loadgen run --target A --target B`, or name "
            "two runs"
        )
    return run


def _results(word: str, results_dir: Path, numbered: Sequence[StoredResult]) -> list[StoredResult]:
    if word.isdecimal():
        number = int(word) if len(word) < 10 else 0
        if not 1 <= number <= len(numbered):
            raise InputError(f"there is no result number {word[:20]}: the list in {results_dir} has {len(numbered)}")
        return [numbered[number - 1]]
    named = _run_folder(word, results_dir, (result.NAME, eventlog.NAME))
    if named is not None:
        folder, target = named
        run = read_or_summarize(folder)
        _check_target(folder, target, [one.name for one in run.targets])
        return results_of_run(run, folder, target)
    for path in (Path(word), results_dir / FOLDER / word, results_dir / FOLDER / f"{word}.json"):
        if _is_file(path, word):
            is_imported = path.resolve().parent == imported_store(results_dir).directory.resolve()
            return [imported_result(path)] if is_imported else results_in_file(path)
    raise ResultError(
        f"{word[:200]} is neither a run, nor an imported file, nor a number of the list in {results_dir}: "
        "see `lmx-loadgen results list`"
    )
