"""Results in the shapes that Opta-LMX stored before the benchmark plan had one, made into ours.

A suite has `runs`, each under the name of its prompt. An answer of the older endpoint has `results`, a list of runs;
the oldest files have them by name, and `cold` in the name of a warm-up. No shape has tokens of the prompt or the
answer's text. What is not there is None, and so is a zero: there it stands for what was not measured.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from lmx_loadgen.analysis.stats import known, mean_count, percentile
from lmx_loadgen.store.result import FEWEST_RUNS, BenchmarkResult, BenchmarkRunStats

_MOST = 1e9
_LAST_MOMENT = 2e11  # seconds; the calendar ends soon after
_PREVIEW = 100
_DATE = re.compile(r"(?<!\d)20\d\d-[01]\d-[0-3]\d(?!\d)")


@dataclass(frozen=True, slots=True)
class _Run:
    ttft_s: float | None
    rate: float | None
    output: float | None
    warm_up: bool


def older_results(found: Mapping[str, Any], file_name: str) -> list[BenchmarkResult]:
    """The results of a suite, an answer or a file; of a suite one for each prompt, as a mean over different prompts is
    of none. A date in the file's name serves where there is none inside. Raises ValueError where there is no result."""
    results, runs = found.get("results"), found.get("runs")
    if isinstance(results, Mapping):
        return [_result(found, _text(found, "prompt"), list(results.items()), file_name)]
    if isinstance(results, list):
        return [_result(found, _text(found, "prompt"), [("", run) for run in results], file_name)]
    if not isinstance(runs, list):
        raise ValueError("neither a result of Opta-LMX nor of its older benchmarks: no stats, results or runs")
    by_prompt: dict[str, list[tuple[str, Any]]] = {}
    for run in runs:
        if isinstance(run, Mapping):
            by_prompt.setdefault(_text(run, "prompt_name"), []).append(("", run))
    if not by_prompt:
        raise ValueError("a suite without runs")
    return [_result(found, prompt, same, file_name) for prompt, same in by_prompt.items()]


def _result(found: Mapping[str, Any], prompt: str, runs: Sequence[tuple[str, Any]], file_name: str) -> BenchmarkResult:
    read = [_run(name, run) for name, run in runs if isinstance(run, Mapping)]
    measured = [run for run in read if run.ttft_s is not None or run.rate is not None]
    warm = [run for run in measured if not run.warm_up]
    if not (model := _text(found, "model_id")):
        raise ValueError("no model is named")
    if not warm:
        raise ValueError("neither a TTFT nor a rate of tokens is in it")
    enough = len(warm) >= FEWEST_RUNS
    return BenchmarkResult(
        model_id=model,
        backend=_text(found, "backend", "backend_type"),
        timestamp=_when(found) or _date_in(file_name),
        status="ok" if enough else "insufficient_data",
        hardware=_text(found, "hardware"),
        lmx_version=None,
        prompt_preview=prompt[:_PREVIEW],
        stats=_stats(warm if enough else (), runs=len(warm), warm_ups=len(measured) - len(warm)),
        origin="opta-lmx-older",
    )


def _run(name: str, run: Mapping[str, Any]) -> _Run:
    ttft_ms = _number(run, "time_to_first_token_ms", "ttft_ms")
    return _Run(
        ttft_s=None if ttft_ms is None else ttft_ms / 1e3,
        rate=_number(run, "tokens_per_second", "toks_per_sec"),
        output=_number(run, "tokens_generated"),
        warm_up="cold" in name.lower(),
    )


def _stats(warm: Sequence[_Run], *, runs: int, warm_ups: int) -> BenchmarkRunStats:
    ttft = _spread([run.ttft_s for run in warm], "lower")
    rate = _spread([run.rate for run in warm], "higher")
    return BenchmarkRunStats(
        ttft_mean_sec=ttft[0],
        ttft_p50_sec=ttft[1],
        ttft_p95_sec=ttft[2],
        toks_per_sec_mean=rate[0],
        toks_per_sec_p50=rate[1],
        toks_per_sec_p95=rate[2],
        output_tokens=mean_count([run.output for run in warm]),
        runs_completed=runs,
        warmup_runs_discarded=warm_ups or None,
    )


def _spread(
    values: Sequence[float | None], better: Literal["lower", "higher"]
) -> tuple[float | None, float | None, float | None]:
    """Mean, p50 and p95."""
    measured = sorted(known(values))
    if not measured:
        return None, None, None
    mean = sum(measured) / len(measured)
    return mean, percentile(measured, 50, better=better), percentile(measured, 95, better=better)


def _number(found: Mapping[str, Any], *names: str, most: float = _MOST) -> float | None:
    """The first of these that is a figure."""
    for name in names:
        value = found.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most:
            return float(value)
    return None


def _text(found: Mapping[str, Any], *names: str) -> str:
    """The first of these that is a text; empty where none is."""
    return next((value for name in names if isinstance(value := found.get(name), str) and value), "")


def _when(found: Mapping[str, Any]) -> str:
    """When a suite ended, or where it did not, began, in ISO 8601; empty if it is none."""
    seconds = _number(found, "completed_at", "started_at", most=_LAST_MOMENT)
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _date_in(file_name: str) -> str:
    found = _DATE.search(file_name)
    return found[0] if found else ""
