"""The figures as CSV, in base units: one row for each target, level, class of prompts and metric with all statistics,
or for each request."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lmx_loadgen.analysis import request_rows
from lmx_loadgen.analysis.imported_levels import imported_levels
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.result import BenchmarkResult, LevelResult, MetricResult

_STATISTICS = ("n", "mean", "ci95_low", "ci95_high", "p50", "p90", "p95", "p99", "min", "max", "instrument_error")
_OF_WHAT = ("origin", "run_id", "started_at", "target", "backend", "model", "load_point", "concurrency", "prompts")
_BESIDE = (
    "unsupported",
    "disturbed",
    "reason",
    "sample",
    "token_basis",
    "token_basis_exact",
    "ok",
    "failed",
    "complete",
    "tainted",
)
COLUMNS = (*_OF_WHAT, "metric", "unit", "better", *_STATISTICS, *_BESIDE)
# What makes a spreadsheet take a text for a formula.
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_LONGEST = 1_000


def table(series: Sequence[Series], imported: Sequence[BenchmarkResult] = ()) -> str:
    """The rows of everything measured, then of everything imported, under one heading. Undefined cells are empty."""
    return _written(COLUMNS, (*_measured(series), *_imported(imported)))


def requests_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of requests under one heading. Undefined cells are empty."""
    return _written(request_rows.COLUMNS, rows)


def _written(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Numbers as they are; texts on one line, and never such that a spreadsheet would carry them out."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return value
    shown = sanitize(value, _LONGEST)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def _measured(series: Sequence[Series]) -> Iterator[dict[str, Any]]:
    for one in series:
        who = {
            "origin": "measured",
            "run_id": one.run.result.run_id,
            "started_at": one.run.result.started_at,
            "target": one.target.name,
            "backend": one.target.dialect,
            "model": one.target.model,
        }
        for level in one.levels:
            yield from _rows(who | _of_level(level), level)


def _imported(results: Sequence[BenchmarkResult]) -> Iterator[dict[str, Any]]:
    for one in results:
        who = {"origin": "imported", "started_at": one.timestamp, "backend": one.backend, "model": one.model_id}
        for level in imported_levels(one):  # what its tokens were counted by, and whether well, is not told
            untold = dict.fromkeys(("sample", "token_basis", "token_basis_exact", "failed", "complete"))
            yield from _rows(who | _of_level(level) | untold, level)


def _of_level(level: LevelResult) -> dict[str, Any]:
    return {
        "load_point": level.load_point.label,
        "concurrency": level.concurrency,
        "sample": level.sample,
        "token_basis": level.token_basis,
        "token_basis_exact": level.token_basis_exact,
        "complete": level.complete,
        "ok": level.requests.ok,
        "failed": level.requests.failed,
        "tainted": "; ".join(level.tainted),
    }


def _rows(who: dict[str, Any], level: LevelResult) -> Iterator[dict[str, Any]]:
    """The figures over all prompts, and where they are of several classes, then those of each."""
    classes = level.by_prompt_class if len(level.by_prompt_class) > 1 else {}
    for prompts, metrics in [("all", level.metrics), *((name, found.metrics) for name, found in classes.items())]:
        for name, metric in metrics.items():
            yield {**who, "prompts": prompts, "metric": name, **_statistics(metric)}


def _statistics(metric: MetricResult) -> dict[str, Any]:
    low, high = metric.ci95 or (None, None)
    return {
        **{key: getattr(metric, key) for key in _STATISTICS if not key.startswith("ci95")},
        **{key: getattr(metric, key) for key in ("unit", "better", "reason")},
        "ci95_low": low,
        "ci95_high": high,
        "unsupported": " ".join(metric.unsupported),
        "disturbed": " ".join(metric.tainted),
    }
