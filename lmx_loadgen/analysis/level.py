"""One level of one target in figures: which answers count, on which token basis, and what they say."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from lmx_loadgen.analysis import conditions, instrument_error, slo
from lmx_loadgen.analysis.answer_notes import answer_notes
from lmx_loadgen.analysis.error_models import SegmentLoad
from lmx_loadgen.analysis.metrics import METRICS, Metric, headline
from lmx_loadgen.analysis.open_loop import in_flight_of, open_loop_of, without_latency
from lmx_loadgen.analysis.open_loop import notes_of as open_loop_notes
from lmx_loadgen.analysis.own_errors import OwnErrors, own_of
from lmx_loadgen.analysis.record_store import grouped, joined, where
from lmx_loadgen.analysis.records import Record, in_steady_or_all
from lmx_loadgen.analysis.samples import Sample, in_order_sent, of_window, samples_of
from lmx_loadgen.analysis.shapes import length_notes, shape_result
from lmx_loadgen.analysis.stats import PERCENTILES, Description, describe, interval_within_run, known
from lmx_loadgen.analysis.steadiness import BlockCourse, course_of, steadiness_of, throttling_words
from lmx_loadgen.analysis.steadiness import notes_of as steadiness_notes
from lmx_loadgen.analysis.tokens import Basis, choose_basis
from lmx_loadgen.analysis.turns import turn_of, turn_results
from lmx_loadgen.analysis.values import HISTOGRAM_ERROR
from lmx_loadgen.analysis.window import WINDOW_METRICS, Window, level_metrics, little_note, window_of
from lmx_loadgen.decode.chat import StreamRules
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.calibration import Calibration
from lmx_loadgen.store.lines import ran_to_its_end
from lmx_loadgen.store.log_reader import LogContents
from lmx_loadgen.store.result import (
    ErrorCount,
    LevelResult,
    MetricResult,
    OpenLoopResult,
    PromptClassResult,
    RequestCounts,
    SteadinessResult,
    TokenCounts,
    TokenSums,
    WindowResult,
)
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.carded import rules_by

PROMPT_CLASSES = ("short", "medium", "long", "given")
# How an answer ended where the server reports no finish reason.
UNKNOWN = "unknown"
_MANY_COALESCED = 0.5


@dataclass(frozen=True)
class MeasuredLevel:
    """What was measured at one load point of one target: the lines of its segments, of which `planned` were to be, and
    all its requests, warm-ups included."""

    target: Mapping[str, Any]
    load_point: LoadPoint
    planned: int
    segments: Sequence[Mapping[str, Any]]
    requests: Sequence[Record]


def level_result(log: LogContents, level: MeasuredLevel) -> LevelResult:
    """The figures of a level."""
    profile, target, segments, point = log.header["profile"], level.target, level.segments, level.load_point
    measured = where(level.requests, lambda one: one.measured)
    chosen, sample = sample_of(measured, point)
    basis = basis_of(target, chosen)
    courses = _courses(chosen, segments, basis, profile)
    cut = frozenset[int]().union(*(one.cut for one in courses.values()))
    chosen = where(chosen, lambda one: one.id not in cut) if cut else chosen
    window = window_of(segments).later({block: one.starts_ns for block, one in courses.items() if one.starts_ns})
    failed = where(measured, lambda one: one.failed)
    open_loop = open_loop_of(point, segments, measured)
    counted = joined([chosen, where(failed, lambda one: in_steady_or_all(one, sample))])
    of_level = level_metrics(window, measured, basis, profile) | {"slo_share": slo.share(counted, basis, profile)}
    usual = math.ceil(of_level["occupancy"].mean or 1) if point.IS_OPEN else point.slots
    figures = _figures(chosen, basis, profile, len(counted) - len(chosen), usual)
    metrics = without_latency(_metrics(figures, of_level), open_loop)
    load = instrument_error.load_of(in_flight_of(point, measured), metrics, measured, window)
    calibration = calibration_of(log.header)
    own = {name: one.own for name, one in figures.items()}
    rates = {name: own_of(of_window(measured, metrics[name].mean, window.seconds), METRICS[name].better)
             for name in WINDOW_METRICS}  # fmt: skip
    metrics = instrument_error.with_errors(calibration, load, metrics, own | rates)
    steadiness = _steadiness(log, segments, courses, window, measured, open_loop)
    classes = {
        name: PromptClassResult(
            metrics=without_latency(
                _class_figures(_figures(answers, basis, profile, lost, usual, point), calibration, load),
                open_loop,
            )
        )
        for name, (answers, lost) in _by_prompt_class(chosen, counted).items()
    }
    seen = instrument_error.witness(calibration, load, measured, segments)
    usage_exact = rules_of(target).usage_prompt_exact
    shape = shape_result(log.header, target["name"], level.load_point, chosen, basis, usage_exact=usage_exact)
    return LevelResult(
        load_point=level.load_point,
        requests=_counts(level.requests, measured, failed),
        window=WindowResult(seconds=window.seconds or None, segments=len(segments)),
        sample=sample,
        token_basis=basis.kind,
        token_basis_exact=basis.exact,
        tokens=_tokens(chosen),
        metrics=metrics,
        by_prompt_class=classes,
        errors=_errors(failed),
        finish_reasons=dict(sorted(Counter(record.finish_reason or UNKNOWN for record in chosen).items())),
        complete=len(segments) >= level.planned and all(map(ran_to_its_end, segments)),
        witness=seen,
        tainted=instrument_error.taints(metrics) + conditions.taints(log, segments),
        notes=_notes(measured, chosen, sample, basis, target)
        + instrument_error.notes_of(seen, own, sum(record.outcome != "cancelled" for record in measured))
        + _histogram_note(figures)
        + open_loop_notes(open_loop)
        + [note for note in steadiness_notes(steadiness) if open_loop is None or note != open_loop.sentence]
        + length_notes(shape, chosen, usage_exact=usage_exact)
        + _stop_notes(segments),
        open_loop=open_loop,
        shape=shape,
        turns=turn_results(point, measured, basis, profile, usage_exact=usage_exact),
        steadiness=steadiness,
    )


def _courses(
    chosen: Sequence[Record], segments: Sequence[Mapping[str, Any]], basis: Basis, profile: Mapping[str, Any]
) -> dict[int, BlockCourse]:
    """How each block of the level went, by its number."""
    by_block = grouped(chosen, lambda one: one.block)
    drains = {line["block"]: line["drain_start_ns"] or line["end_ns"] for line in segments}
    return {block: course_of(mine, drains.get(block, 0), basis, profile) for block, mine in by_block.items()}


def _steadiness(
    log: LogContents,
    segments: Sequence[Mapping[str, Any]],
    courses: Mapping[int, BlockCourse],
    window: Window,
    measured: Sequence[Record],
    open_loop: OpenLoopResult | None,
) -> SteadinessResult | None:
    others = [
        open_loop.sentence if open_loop is not None else None,
        little_note(window, measured),
        throttling_words(log.host, segments),
    ]
    return steadiness_of(courses, segments, known(others))


def calibration_of(header: Mapping[str, Any]) -> Calibration | None:
    """What the run carries of the calibration it went by."""
    stored = header["instrument"].get("calibration")
    if stored is None:
        return None
    try:
        return Calibration.model_validate(stored)
    except ValidationError:
        return None


def _stop_notes(segments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why the level was aborted, if it was. That it was overloaded is in what an open loop says of itself."""
    lines = (line for line in segments if not ran_to_its_end(line) and not _is_interruption(line))
    return list(dict.fromkeys(f"stopped early: {line['stopped']}" for line in lines))


def _is_interruption(line: Mapping[str, Any]) -> bool:
    """Whether the run was only to end. Earlier versions stored no kind, and of an interruption this one word."""
    return bool(line.get("stop_kind", line["stopped"]) == "interrupted")


def sample_of(measured: Sequence[Record], point: LoadPoint) -> tuple[Sequence[Record], Any]:
    """The answers that latencies are taken from: those sent under full load where there are enough of them. An open
    loop has no first wave."""
    ok = where(measured, lambda one: one.ok)
    if not ok:
        return ok, "none"
    if point.IS_OPEN or point.slots == 1:
        return ok, "steady"
    after_first = where(ok, lambda one: not one.first_wave)
    return (after_first, "steady") if len(after_first) >= point.slots else (ok, "all")


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
    dropped = sum(record.outcome == "dropped" for record in measured)
    return RequestCounts(
        sent=len(measured) - dropped,
        ok=sum(1 for record in measured if record.ok),
        failed=len(failed) - dropped,
        dropped=dropped,
        cancelled=sum(1 for record in measured if record.outcome == "cancelled"),
        warmup=len(of_level) - len(measured),
        first_wave=sum(1 for record in measured if record.first_wave),
    )


@dataclass(frozen=True)
class _Figure:
    """A metric over a level's answers: its figures, and what this run saw of their errors."""

    found: Description
    own: OwnErrors
    is_exact: bool


def _figures(
    chosen: Sequence[Record],
    basis: Basis,
    profile: Mapping[str, Any],
    failed: int,
    slots: int,
    of_class: LoadPoint | None = None,
) -> dict[str, _Figure]:
    """The metrics of requests and of gaps, one after the other: samples may be large. `of_class`: only those that are
    given by class of prompt at this load."""
    blocks = in_order_sent(chosen)
    names = METRICS if of_class is None else dict.fromkeys((*_OF_CLASS, headline("ttft", of_class)))
    wanted = [METRICS[name] for name in names if METRICS[name].scope != "level"]
    found = {}
    for metric, sample in samples_of(wanted, blocks, basis, profile):
        described = _describe(metric, sample, failed, slots)
        found[metric.name] = _Figure(described, own_of(sample, metric.better), sample.values.is_exact)
    return {metric.name: found[metric.name] for metric in wanted}


def _metrics(figures: Mapping[str, _Figure], of_level: Mapping[str, Description]) -> dict[str, MetricResult]:
    return {
        name: _metric_result(metric, of_level[name] if name in of_level else figures[name].found)
        for name, metric in METRICS.items()
    }


def _histogram_note(figures: Mapping[str, _Figure]) -> list[str]:
    counted = [METRICS[name].title for name, one in figures.items() if not one.is_exact]
    if not counted:
        return []
    return [f"percentiles of {', '.join(counted)} are within {HISTOGRAM_ERROR:.2%} of the exact ones (a histogram)"]


# What is given by prompt class too: a figure over a mixture of lengths is one that no request had.
_OF_CLASS = ("ttft", "prompt_tok_s", "decode_tok_s", "e2e")


def _by_prompt_class(chosen: Sequence[Record], counted: Sequence[Record]) -> dict[str, tuple[Sequence[Record], int]]:
    """The answers of each class of prompts, the shortest first, and how many of its requests failed. Turns of chats
    have figures of their own."""
    of_all = grouped(counted, lambda one: one.prompt_class if turn_of(one) is None else None)
    of_chosen = grouped(chosen, lambda one: one.prompt_class)
    names = [name for name in of_all if name is not None]
    found = {}
    for name in sorted(names, key=lambda name: (PROMPT_CLASSES.index(name) if name in PROMPT_CLASSES else 9, name)):
        answers = of_chosen.get(name, [])
        found[name or "all"] = answers, len(of_all[name]) - len(answers)
    return found


def _class_figures(
    figures: Mapping[str, _Figure], calibration: Calibration | None, load: SegmentLoad
) -> dict[str, MetricResult]:
    metrics = {name: _metric_result(METRICS[name], one.found) for name, one in figures.items()}
    own = {name: one.own for name, one in figures.items()}
    return instrument_error.with_errors(calibration, load, metrics, own)


def _describe(metric: Metric, sample: Sample, failed: int, slots: int) -> Description:
    """A metric's sample of one value an answer, or of all gaps of all answers together. A failed request is worse than
    any; only of how long answers are, and of gaps, it says nothing."""
    counts_failed = metric.scope == "request" and metric.unit != "tokens"
    found = describe(sample.values, failed=failed if counts_failed else 0, better=metric.better)
    interval = interval_within_run(sample.answers, slots, sample.values.min)
    return _with_reason(replace(found, ci95=interval), metric, sample)


def _with_reason(found: Description, metric: Metric, sample: Sample) -> Description:
    """Say why answers have no value: how many for which reason."""
    left_out = len(sample.left_out)
    if not found.n and sample.undefined:
        return replace(found, reason=f"no answer has a value: {', or '.join(sample.undefined)}")
    words = [found.reason] if found.reason else []
    words += [
        f"{count} of the answers {'have' if count > 1 else 'has'} no value: {reason}"
        for reason, count in sample.undefined.items()
    ]
    if left_out and metric.scope == "request":
        words.append(f"{left_out} answers were delayed by this machine and left out")
    return replace(found, reason="; ".join(words) or None)


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
        **_percentiles(found),
    )


def _percentiles(found: Description) -> dict[str, Any]:
    return {f"p{p}": found.percentiles.get(p) for p in PERCENTILES}


def _tokens(chosen: Sequence[Record]) -> TokenCounts:
    names = ("usage_prompt", "usage_output", "tokenizer_prompt", "tokenizer_output")
    sums: dict[str, int | None] = dict.fromkeys(names, 0 if chosen else None)
    events = 0
    for record in chosen:
        events += record.text_events
        for name in names:
            total, count = sums[name], getattr(record, name)
            sums[name] = None if total is None or count is None else total + count
    by_tokenizer = TokenSums(prompt=sums["tokenizer_prompt"], output=sums["tokenizer_output"])
    return TokenCounts(
        usage=TokenSums(prompt=sums["usage_prompt"], output=sums["usage_output"]),
        events=TokenSums(output=events),
        tokenizer=by_tokenizer if by_tokenizer.output is not None else None,
    )


def _errors(failed: Sequence[Record]) -> list[ErrorCount]:
    kinds = Counter((one.outcome, one.status, one.reason) for one in failed if one.outcome != "dropped")
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
    target: Mapping[str, Any],
) -> list[str]:
    notes = []
    if sample == "all":
        notes.append("too few requests to leave out the first wave: the ramp is included in the latencies")
    if chosen and not basis.exact:
        notes.append(
            f"{target['name']} reports no reliable token count, so rates are in chunks/s (several tokens each)"
        )
    reads = sum(record.read_count for record in chosen)
    shared = sum(record.shared_reads for record in chosen)
    if reads and shared / reads > _MANY_COALESCED:
        notes.append(f"{shared / reads:.0%} of the reads with text held several events")
    if again := sum(record.reconnected for record in measured):
        notes.append(
            f"sent again, since the connection closed before an answer began (it had run out, or the server failed): "
            f"{again} of {len(measured)} requests"
        )
    good = where(measured, lambda one: one.ok)
    return notes + answer_notes(good, basis, usage_exact=rules_of(target).usage_output_exact)
