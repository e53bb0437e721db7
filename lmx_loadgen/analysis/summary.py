"""From an event log to a result: the same log always gives the same result."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from lmx_loadgen import __version__
from lmx_loadgen.analysis.answers import coherence_of, completed_naturally, with_answers
from lmx_loadgen.analysis.cache import cache_of
from lmx_loadgen.analysis.capacity import capacity_of, ratios_of
from lmx_loadgen.analysis.checks import server_benchmarks_of, skills_of, tool_calls_of
from lmx_loadgen.analysis.comparison.compare import comparisons_of
from lmx_loadgen.analysis.comparison.ranking import rankings
from lmx_loadgen.analysis.conditions import run_notes
from lmx_loadgen.analysis.level import basis_of, calibration_of, rules_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.metrics import VERSION
from lmx_loadgen.analysis.nodes import nodes_of
from lmx_loadgen.analysis.observed import observer_notes, with_observed
from lmx_loadgen.analysis.record_store import where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.stats import mean_count
from lmx_loadgen.analysis.text_shape import NOT_KEPT, kept_text
from lmx_loadgen.analysis.tokens import Basis, generated_tokens, output_tokens, prompt_tokens
from lmx_loadgen.decode.chat import StreamRules
from lmx_loadgen.store.result import (
    FEWEST_RUNS,
    BenchmarkResult,
    BenchmarkRunStats,
    Hypothesis,
    LevelResult,
    RunResult,
    TargetResult,
    Tool,
)
from lmx_loadgen.system.clock import Anchor

_UNCALIBRATED = "not calibrated: the measurement error is unknown"


def summarize(run: MeasuredRun) -> RunResult:
    """The result of a run."""
    header, end = run.header, run.log.end
    anchor = Anchor(**header["clock"])
    comparisons = [] if run.is_search else comparisons_of(run)  # each target had loads of its own
    targets = [_target(run, target) for target in header["targets"]]
    return RunResult(
        metrics_version=VERSION,
        tool=Tool(version=header["tool_version"], computed_by=__version__),
        run_id=header["run_id"],
        started_at=header["started_at"],
        ended_at=anchor.iso(end["end_ns"]) if end else None,
        complete=bool(end and end["complete"]),
        reason=end["reason"] if end else "the run was cut off before it could end",
        host=header["host"],
        versions=header.get("versions", {}),
        profile=header["profile"],
        instrument={"calibration": None, **header["instrument"]},
        targets=targets,
        capacity_ratios=ratios_of({one.name: one.capacity for one in targets if one.capacity is not None}),
        comparisons=comparisons,
        rankings=rankings(comparisons),
        notes=[
            *(*run.log.notes, *run_notes(run.log), *run.conditions, *([] if run.has_text else [NOT_KEPT])),
            *(*observer_notes(run.log), *_calibration_notes(header)),
        ],
        nodes=nodes_of(header, run.log.segments),
    )


def _calibration_notes(header: Mapping[str, Any]) -> list[str]:
    calibration = calibration_of(header)
    if calibration is None:
        return [_UNCALIBRATED]
    busy = f"calibrated on a busy machine ({calibration.busy_reason}): the instrument's own error may be overstated"
    return [busy] if calibration.busy else []


def _target(run: MeasuredRun, target: Mapping[str, Any]) -> TargetResult:
    name = target["name"]
    answered = run.models_answered(name)
    notes = list(target["notes"])
    others = [model for model in answered if model != target["model"]]
    if others:
        notes.append(f"asked for {target['model']}, answered as {', '.join(others)}")
    levels = [with_answers(run, target, point) for point in run.load_points(name) if run.requests(name, point)]
    levels = with_observed(levels, run, name)
    checks = run.checks(name)
    own, own_notes = server_benchmarks_of(checks)
    tool_calls, skills = tool_calls_of(checks), skills_of(checks)
    # The plan's result has one tool call: the first.
    checked = {"tool_call": tool_calls[0] if tool_calls else None, "skills": list(skills)}
    return TargetResult(
        name=name,
        dialect=target["dialect"],
        base_url=target["base_url"],
        server=target["server"] | ({"card": target["card"]} if target.get("card") else {}),
        model=target["model"],
        models_answered=answered,
        notes=notes + own_notes,
        levels=levels,
        capacity=capacity_of(run, name),
        cache=cache_of(run.beside(name, "probe")),
        hypothesis=_hypothesis(target),
        tool_calls=tool_calls,
        skills=skills,
        server_benchmarks=own,
        benchmark=_benchmark(run, target, levels[0], checked) if levels else None,
    )


def _hypothesis(target: Mapping[str, Any]) -> Hypothesis | None:
    """What was expected before the run; of what this version cannot read, nothing."""
    try:
        return Hypothesis.model_validate(target["hypothesis"]) if target.get("hypothesis") else None
    except ValidationError:
        return None


def _benchmark(
    run: MeasuredRun, target: Mapping[str, Any], level: LevelResult, checked: Mapping[str, Any]
) -> BenchmarkResult:
    """The plan's result of this target, from its lowest level, with what came of its checks."""
    good = where(run.requests(target["name"], level.load_point), lambda one: one.measured and one.ok)
    host, server = run.header["host"], target["server"]
    chip = host.get("chip") or "unknown chip"
    memory = host.get("memory_gb")
    return BenchmarkResult(
        model_id=target["model"],
        backend=target["dialect"],
        timestamp=run.header["started_at"],
        status="ok" if len(good) >= FEWEST_RUNS else "insufficient_data",
        hardware=f"{chip}, {memory:g} GB" if memory else chip,
        lmx_version=server.get("version") if server.get("product") == "opta-lmx" else None,
        prompt_preview=(run.header.get("prompt_preview") or "")[:100],
        stats=_run_stats(good, target, level).model_copy(update=checked),
    )


def _run_stats(good: Sequence[Record], target: Mapping[str, Any], level: LevelResult) -> BenchmarkRunStats:
    """Under two answers there is the text of one at most, and no statistic."""
    warmups = level.requests.warmup
    if not good:
        return BenchmarkRunStats(runs_completed=0, warmup_runs_discarded=warmups)
    basis = basis_of(target, good)
    text = _text_stats(good[0], basis, rules_of(target))
    if len(good) < 2:
        return BenchmarkRunStats(runs_completed=len(good), warmup_runs_discarded=warmups, **text)
    ttft, rate = level.metrics["ttft"], level.metrics["decode_tok_s"]
    return BenchmarkRunStats(
        ttft_p50_sec=ttft.p50,
        ttft_p95_sec=ttft.p95,
        ttft_mean_sec=ttft.mean,
        toks_per_sec_p50=rate.p50,
        toks_per_sec_p95=rate.p95,
        toks_per_sec_mean=rate.mean,
        prompt_tokens=mean_count(prompt_tokens(record, basis) for record in good),
        output_tokens=mean_count(output_tokens(record, basis) for record in good),
        runs_completed=len(good),
        warmup_runs_discarded=warmups,
        **text,
    )


def _text_stats(answer: Record, basis: Basis, rules: StreamRules) -> dict[str, Any]:
    """What there is to say of one answer's text, in the plan's words."""
    count = generated_tokens(answer, basis)
    natural = completed_naturally(answer, count, basis, rules)
    return {
        "output_text": kept_text(answer.line),
        "output_token_count": output_tokens(answer, basis),
        "completed_naturally": natural,
        "repetition_ratio": answer.shape.repetition_ratio,
        "coherence_flag": coherence_of(answer, natural, count),
    }
