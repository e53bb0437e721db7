"""`compare` from its arguments to its output: find the sides, compare, show, and hold the limits against it."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from lmx_loadgen.analysis.comparison.blocks import Arm
from lmx_loadgen.analysis.comparison.gate import LimitResult, check_limit, parse_limit, worst
from lmx_loadgen.analysis.comparison.sides import Rules
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.commands.sides import compared, pair, replicates
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
    if sides and (base or new):
        raise InputError("--base and --new go together, and without other arguments: name the runs of both sides")
    a, b = replicates(base, new, results_dir) if base or new else pair(sides, results_dir)
    comparison = compared(a, b, rules)
    _show(comparison, (*a.runs, *b.runs), shape, output)
    checked = [result for limit in parsed for result in check_limit(limit, comparison)]
    error = _error(comparison, checked, bool(parsed))
    if error is not None:
        raise error


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
