"""`compare` from its arguments to its output: find the sides, compare, show, and hold the limits against it."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from lmx_loadgen.analysis.comparison.blocks import Arm, arm_of
from lmx_loadgen.analysis.comparison.compare import comparisons_of
from lmx_loadgen.analysis.comparison.gate import LimitResult, check_limit, parse_limit, worst
from lmx_loadgen.analysis.comparison.ranking import rankings
from lmx_loadgen.analysis.comparison.sides import Rules
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.commands.sides import compared, pair, replicates, run_of_many
from lmx_loadgen.errors import InputError, LimitBroken, LimitUndecided, LoadgenError, NotComparable, ResultError
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
    verbose: bool,
) -> None:
    """Compare and show. Raises a LoadgenError whose exit code says how the limits stand, after all was shown."""
    parsed = [parse_limit(text) for text in limits]
    if accept is not None and not accept.strip():
        raise InputError("--accept needs a reason, which then stands beside the result")
    rules = Rules(margin=margin, accepted=accept)
    if sides and (base or new):
        raise InputError("--base and --new go together, and without other arguments: name the runs of both sides")
    comparisons, arms = _compared(sides, base, new, results_dir, rules)
    # Limits are on what is compared with the first target.
    with_first = [one for one in comparisons if one.a.target == comparisons[0].a.target]
    checked = [result for limit in parsed for one in with_first for result in check_limit(limit, one)]
    if shape == "html":
        path = output or _PAGE
        _write_page(path, comparisons, arms)
        click.echo(str(path))
    else:
        _show(_text(comparisons, checked, shape, verbose), output)
    error = _error(comparisons, checked, bool(parsed))
    if error is not None:
        raise error


def _compared(
    sides: Sequence[str], base: Sequence[str], new: Sequence[str], results_dir: Path, rules: Rules
) -> tuple[list[Comparison], Sequence[Arm]]:
    """What was asked for: two sides, or every two targets of a run with more of them; with the sides of all."""
    if not base and not new and (run := run_of_many(sides, results_dir)) is not None:
        found = comparisons_of(run, rules)
        if not found:
            raise ResultError("the run was cut short before two of its targets were measured at the same load")
        return found, [arm_of(run, name) for name in run.targets]
    a, b = replicates(base, new, results_dir) if base or new else pair(sides, results_dir)
    return [compared(a, b, rules)], (*a.runs, *b.runs)


def _show(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    write_whole(output, text.encode())
    click.echo(str(output))


def _text(comparisons: Sequence[Comparison], checked: Sequence[LimitResult], shape: str, all_notes: bool) -> str:
    """One comparison, or of several the ranking and then each of them. `checked` is how the limits stand."""
    if shape == "junit":
        from lmx_loadgen.report.junit import junit

        return junit(comparisons, checked)
    from lmx_loadgen.report import comparison as shown

    ranked = rankings(comparisons)
    if shape == "json":
        documents = [one.model_dump(mode="json") for one in comparisons]
        several = {"comparisons": documents, "rankings": [one.model_dump(mode="json") for one in ranked]}
        # In ASCII: a terminal may be reading, and servers have put words in it.
        return json.dumps(documents[0] if len(documents) == 1 else several, indent=1) + "\n"
    if shape == "markdown":
        return "\n".join([*shown.ranking_markdown(ranked), *map(shown.markdown, comparisons)])
    from rich.console import Console

    console = Console()
    with console.capture() as captured:
        shown.print_comparisons(comparisons, ranked, console, all_notes=all_notes)
    return captured.get()


def _write_page(path: Path, comparisons: Sequence[Comparison], sides: Sequence[Arm]) -> None:
    from lmx_loadgen.report.page import build_page
    from lmx_loadgen.report.run_loader import labeled_views, view_of

    reference = read_reference(package_data.folder("reference") / NAME)
    measured = {side.run_id: side.run for side in sides}
    runs = labeled_views([view_of(summarize(run), run) for run in measured.values()])
    make_folder(path.parent)
    write_whole(path, build_page(runs, comparisons=comparisons, reference=reference).encode())


def _error(comparisons: Sequence[Comparison], checked: Sequence[LimitResult], has_limits: bool) -> LoadgenError | None:
    """What the exit code is to say. Without limits only a comparison refused as a whole is an error."""
    if not has_limits:
        levels = [level for one in comparisons for level in one.levels]
        verdicts = [found.verdict for level in levels for found in level.metrics.values()]
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
