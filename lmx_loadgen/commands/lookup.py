"""From the words after `compare` to the two sides they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lmx_loadgen.analysis.comparison.blocks import Arm, arm_of
from lmx_loadgen.errors import InputError, ResultError
from lmx_loadgen.store.eventlog import NAME, LogContents, read_log
from lmx_loadgen.store.result import find_runs


@dataclass(frozen=True, slots=True)
class _Named:
    """One side as named: a run, and its target where one was said."""

    folder: Path
    log: LogContents
    target: str | None

    @property
    def targets(self) -> list[str]:
        return [str(one["name"]) for one in self.log.header["targets"]]


def resolve_arms(words: Sequence[str], results_dir: Path) -> tuple[Arm, Arm]:
    """A and B. Each word is a run's folder, `RUN:TARGET`, or a target's name in the newest run that has it.

    One word is a run with two targets; none is the newest such run. Raises InputError or ResultError.
    """
    if len(words) > 2:
        raise InputError("compare takes two sides at most: run folders, RUN:TARGET, or names of targets")
    if len(words) == 2:
        return _two(words[0], words[1], results_dir)
    named = _named(words[0], results_dir) if words else _newest_pair(results_dir)
    if named is None:
        raise ResultError(f"{words[0]} is no run: give a run's folder, or two of them")
    if len(named.targets) != 2:
        raise InputError(
            f"{named.folder} has {len(named.targets)} target{'s' if len(named.targets) != 1 else ''} "
            f"({', '.join(named.targets)}): say which two, like {named.folder}:{named.targets[0]} OTHER:TARGET"
        )
    return arm_of(named.log, named.targets[0]), arm_of(named.log, named.targets[1])


def _two(first: str, second: str, results_dir: Path) -> tuple[Arm, Arm]:
    named = [_named(word, results_dir) for word in (first, second)]
    if named == [None, None]:
        by_name = _by_names(first, second, results_dir)
    else:
        by_name = [
            found if found is not None else _newest_of(word, results_dir)
            for found, word in zip(named, (first, second), strict=True)
        ]
    targets = [_target_of(one) for one in by_name]
    labels = _labels(by_name, targets)
    a, b = (arm_of(one.log, target, label) for one, target, label in zip(by_name, targets, labels, strict=True))
    if a.run_id == b.run_id and a.name == b.name:
        raise InputError(f"{first} and {second} are the same measurement")
    return a, b


def _named(word: str, results_dir: Path) -> _Named | None:
    """The run that a word names, alone or as RUN:TARGET; None when no such folder is there."""
    for text, target in ((word, None), (word.rpartition(":")[0], word.rpartition(":")[2])):
        for folder in (Path(text), results_dir / text):
            if text and (folder / NAME).is_file():
                return _checked(_Named(folder, read_log(folder / NAME), target))
    return None


def _checked(named: _Named) -> _Named:
    if named.target is not None and named.target not in named.targets:
        raise InputError(f"{named.folder} has no target {named.target!r}, but {', '.join(named.targets)}")
    return named


def _by_names(first: str, second: str, results_dir: Path) -> list[_Named]:
    """Two names of targets: in the newest run that has both, else each in the newest run it is in."""
    for folder in reversed(find_runs(results_dir)):
        run = _read(folder)
        if run is not None and {first, second} <= set(run.targets) and first != second:
            return [_Named(folder, run.log, first), _Named(folder, run.log, second)]
    return [_newest_of(first, results_dir), _newest_of(second, results_dir)]


def _newest_of(name: str, results_dir: Path) -> _Named:
    for folder in reversed(find_runs(results_dir)):
        run = _read(folder)
        if run is not None and name in run.targets:
            return _Named(folder, run.log, name)
    raise ResultError(f"{name} is neither a run nor a target of any run in {results_dir}: name a run's folder")


def _newest_pair(results_dir: Path) -> _Named:
    for folder in reversed(find_runs(results_dir)):
        run = _read(folder)
        if run is not None and len(run.targets) > 1:
            return run
    raise ResultError(
        f"no run in {results_dir} has two targets: make one with `lmx-loadgen run --target A --target B`, or name two "
        "runs"
    )


def _read(folder: Path) -> _Named | None:
    try:
        return _Named(folder, read_log(folder / NAME), None)
    except ResultError:
        return None  # a damaged run is not what was asked for


def _target_of(named: _Named) -> str:
    if named.target is not None:
        return named.target
    if len(named.targets) != 1:
        raise InputError(
            f"{named.folder} has several targets ({', '.join(named.targets)}): "
            f"say which one, like {named.folder}:{named.targets[0]}"
        )
    return named.targets[0]


def _labels(named: Sequence[_Named], targets: Sequence[str]) -> list[str]:
    """The targets' names; where they are the same, the folders' names, and else the runs' ids."""
    if targets[0] != targets[1]:
        return list(targets)
    ids = [str(one.log.header["run_id"]) for one in named]
    folders = [one.folder.resolve().name for one in named]
    by_id = [f"{target}@{run_id}" for target, run_id in zip(targets, ids, strict=True)]
    # A folder that this tool named is a date and an id; one that the user named says what it is.
    own = [run_id not in folder for run_id, folder in zip(ids, folders, strict=True)]
    return folders if all(own) and folders[0] != folders[1] else by_id
