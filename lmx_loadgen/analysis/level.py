"""One level of one target in figures: which answers count, on which token basis, and what they say."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from lmx_loadgen.analysis import conditions, instrument_error
from lmx_loadgen.analysis.answer_notes import answer_notes
from lmx_loadgen.analysis.metrics import METRICS, Metric, chunk_gaps
from lmx_loadgen.analysis.records import Record, in_steady_or_all, records
from lmx_loadgen.analysis.stats import PERCENTILES, Description, clustered_interval, describe, known
from lmx_loadgen.analysis.tokens import Basis, choose_basis
from lmx_loadgen.analysis.window import Window, level_metrics, little_note, window_of
from lmx_loadgen.decode.chat import StreamRules
from lmx_loadgen.store.calibration import Calibration
from lmx_loadgen.store.eventlog import LogContents
from lmx_loadgen.store.result import (
    ErrorCount,
    LevelResult,
    MetricResult,
    RequestCounts,
    TokenCounts,
    TokenSums,
    WindowResult,
    Witness,
)
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.carded import rules_by

# How an answer ended whose server did not say.
UNKNOWN = "unknown"
_MANY_COALESCED = 0.5


def level_at(log: LogContents, target: Mapping[str, Any], concurrency: int) -> LevelResult:
    """The level of a target that was measured at this concurrency."""
    number = next(
        segment["level"]
        for segment in log.header["plan"]
        if segment["target"] == target["name"] and segment["concurrency"] == concurrency
    )
    lines = [line for line in log.requests if line["target"] == target["name"] and line["level"] == number]
    return level_result(log, target, number, records(lines))


def level_result(log: LogContents, target: Mapping[str, Any], number: int, of_level: Sequence[Record]) -> LevelResult:
    """A level out of all its requests, warm-ups included."""
    profile = log.header["profile"]
    planned = [segment for segment in log.header["plan"] if segment["target"] == target["name"]]
    concurrency = next(segment["concurrency"] for segment in planned if segment["level"] == number)
    segments = [line for line in log.segments if line["target"] == target["name"] and line["level"] == number]
    measured = [record for record in of_level if record.measured]
    chosen, sample = _sample(measured, concurrency)
    basis = basis_of(target, chosen)
    window = window_of(segments)
    failed = [record for record in measured if record.outcome not in ("ok", "cancelled")]
    beside = sum(in_steady_or_all(concurrency, record.first_wave, sample) for record in failed)
    wanted = sum(1 for segment in planned if segment["level"] == number)
    metrics = _metrics(chosen, beside, basis, profile, level_metrics(window, measured, basis, profile))
    load = instrument_error.load_of(concurrency, metrics, measured, window.seconds)
    calibration = calibration_of(log.header)
    metrics = instrument_error.with_errors(calibration, load, metrics)
    seen = instrument_error.witness(calibration, load, measured, segments)
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
        finish_reasons=dict(sorted(Counter(record.finish_reason or UNKNOWN for record in chosen).items())),
        complete=len(segments) >= wanted and not any(line["stopped"] for line in segments),
        witness=seen,
        tainted=instrument_error.taints(metrics, seen) + conditions.taints(log, segments),
        notes=_notes(measured, chosen, sample, basis, window, target)
        + _calibration_notes(seen)
        + _stop_notes(segments),
    )


def calibration_of(header: Mapping[str, Any]) -> Calibration | None:
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


def _stop_notes(segments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why the level was given up, where it was."""
    return [f"stopped early: {line['stopped']}" for line in segments if line["stopped"] not in (None, "interrupted")]


def _sample(measured: Sequence[Record], concurrency: int) -> tuple[list[Record], Any]:
    """The answers that latencies are taken from: those sent under full load where there are enough of them."""
    ok = [record for record in measured if record.ok]
    after_first = [record for record in ok if not record.first_wave]
    if not ok:
        return [], "none"
    if concurrency == 1:
        return ok, "steady"
    return (after_first, "steady") if len(after_first) >= concurrency else (ok, "all")


def rules_of(target: Mapping[str, Any]) -> StreamRules:
    """What a target's streams mean; of a server that this version does not know, nothing is taken for exact."""
    dialect = DIALECTS.get(target["dialect"])
    if dialect is None:
        return StreamRules(False, False, finish_reason_exact=False)
    return rules_by(dialect.rules, target.get("card"))


def basis_of(target: Mapping[str, Any], answers: Sequence[Record], *, tokenizer: bool = True) -> Basis:
    """The token basis of a target's answers, by what its server's counts are worth."""
    rules = rules_of(target)
    return choose_basis(
        answers,
        usage_output_exact=rules.usage_output_exact,
        usage_prompt_exact=rules.usage_prompt_exact,
        tokenizer=tokenizer,
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
    found = describe(known(values), failed=0 if metric.unit == "tokens" else failed, better=metric.better)
    without = [record for record, value in zip(chosen, values, strict=True) if value is None]
    return _with_reason(found, Counter(metric.reason(record, basis) for record in without))


def _describe_gaps(metric: Metric, chosen: Sequence[Record]) -> Description:
    """All gaps of all answers together; those of one answer are no independent samples."""
    gaps = [chunk_gaps(record) for record in chosen]
    found = describe([gap for of_answer in gaps for gap in of_answer])
    found = replace(found, ci95=clustered_interval(gaps))
    return _with_reason(found, Counter(metric.undefined for of_answer in gaps if not of_answer))


def _with_reason(found: Description, without: Counter[str]) -> Description:
    """Say why answers have no value: how many for which reason."""
    if not without:
        return found
    if not found.n:
        return replace(found, reason=f"no answer has a value: {', or '.join(without)}")
    words = "; ".join(
        f"{count} of the answers {'have' if count > 1 else 'has'} no value: {reason}"
        for reason, count in without.items()
    )
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
    return sum(known(values)) if values and None not in values else None


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
            "rates are of chunks, which may hold several tokens"
        )
    reads = sum(len(record.text_reads) for record in chosen)
    shared = sum(1 for record in chosen for _, events in record.text_reads if events > 1)
    if reads and shared / reads > _MANY_COALESCED:
        notes.append(f"{shared / reads:.0%} of the reads that brought text brought several events at once")
    if again := sum(record.reconnected for record in measured):
        notes.append(
            f"sent again, since the connection closed before an answer began (it had run out, or the server failed): "
            f"{again} of {len(measured)} requests"
        )
    if (little := little_note(window, measured)) is not None:
        notes.append(little)
    good = [record for record in measured if record.ok]
    return notes + answer_notes(good, basis, usage_exact=rules_of(target).usage_output_exact)
