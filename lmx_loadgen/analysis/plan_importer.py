"""Results of others, made into ours: what Opta-LMX stores and answers, and what it used to store.

The plan's own shape (with `stats`) is taken as it is, with two corrections: figures of fewer than two runs are not
figures, and its version is None where it is empty. Two shapes are older than the plan, and are read under all usual
names of their keys. A suite has `runs`. The oldest shape has `results`, runs by name or in a list, with or without a
`summary`. What is not there is None, and so is a zero: there it stands for what was not measured.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import ValidationError

from lmx_loadgen.analysis.stats import known, mean_count, percentile
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
    if isinstance(item.get("runs"), list) and "results" not in item:
        return _suite_results(item)
    return [_older_result(item, file_name)]


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


# ---- shapes older than the plan ---------------------------------------------------------------------

_MS = 1e-3

# key → what its unit is in seconds
_TTFT = {
    "ttft_sec": 1.0,
    "ttft_s": 1.0,
    "ttft_seconds": 1.0,
    "time_to_first_token_sec": 1.0,
    "time_to_first_token_s": 1.0,
    "ttft_ms": _MS,
    "time_to_first_token_ms": _MS,
}
_RATE = dict.fromkeys(
    ("toks_per_sec", "tok_s", "tok_per_sec", "tokens_per_second", "tokens_per_sec", "tps", "decode_tok_s"), 1.0
)
_OUTPUT = dict.fromkeys(
    ("tokens_generated", "completion_tokens", "output_tokens", "output_token_count", "tokens", "num_tokens"), 1.0
)
_PROMPT = dict.fromkeys(("prompt_tokens", "input_tokens"), 1.0)

_MODEL = ("model_id", "model", "model_name", "name")
_WHEN = ("timestamp", "date", "completed_at", "created_at", "started_at")
_TEXT = ("output_text", "output", "response")
_RUN_COUNT = ("runs_completed", "runs", "num_runs", "total_runs")

_WARM_MEAN = ("warm_avg", "warm_mean")
_MEAN = (*_WARM_MEAN, "avg", "mean", "average")
_P50 = ("p50", "median")
_P95 = ("p95",)

_WARM_UP = re.compile(r"cold|warm[ _-]?up", re.IGNORECASE)
_DATE = re.compile(r"(?<!\d)20\d\d-[01]\d-[0-3]\d(?!\d)")


@dataclass(frozen=True, slots=True)
class _Run:
    ttft: float | None
    rate: float | None
    output: float | None
    prompt: float | None
    text: str | None
    warm_up: bool


def _suite_results(suite: Mapping[str, Any]) -> list[BenchmarkResult]:
    """A result for each prompt of a suite: a mean over different prompts is of none. Raises ValueError."""
    by_prompt: dict[str, list[Mapping[str, Any]]] = {}
    for run in suite["runs"]:
        if isinstance(run, Mapping):
            by_prompt.setdefault(_text(run, ("prompt_name",)), []).append(run)
    if not by_prompt:
        raise ValueError("a suite without runs")
    return [_result(suite, {}, _runs(runs), prompt, "") for prompt, runs in by_prompt.items()]


def _older_result(found: Mapping[str, Any], file_name: str) -> BenchmarkResult:
    """The result in the shape with `results` and `summary`, or in a summary alone. Raises ValueError."""
    summary = found.get("summary")
    prompt = _text(found, ("prompt", "prompt_preview", "prompt_name"))
    runs = _runs(found.get("results"))
    return _result(found, summary if isinstance(summary, Mapping) else found, runs, prompt, file_name)


def _result(
    found: Mapping[str, Any], summary: Mapping[str, Any], runs: Sequence[_Run], prompt: str, file_name: str
) -> BenchmarkResult:
    model = _text(found, _MODEL) or _text(summary, _MODEL)
    stats = _stats(summary, runs, _stated_runs(found, summary))
    if not model and stats is None:
        raise ValueError("neither a model nor a figure, in none of the shapes that are known")
    if not model:
        raise ValueError("no model is named")
    if stats is None:
        raise ValueError("neither a TTFT nor a rate of tokens is in it")
    enough = (stats.runs_completed is None or stats.runs_completed >= FEWEST_RUNS) and found.get(
        "status"
    ) != "insufficient_data"
    return BenchmarkResult(
        model_id=model,
        backend=_text(found, ("backend", "backend_type")),
        timestamp=_when(found) or _date_in(file_name),
        status="ok" if enough else "insufficient_data",
        hardware=_text(found, ("hardware", "machine", "device")),
        lmx_version=_text(found, ("lmx_version", "version")) or None,
        prompt_preview=prompt[:100],
        stats=stats if enough else _without_figures(stats, ("output_text",)),
        origin="opta-lmx-older",
    )


def _runs(found: Any) -> list[_Run]:
    """The runs, by name or in a list, that say anything."""
    if isinstance(found, Mapping):
        named = [(str(name), run) for name, run in found.items()]
    else:
        named = [("", run) for run in found] if isinstance(found, list) else []
    runs = [_run(name, run) for name, run in named if isinstance(run, Mapping)]
    return [run for run in runs if run.ttft is not None or run.rate is not None]


def _run(name: str, run: Mapping[str, Any]) -> _Run:
    labels = " ".join([name, *(_text(run, (key,)) for key in ("name", "label", "type", "kind", "phase", "run"))])
    flagged = any(run.get(key) is True for key in ("cold", "is_cold", "cold_start", "warmup", "is_warmup"))
    return _Run(
        ttft=_figure(run, _TTFT),
        rate=_figure(run, _RATE),
        output=_figure(run, _OUTPUT),
        prompt=_figure(run, _PROMPT),
        text=_text(run, _TEXT) or None,
        warm_up=flagged or _WARM_UP.search(labels) is not None,
    )


def _stats(summary: Mapping[str, Any], runs: Sequence[_Run], stated_runs: int | None) -> BenchmarkRunStats | None:
    """None where there is no figure."""
    warm = [run for run in runs if not run.warm_up]
    # A summary of warm runs, and no word on which they are: then no percentile can be made of them.
    warm_ups_unknown = len(warm) == len(runs) and _summary_figure(summary, _RATE | _TTFT, _WARM_MEAN) is not None
    ttft = _spread([run.ttft for run in warm], "lower", summary, _TTFT, warm_ups_unknown)
    rate = _spread([run.rate for run in warm], "higher", summary, _RATE, warm_ups_unknown)
    if not any(value is not None for value in (*ttft, *rate)):
        return None
    return BenchmarkRunStats(
        ttft_mean_sec=ttft[0],
        ttft_p50_sec=ttft[1],
        ttft_p95_sec=ttft[2],
        toks_per_sec_mean=rate[0],
        toks_per_sec_p50=rate[1],
        toks_per_sec_p95=rate[2],
        prompt_tokens=mean_count([run.prompt for run in warm]),
        output_tokens=mean_count([run.output for run in warm]),
        runs_completed=len(warm) if warm and not warm_ups_unknown else stated_runs,
        warmup_runs_discarded=len(runs) - len(warm) if len(runs) > len(warm) else None,
        output_text=warm[0].text if warm else None,
    )


def _spread(
    values: Sequence[float | None],
    better: Literal["lower", "higher"],
    summary: Mapping[str, Any],
    names: Mapping[str, float],
    warm_ups_unknown: bool,
) -> tuple[float | None, float | None, float | None]:
    """Mean, p50 and p95: of the runs, or where there are none, as the summary says."""
    measured = sorted(known(values))
    if measured and not warm_ups_unknown:
        mean = sum(measured) / len(measured)
        return mean, percentile(measured, 50, better=better), percentile(measured, 95, better=better)
    stated_mean = _summary_figure(summary, names, _MEAN)
    return (
        stated_mean if stated_mean is not None else _figure(summary, names),
        _summary_figure(summary, names, _P50),
        _summary_figure(summary, names, _P95),
    )


def _summary_figure(summary: Mapping[str, Any], names: Mapping[str, float], marks: Sequence[str]) -> float | None:
    """A figure of a summary, like `avg_ttft_ms`, `ttft_ms_avg`, `ttft_avg_ms`, or `avg` in `ttft_ms`."""
    for mark in marks:
        for name, unit in names.items():
            stem, _, last = name.rpartition("_")
            keys = (f"{mark}_{name}", f"{name}_{mark}", f"{stem}_{mark}_{last}")
            nested = summary.get(name)
            values = [summary.get(key) for key in keys] + ([nested.get(mark)] if isinstance(nested, Mapping) else [])
            for value in values:
                if (number := _number(value)) is not None:
                    return number * unit
    return None


def _figure(found: Mapping[str, Any], names: Mapping[str, float]) -> float | None:
    """The first of these figures that is there, in seconds or whole units."""
    return next((number * unit for key, unit in names.items() if (number := _number(found.get(key))) is not None), None)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST:
        return None
    return float(value) if math.isfinite(value) else None


def _stated_runs(found: Mapping[str, Any], summary: Mapping[str, Any]) -> int | None:
    numbers = (_number(place.get(key)) for place in (summary, found) for key in _RUN_COUNT)
    return next((int(number) for number in numbers if number is not None), None)


def _text(found: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of these that is a text; empty where none is."""
    return next((value for key in names if isinstance(value := found.get(key), str) and value), "")


def _when(found: Mapping[str, Any]) -> str:
    """When it was made, in ISO 8601, from a text or from seconds (or milliseconds) since 1970; empty if unknown."""
    return next(_moments(found), "")


def _moments(found: Mapping[str, Any]) -> Iterator[str]:
    for key in _WHEN:
        value = found.get(key)
        if isinstance(value, str) and value:
            yield value
        elif isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e14:
            seconds = value / 1e3 if value > 1e11 else value
            yield datetime.fromtimestamp(seconds, UTC).isoformat()


def _date_in(file_name: str) -> str:
    found = _DATE.search(file_name)
    return found[0] if found else ""
