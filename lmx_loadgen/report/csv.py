"""The figures as CSV, in base units: one row for each target, level and metric with all statistics, or for each
request."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lmx_loadgen.analysis import request_rows
from lmx_loadgen.report.card_data import imported_levels
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import Level, Series, point_of
from lmx_loadgen.store.result import BenchmarkResult

_STATISTICS = ("n", "mean", "ci95_low", "ci95_high", "p50", "p90", "p95", "p99", "min", "max", "instrument_error")
_OF_WHAT = ("origin", "run_id", "started_at", "target", "backend", "model", "load_point", "concurrency", "metric")
_BESIDE = ("unsupported", "reason", "sample", "token_basis", "token_basis_exact", "ok", "failed", "complete", "tainted")
COLUMNS = (*_OF_WHAT, "unit", "better", *_STATISTICS, *_BESIDE)
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
            "run_id": one.run.result.get("run_id"),
            "started_at": one.run.result.get("started_at"),
            "target": one.target["name"],
            "backend": one.target.get("dialect"),
            "model": one.target.get("model"),
        }
        for level in one.levels():
            yield from _rows(who, level)


def _imported(results: Sequence[BenchmarkResult]) -> Iterator[dict[str, Any]]:
    for result in results:
        who = {
            "origin": "imported",
            "started_at": result.timestamp,
            "backend": result.backend,
            "model": result.model_id,
        }
        for level in imported_levels(result):  # what its tokens were counted by, and whether well, is not told
            yield from _rows(who, {**level, "token_basis": None, "token_basis_exact": None})


def _rows(who: dict[str, Any], level: Level) -> Iterator[dict[str, Any]]:
    requests = level["requests"]
    beside = {
        "load_point": point_of(level).label,
        "concurrency": level["concurrency"],
        **{key: level.get(key) for key in ("sample", "token_basis", "token_basis_exact", "complete")},
        "ok": requests["ok"],
        "failed": requests["failed"],
        "tainted": "; ".join(map(str, level.get("tainted") or [])),
    }
    for name, metric in level["metrics"].items():
        low, high = metric.get("ci95") or (None, None)
        statistics = {key: metric.get(key) for key in (*_STATISTICS, "unit", "better", "reason")}
        yield {
            **who,
            **beside,
            **statistics,
            "metric": name,
            "ci95_low": low,
            "ci95_high": high,
            "unsupported": " ".join(map(str, metric.get("unsupported") or [])),
        }
