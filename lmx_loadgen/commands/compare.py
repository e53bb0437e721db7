"""`compare` from its arguments to its output: find the sides, compare, show, and hold the limits against it."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from lmx_loadgen.analysis.comparison.blocks import Arm, arm_of
from lmx_loadgen.analysis.comparison.compare import compare
from lmx_loadgen.analysis.comparison.gate import LimitResult, check_limit, parse_limit, worst
from lmx_loadgen.analysis.comparison.runs import compare_runs
from lmx_loadgen.analysis.comparison.sides import Rules, Side
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.commands.lookup import NamedRun, earlier_runs, find_pair, find_replicates
from lmx_loadgen.errors import InputError, LimitBroken, LimitUndecided, LoadgenError, NotComparable
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.reference import NAME, read_reference
from lmx_loadgen.store.result import write_whole
from lmx_loadgen.system import package_data
from lmx_loadgen.system.disk import make_folder

_PAGE = Path("comparison.html")


def compare_command(
    *,
    sides: Sequence[str],
    base: Sequence[str],
    new: Sequence[str],
    results_dir: Path,
    margin: float,
    accept: str | None,
    limits: Sequence[str],
    shape: str,
    output: Path | None,
) -> None:
    """Compare and show. Raises a LoadgenError whose exit code says how the limits stand, after all was shown."""
    parsed = [parse_limit(text) for text in limits]
    if accept is not None and not accept.strip():
        raise InputError("--accept needs a reason, which then stands beside the result")
    rules = Rules(margin=margin, accepted=accept)
    a, b = _replicates(sides, base, new, results_dir) if base or new else _pair(sides, results_dir)
    is_one_run = a.runs[0].run_id == b.runs[0].run_id
    comparison = compare(a.runs[0], b.runs[0], rules) if is_one_run else compare_runs(a, b, rules)
    _show(comparison, (*a.runs, *b.runs), shape, output)
    checked = [result for limit in parsed for result in check_limit(limit, comparison)]
    error = _error(comparison, checked, bool(parsed))
    if error is not None:
        raise error


def _pair(words: Sequence[str], results_dir: Path) -> tuple[Side, Side]:
    """The two that were named; of separate runs with the earlier ones that did the same work."""
    a, b = _arms(find_pair(words, results_dir), words)
    if a.run_id == b.run_id:
        return Side([a]), Side([b])
    first, last = sorted((a, b), key=lambda arm: str(arm.header["started_at"]))
    # Of one target the later run is what is asked about, and may differ from all before it.
    asked_about = [first] if a.name == b.name else [a, b]
    earlier = {arm.run_id: earlier_runs(arm, last, results_dir) for arm in asked_about}
    return Side([a], earlier.get(a.run_id, [])), Side([b], earlier.get(b.run_id, []))


def _replicates(words: Sequence[str], base: Sequence[str], new: Sequence[str], results_dir: Path) -> tuple[Side, Side]:
    """The runs after --base and after --new. Raises InputError where there are none, or a run is named twice."""
    if words or not base or not new:
        raise InputError("--base and --new go together, and without other arguments: name the runs of both sides")
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


def _show(comparison: Comparison, sides: Sequence[Arm], shape: str, output: Path | None) -> None:
    if shape == "html":
        path = output or _PAGE
        _write_page(path, comparison, sides)
        click.echo(str(path))
        return
    text = _text(comparison, shape)
    if output is None:
        click.echo(text, nl=False)
        return
    write_whole(output, text.encode())
    click.echo(str(output))


def _text(comparison: Comparison, shape: str) -> str:
    from lmx_loadgen.report import comparison as shown

    if shape == "json":
        # In ASCII: a terminal may be reading, and servers have put words in it.
        return json.dumps(comparison.model_dump(mode="json"), indent=1) + "\n"
    if shape == "markdown":
        return shown.markdown(comparison)
    from rich.console import Console

    console = Console()
    with console.capture() as captured:
        shown.print_comparison(comparison, console)
    return captured.get()


def _write_page(path: Path, comparison: Comparison, sides: Sequence[Arm]) -> None:
    from lmx_loadgen.report.page import build_page
    from lmx_loadgen.report.run_loader import labeled_views, view_of

    reference = read_reference(package_data.folder("reference") / NAME)
    measured = {side.run_id: side.run for side in sides}
    runs = labeled_views([view_of(summarize(run), run) for run in measured.values()])
    make_folder(path.parent)
    write_whole(path, build_page(runs, comparisons=[comparison], reference=reference).encode())


def _error(comparison: Comparison, checked: Sequence[LimitResult], has_limits: bool) -> LoadgenError | None:
    """What the exit code is to say. Without limits only a comparison refused as a whole is an error."""
    if not has_limits:
        verdicts = [found.verdict for level in comparison.levels for found in level.metrics.values()]
        if all(verdict == "refused" for verdict in verdicts):
            return NotComparable("nothing was compared: see above why")
        return None
    outcome = worst(checked)
    sentences = "; ".join(result.sentence for result in checked if result.outcome == outcome)
    if outcome == "broken":
        return LimitBroken(sentences)
    if outcome == "undecided":
        return LimitUndecided(sentences)
    return NotComparable(sentences) if outcome == "invalid" else None
