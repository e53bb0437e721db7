"""From an event log to a result: the same log always gives the same result."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from lmx_loadgen.clock import Anchor
from lmx_loadgen.measure import instrument
from lmx_loadgen.measure.metrics import METRICS, VERSION, Metric, chunk_gaps
from lmx_loadgen.measure.quality import classify_coherence, compute_repetition_ratio
from lmx_loadgen.measure.records import Record, answer_text, in_steady_or_all, records
from lmx_loadgen.measure.stats import PERCENTILES, Description, clustered_interval, describe
from lmx_loadgen.measure.tokens import Basis, choose_basis, output_tokens, prompt_tokens
from lmx_loadgen.measure.window import Window, level_metrics, little_note, window_of
from lmx_loadgen.store.calibration import Calibration
from lmx_loadgen.store.eventlog import LogContents
from lmx_loadgen.store.result import (
    BenchmarkResult,
    BenchmarkRunStats,
    ErrorCount,
    LevelResult,
    MetricResult,
    RequestCounts,
    RunResult,
    TargetResult,
    TokenCounts,
    TokenSums,
    Tool,
    WindowResult,
    Witness,
)
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.wire.chat import StreamRules

_MANY_COALESCED = 0.5
_UNCALIBRATED = "not calibrated: by how much the instrument itself is wrong is not known"


def summarise(log: LogContents) -> RunResult:
    """The result of the run that this log is of."""
    header = log.header
    anchor = Anchor(**header["clock"])
    end = log.end
    return RunResult(
        metrics_version=VERSION,
        tool=Tool(version=header["tool_version"]),
        run_id=header["run_id"],
        started_at=header["started_at"],
        ended_at=anchor.iso(end["end_ns"]) if end else None,
        complete=bool(end and end["complete"]),
        reason=end["reason"] if end else "the run was cut off before it could end",
        host=header["host"],
        versions=header.get("versions", {}),
        profile=header["profile"],
        instrument={"calibration": None, **header["instrument"]},
        targets=[_target(log, target) for target in header["targets"]],
        notes=log.notes + ([] if _calibration(header) else [_UNCALIBRATED]),
    )


def _target(log: LogContents, target: Mapping[str, Any]) -> TargetResult:
    lines = [line for line in log.requests if line["target"] == target["name"]]
    all_records = records(lines)
    levels = []
    for number in sorted({segment["level"] for segment in log.header["plan"] if segment["target"] == target["name"]}):
        of_level = [record for record in all_records if record.level == number]
        if of_level:
            levels.append(_level(log, target, number, of_level))
    answered = sorted({record.model for record in all_records if record.ok and record.model})
    notes = list(target["notes"])
    others = [model for model in answered if model != target["model"]]
    if others:
        notes.append(f"asked for {target['model']}, answered as {', '.join(others)}")
    return TargetResult(
        name=target["name"],
        dialect=target["dialect"],
        base_url=target["base_url"],
        server=target["server"],
        model=target["model"],
        models_answered=answered,
        notes=notes,
        levels=levels,
        benchmark=_benchmark(log, target, lines, levels[0]) if levels else None,
    )


def _level(log: LogContents, target: Mapping[str, Any], number: int, of_level: Sequence[Record]) -> LevelResult:
    profile = log.header["profile"]
    planned = [segment for segment in log.header["plan"] if segment["target"] == target["name"]]
    concurrency = next(segment["concurrency"] for segment in planned if segment["level"] == number)
    segments = [line for line in log.segments if line["target"] == target["name"] and line["level"] == number]
    measured = [record for record in of_level if record.measured]
    chosen, sample = _sample(measured, concurrency)
    basis = _basis(target, chosen)
    window = window_of(segments)
    failed = [record for record in measured if record.outcome not in ("ok", "cancelled")]
    beside = sum(in_steady_or_all(concurrency, record.first_wave, sample) for record in failed)
    wanted = sum(1 for segment in planned if segment["level"] == number)
    metrics = _metrics(chosen, beside, basis, profile, level_metrics(window, measured, basis, profile))
    load = instrument.load_of(concurrency, metrics, measured, window.seconds)
    calibration = _calibration(log.header)
    metrics = instrument.with_errors(calibration, load, metrics)
    seen = instrument.witness(calibration, load, measured, segments)
    return LevelResult(
        level=number,
        concurrency=concurrency,
        requests=_counts(of_level, measured, failed),
        window=WindowResult(seconds=window.seconds or None, segments=len(segments)),
        sample=sample,
        token_basis=basis.kind,
        token_basis_exact=basis.exact,
        tokens=_tokens(chosen),
        metrics=metrics,
        errors=_errors(failed),
        finish_reasons=dict(sorted(Counter(record.finish_reason or "none" for record in chosen).items())),
        complete=len(segments) >= wanted and not any(line["stopped"] for line in segments),
        witness=seen,
        tainted=instrument.taints(metrics, seen),
        notes=_notes(measured, chosen, sample, basis, window, target) + _calibration_notes(seen),
    )


def _calibration(header: Mapping[str, Any]) -> Calibration | None:
    """What the run carries of the calibration it went by."""
    stored = header["instrument"].get("calibration")
    if stored is None:
        return None
    try:
        return Calibration.model_validate(stored)
    except ValidationError:
        return None


def _calibration_notes(seen: Witness) -> list[str]:
    if seen.within_calibration is not False:
        return []
    return ["the load was higher than any that was calibrated: the instrument's own error may be larger than shown"]


def _sample(measured: Sequence[Record], concurrency: int) -> tuple[list[Record], Any]:
    """The answers that latencies are taken from: those sent under full load where there are enough of them."""
    ok = [record for record in measured if record.ok]
    after_first = [record for record in ok if not record.first_wave]
    if not ok:
        return [], "none"
    if concurrency == 1:
        return ok, "steady"
    return (after_first, "steady") if len(after_first) >= concurrency else (ok, "all")


def _basis(target: Mapping[str, Any], chosen: Sequence[Record]) -> Basis:
    dialect = DIALECTS.get(target["dialect"])
    rules = dialect.rules if dialect is not None else StreamRules(False, False)
    return choose_basis(
        chosen, usage_output_exact=rules.usage_output_exact, usage_prompt_exact=rules.usage_prompt_exact
    )


def _counts(of_level: Sequence[Record], measured: Sequence[Record], failed: Sequence[Record]) -> RequestCounts:
    return RequestCounts(
        sent=len(measured),
        ok=sum(1 for record in measured if record.ok),
        failed=len(failed),
        cancelled=sum(1 for record in measured if record.outcome == "cancelled"),
        warmup=len(of_level) - len(measured),
        first_wave=sum(1 for record in measured if record.first_wave),
    )


def _metrics(
    chosen: Sequence[Record],
    failed: int,
    basis: Basis,
    profile: Mapping[str, Any],
    of_level: Mapping[str, Description],
) -> dict[str, MetricResult]:
    results = {}
    for name, metric in METRICS.items():
        if metric.scope == "level":
            description = of_level[name]
        elif metric.scope == "gap":
            description = _describe_gaps(metric, chosen)
        else:
            description = _describe_requests(metric, chosen, failed, basis, profile)
        results[name] = _metric_result(metric, description)
    return results


def _describe_requests(
    metric: Metric, chosen: Sequence[Record], failed: int, basis: Basis, profile: Mapping[str, Any]
) -> Description:
    """A metric's sample of one value an answer. A failed request is worse than any; only of how long answers are it
    says nothing."""
    assert metric.of is not None
    values = [metric.of(record, basis, profile) for record in chosen]
    known = [value for value in values if value is not None]
    found = describe(known, failed=0 if metric.unit == "tokens" else failed, better=metric.better)
    return _with_reason(found, metric, len(values) - len(known))


def _describe_gaps(metric: Metric, chosen: Sequence[Record]) -> Description:
    """All gaps of all answers together; those of one answer are no independent samples."""
    gaps = [chunk_gaps(record) for record in chosen]
    found = describe([gap for of_answer in gaps for gap in of_answer])
    return _with_reason(
        replace(found, ci95=clustered_interval(gaps)), metric, sum(1 for of_answer in gaps if not of_answer)
    )


def _with_reason(found: Description, metric: Metric, without: int) -> Description:
    """Say why answers have no value."""
    if not without:
        return found
    if not found.n:
        return replace(found, reason=f"no answer has a value: {metric.undefined}")
    words = f"{without} of the answers {'have' if without > 1 else 'has'} no value: {metric.undefined}"
    return replace(found, reason=f"{found.reason}; {words}" if found.reason else words)


def _metric_result(metric: Metric, found: Description) -> MetricResult:
    return MetricResult(
        unit=metric.unit,
        better=metric.better,
        n=found.n,
        mean=found.mean,
        ci95=found.ci95,
        min=found.min,
        max=found.max,
        unsupported=list(found.unsupported),
        reason=found.reason,
        **{f"p{p}": found.percentiles.get(p) for p in PERCENTILES},
    )


def _tokens(chosen: Sequence[Record]) -> TokenCounts:
    with_tokenizer = bool(chosen) and all(record.tokenizer_output is not None for record in chosen)
    return TokenCounts(
        usage=TokenSums(
            prompt=_sum([record.usage_prompt for record in chosen]),
            output=_sum([record.usage_output for record in chosen]),
        ),
        events=TokenSums(output=sum(record.text_events for record in chosen)),
        tokenizer=TokenSums(
            prompt=_sum([record.tokenizer_prompt for record in chosen]),
            output=_sum([record.tokenizer_output for record in chosen]),
        )
        if with_tokenizer
        else None,
    )


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _errors(failed: Sequence[Record]) -> list[ErrorCount]:
    kinds = Counter((record.outcome, record.status, record.reason) for record in failed)
    ranked = sorted(kinds.items(), key=lambda item: (-item[1], str(item[0])))
    return [
        ErrorCount(outcome=outcome, status=status, reason=reason, count=count)
        for (outcome, status, reason), count in ranked[:50]
    ]


def _notes(
    measured: Sequence[Record],
    chosen: Sequence[Record],
    sample: str,
    basis: Basis,
    window: Window,
    target: Mapping[str, Any],
) -> list[str]:
    notes = []
    if sample == "all":
        notes.append("too few requests to leave out the first wave: the ramp is included in the latencies")
    if chosen and not basis.exact:
        notes.append(
            f"tokens are counted as text events, since {target['name']} gives no count of tokens to rely on: "
            "rates are of chunks, which may hold several tokens or none"
        )
    reads = sum(len(record.text_reads) for record in chosen)
    shared = sum(1 for record in chosen for _, events in record.text_reads if events > 1)
    if reads and shared / reads > _MANY_COALESCED:
        notes.append(f"{shared / reads:.0%} of the reads that brought text brought several events at once")
    if (little := little_note(window, measured)) is not None:
        notes.append(little)
    return notes


def _benchmark(
    log: LogContents, target: Mapping[str, Any], lines: Sequence[dict[str, Any]], level: LevelResult
) -> BenchmarkResult:
    """The plan's result of this target, from its lowest level."""
    of_level = [line for line in lines if line["level"] == level.level]
    good = [line for line in of_level if line["phase"] == "measured" and line["outcome"] == "ok"]
    host, server = log.header["host"], target["server"]
    chip = host.get("chip") or "unknown chip"
    memory = host.get("memory_gb")
    return BenchmarkResult(
        model_id=target["model"],
        backend=target["dialect"],
        timestamp=log.header["started_at"],
        status="ok" if len(good) >= 2 else "insufficient_data",
        hardware=f"{chip}, {memory:g} GB" if memory else chip,
        lmx_version=server.get("version") if server.get("product") == "opta-lmx" else None,
        prompt_preview=(log.header.get("prompt_preview") or "")[:100],
        stats=_run_stats(good, target, level),
    )


def _run_stats(good: Sequence[dict[str, Any]], target: Mapping[str, Any], level: LevelResult) -> BenchmarkRunStats:
    """Under two answers there is the text of one at most, and no statistic."""
    warmups = level.requests.warmup
    if not good:
        return BenchmarkRunStats(runs_completed=0, warmup_runs_discarded=warmups)
    chosen = records(good)
    basis = _basis(target, chosen)
    text = _text_stats(good[0], output_tokens(chosen[0], basis), basis)
    if len(good) < 2:
        return BenchmarkRunStats(runs_completed=len(good), warmup_runs_discarded=warmups, **text)
    prompts = [tokens for tokens in (prompt_tokens(record, basis) for record in chosen) if tokens is not None]
    outputs = [tokens for tokens in (output_tokens(record, basis) for record in chosen) if tokens is not None]
    ttft, rate = level.metrics["ttft"], level.metrics["decode_tok_s"]
    return BenchmarkRunStats(
        ttft_p50_sec=ttft.p50,
        ttft_p95_sec=ttft.p95,
        ttft_mean_sec=ttft.mean,
        toks_per_sec_p50=rate.p50,
        toks_per_sec_p95=rate.p95,
        toks_per_sec_mean=rate.mean,
        prompt_tokens=round(sum(prompts) / len(prompts)) if prompts else None,
        output_tokens=round(sum(outputs) / len(outputs)) if outputs else None,
        runs_completed=len(good),
        warmup_runs_discarded=warmups,
        **text,
    )


def _text_stats(line: Mapping[str, Any], count: int | None, basis: Basis) -> dict[str, Any]:
    """What there is to say of one answer's text, in the plan's words."""
    text = answer_text(line)
    limit = line["max_tokens"] or 0
    natural = _completed_naturally(line, count, limit, basis)
    return {
        "output_text": text,
        "output_token_count": count,
        "completed_naturally": natural,
        "repetition_ratio": compute_repetition_ratio(text),
        "coherence_flag": classify_coherence(text, bool(natural) or not limit, count or 0, limit),
    }


def _completed_naturally(line: Mapping[str, Any], count: int | None, limit: int, basis: Basis) -> bool | None:
    """Some servers say `stop` when the limit ended the answer; then only an exact count can tell, else None."""
    if line["finish_reason"] == "length":
        return False
    if count is None or not limit:
        return None
    if basis.exact:
        return count < limit
    return True if count < limit // 2 else None
