"""`plot` from its arguments to its output: runs, imported results and published figures, in one of four formats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.analysis.stored_results import plain_results
from lmx_loadgen.errors import InputError, ResultError
from lmx_loadgen.report.run_loader import measured_runs, views
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import series_of
from lmx_loadgen.store.imported import imported_results
from lmx_loadgen.store.reference import NAME, Reference, read_reference
from lmx_loadgen.store.result import BenchmarkResult, write_whole
from lmx_loadgen.system import package_data
from lmx_loadgen.system.disk import make_folder

SUFFIXES = {"html": "html", "markdown": "md", "csv": "csv", "png": "png"}


@dataclass(frozen=True, slots=True)
class Material:
    """All that a report is made of."""

    runs: list[RunView]
    imported: list[BenchmarkResult]
    reference: Reference


def plot_command(
    *,
    runs: Sequence[Path],
    results_dir: Path,
    reference: Path | None,
    shape: str,
    per: str,
    output: Path | None,
    open_it: bool,
) -> None:
    """Write the report, print its path, and with `open_it` open a page in the browser.

    Named runs are drawn alone; else everything in `results_dir`: runs, what was imported there, and files of the plan.
    With `per` request it is a CSV of the requests of runs. Raises ResultError, ProfileError (the reference file),
    StorageError, and InputError where a PNG cannot be made, or requests are asked for in another format.
    """
    if per == "request":
        if shape != "csv":
            raise InputError(f"--per request needs --format csv, not {shape}")
        path, data = output or results_dir / "requests.csv", _requests(runs, results_dir)
    else:
        path = output or results_dir / f"report.{SUFFIXES[shape]}"
        data = _WRITERS[shape](_material(runs, results_dir, reference, shape))
    make_folder(path.parent)
    write_whole(path, data)
    click.echo(str(path))
    if open_it and shape == "html":
        click.launch(path.resolve().as_uri())


def _material(runs: Sequence[Path], results_dir: Path, reference: Path | None, shape: str) -> Material:
    imported = [] if runs else [*imported_results(results_dir), *plain_results(results_dir, _warn)]
    try:
        drawn = views(runs, results_dir, _warn)
    except ResultError:
        if not imported or shape == "png":  # imported results are cards and rows, and no curves
            raise
        drawn = []
    return Material(drawn, imported, read_reference(reference or package_data.folder("reference") / NAME))


def _warn(words: str) -> None:
    click.echo(sanitize(f"skipped: {words}", 4000), err=True)


def _html(material: Material) -> bytes:
    from lmx_loadgen.report.page import build_page

    return build_page(material.runs, reference=material.reference, imported=material.imported).encode()


def _markdown(material: Material) -> bytes:
    from lmx_loadgen.report import markdown
    from lmx_loadgen.report.card_data import cards_of
    from lmx_loadgen.report.head_to_head import of_runs

    comparisons = of_runs(material.runs)
    cards = cards_of(series_of(material.runs), comparisons, material.reference, material.imported)
    return markdown.report(cards, comparisons).encode()


def _csv(material: Material) -> bytes:
    from lmx_loadgen.report import csv

    return csv.table(series_of(material.runs), material.imported).encode()


def _requests(runs: Sequence[Path], results_dir: Path) -> bytes:
    from lmx_loadgen.analysis.request_rows import request_rows
    from lmx_loadgen.report import csv

    return csv.requests_table(
        row for run in measured_runs(runs, results_dir, _warn) for row in request_rows(run)
    ).encode()


def _png(material: Material) -> bytes:
    from lmx_loadgen.report import png

    return png.png(series_of(material.runs))


_WRITERS: dict[str, Callable[[Material], bytes]] = {"html": _html, "markdown": _markdown, "csv": _csv, "png": _png}
