"""Results of others, made into ours: what Opta-LMX stores and answers, and what it used to store.

The plan's own shape (with `stats`) is taken as it is, with two corrections: figures of fewer than two runs are not
figures, and its version is None where it is empty. Shapes older than the plan are read by `older_results`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from lmx_loadgen.analysis.older_results import older_results
from lmx_loadgen.errors import first_fault
from lmx_loadgen.store.imported import ORIGINS
from lmx_loadgen.store.plan_result import only_plan_keys
from lmx_loadgen.store.result import FEWEST_RUNS, BenchmarkResult, BenchmarkRunStats
from lmx_loadgen.targets import DIALECTS

_MOST = 1e9
_PREVIEW = 100
# What is kept of a result without figures, and beside it, where there was one run, what is known of its text.
_KEPT = ("runs_completed", "warmup_runs_discarded", "tool_call", "skills")
_OF_TEXT = ("output_text", "output_token_count", "completed_naturally", "repetition_ratio", "coherence_flag")


@dataclass(slots=True)
class ImportedResults:
    """What a file holds: its results, and of everything else why it is none."""

    results: list[BenchmarkResult] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def results_in(data: Any, file_name: str = "") -> ImportedResults:
    """The results in a file's JSON: one, or a list of them. A date in the file's name serves where it has none."""
    taken = ImportedResults()
    if isinstance(data, list) and not data:
        taken.faults.append("an empty list")
    for number, item in enumerate(data if isinstance(data, list) else [data], start=1):
        try:
            taken.results.extend(_results_of(item, file_name))
        except ValueError as fault:
            words = first_fault(fault) if isinstance(fault, ValidationError) else str(fault)
            taken.faults.append(f"entry {number}: {words}" if isinstance(data, list) else words)
    return taken


def _results_of(item: Any, file_name: str) -> list[BenchmarkResult]:
    if not isinstance(item, Mapping):
        raise ValueError("not a JSON object")
    if "stats" in item:
        return [_plan_result(item)]
    if "run_id" in item and "targets" in item:
        raise ValueError("a run of lmx-loadgen: move its folder into the results folder instead")
    return older_results(item, file_name)


def _plan_result(item: Mapping[str, Any]) -> BenchmarkResult:
    kept = only_plan_keys(item)
    preview = kept.get("prompt_preview")
    result = BenchmarkResult.model_validate(
        kept
        | {
            "lmx_version": kept.get("lmx_version") or None,
            "prompt_preview": preview[:_PREVIEW] if isinstance(preview, str) else preview,
            "origin": _origin(item),
        }
    )
    if not result.model_id:
        raise ValueError("model_id: empty")
    return result if result.stats is None else _corrected(result, result.stats)


def _origin(item: Mapping[str, Any]) -> str:
    """Whose it is, by its own word or else by its backend: Opta-LMX's are names of classes, this tool's of servers."""
    origin, backend = item.get("origin"), item.get("backend")
    if isinstance(origin, str) and origin in ORIGINS:
        return origin
    return "lmx-loadgen" if isinstance(backend, str) and backend in DIALECTS else "opta-lmx"


def _corrected(result: BenchmarkResult, stats: BenchmarkRunStats) -> BenchmarkResult:
    figures = stats.model_dump(exclude={"tool_call", "skills"})
    for key, value in figures.items():
        if isinstance(value, int | float) and not 0 <= value <= _MOST:
            raise ValueError(f"stats.{key}: {value:.4g} is no measurement")
    runs = stats.runs_completed or 0
    if result.status == "ok" and runs >= FEWEST_RUNS:
        return result
    kept = _without_figures(stats, _OF_TEXT if runs else ())
    return result.model_copy(update={"status": "insufficient_data", "stats": kept})


def _without_figures(stats: BenchmarkRunStats, of_text: Sequence[str]) -> BenchmarkRunStats:
    return BenchmarkRunStats(**{name: getattr(stats, name) for name in (*_KEPT, *of_text)})
