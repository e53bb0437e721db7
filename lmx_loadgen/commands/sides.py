"""The two sides of a comparison, as runs and targets are named."""

from collections.abc import Sequence
from pathlib import Path

from lmx_loadgen.analysis.comparison.blocks import Arm, arm_of
from lmx_loadgen.analysis.comparison.compare import compare
from lmx_loadgen.analysis.comparison.runs import compare_runs
from lmx_loadgen.analysis.comparison.sides import Rules, Side
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.commands.lookup import NamedRun, earlier_runs, find_pair, find_replicates, find_run
from lmx_loadgen.errors import InputError
from lmx_loadgen.store.comparison import Comparison


def compared(a: Side, b: Side, rules: Rules) -> Comparison:
    """B against A: blocks of one run in turn, or runs as one observation each. Raises ResultError."""
    is_one_run = a.runs[0].run_id == b.runs[0].run_id
    return compare(a.runs[0], b.runs[0], rules) if is_one_run else compare_runs(a, b, rules)


def run_of_many(words: Sequence[str], results_dir: Path) -> MeasuredRun | None:
    """The run with more than two targets that a word names, or that is the newest one to compare where there is none;
    None where two sides are meant. Raises InputError or ResultError."""
    run = find_run(words, results_dir) if len(words) < 2 else None
    return run.measured if run is not None and len(run.targets) > 2 and run.target is None else None


def pair(words: Sequence[str], results_dir: Path) -> tuple[Side, Side]:
    """The two that were named; of separate runs with the earlier ones that did the same work."""
    a, b = _arms(find_pair(words, results_dir), words)
    if a.run_id == b.run_id:
        return Side([a]), Side([b])
    first, last = sorted((a, b), key=lambda arm: str(arm.header["started_at"]))
    # Of one target the later run is what is asked about, and may differ from all before it.
    asked_about = [first] if a.name == b.name else [a, b]
    earlier = {arm.run_id: earlier_runs(arm, last, results_dir) for arm in asked_about}
    return Side([a], earlier.get(a.run_id, [])), Side([b], earlier.get(b.run_id, []))


def replicates(base: Sequence[str], new: Sequence[str], results_dir: Path) -> tuple[Side, Side]:
    """The runs after --base and after --new. Raises InputError where there are none, or a run is named twice."""
    if not base or not new:
        raise InputError("--base and --new go together: name the runs of both sides")
    runs = [find_replicates(of_side, results_dir) for of_side in (base, new)]
    ids = [(run.measured.run_id, run.only_target) for of_side in runs for run in of_side]
    if len(set(ids)) < len(ids):
        raise InputError("--base and --new name the same measurement twice")
    targets = [of_side[0].only_target for of_side in runs]
    labels = targets if targets[0] != targets[1] else ["base", "new"]
    a, b = (
        Side([arm_of(run.measured, run.only_target, label) for run in of_side])
        for of_side, label in zip(runs, labels, strict=True)
    )
    return a, b


def _arms(pair: Sequence[NamedRun], words: Sequence[str]) -> tuple[Arm, Arm]:
    targets = [run.only_target for run in pair]
    a, b = (
        arm_of(run.measured, target, label)
        for run, target, label in zip(pair, targets, _labels(pair, targets), strict=True)
    )
    if a.run_id == b.run_id and a.name == b.name:
        raise InputError(f"{words[0]} and {words[1]} are the same measurement")
    return a, b


def _labels(runs: Sequence[NamedRun], targets: Sequence[str]) -> list[str]:
    """The targets' names; where they are the same, the folders' names, and else the runs' ids."""
    if targets[0] != targets[1]:
        return list(targets)
    ids = [run.measured.run_id for run in runs]
    folders = [run.folder.resolve().name for run in runs]
    # A folder that this tool named is a date and an id; one that the user named says what it is.
    if folders[0] != folders[1] and all(run_id not in folder for run_id, folder in zip(ids, folders, strict=True)):
        return folders
    return [f"{target}@{run_id}" for target, run_id in zip(targets, ids, strict=True)]
