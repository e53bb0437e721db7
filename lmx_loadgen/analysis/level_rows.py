"""The levels of a run as flat rows, for spreadsheets and scripts: seconds, tok/s and counts, None where undefined."""

from collections.abc import Iterator
from typing import Any

from lmx_loadgen.analysis.metrics import METRICS, Metric
from lmx_loadgen.store.result import LevelResult, MetricResult, RunResult, TargetResult

_STATISTICS = ("mean", "p50", "p95", "p99")


def level_rows(result: RunResult) -> list[dict[str, Any]]:
    """A row for each target and level, lowest load first. All rows have the same names: `ttft_p50_s` is the median
    TTFT in seconds, `decode_tok_s_p50` that of the decode rate, `output_tok_s` the rate of the whole system."""
    return [
        _row(result, target, level)
        for target in result.targets
        for level in sorted(target.levels, key=lambda level: level.load_point.order)
    ]


def _row(result: RunResult, target: TargetResult, level: LevelResult) -> dict[str, Any]:
    return {
        "run_id": result.run_id,
        "target": target.name,
        "model": target.model,
        "load_point": level.load_point.label,
        "concurrency": level.concurrency,
        **{name: getattr(level.requests, name) for name in ("sent", "ok", "failed", "cancelled")},
        "complete": level.complete,
        "tainted": bool(level.tainted),
        "token_basis": level.token_basis,
        "token_basis_exact": level.token_basis_exact,
        **dict(value for metric in METRICS.values() for value in _values(metric, level.metrics.get(metric.name))),
    }


def _values(metric: Metric, found: MetricResult | None) -> Iterator[tuple[str, float | None]]:
    unit = "_s" if metric.unit == "s" else ""
    if metric.scope == "level":  # one value a level
        yield f"{metric.name}{unit}", found.mean if found is not None else None
        return
    for statistic in _STATISTICS:
        yield f"{metric.name}_{statistic}{unit}", getattr(found, statistic) if found is not None else None
