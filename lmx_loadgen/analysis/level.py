"""One level of one target in figures: which answers count, on which token basis, and what they say."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from lmx_loadgen.analysis import conditions, instrument_error, slo
from lmx_loadgen.analysis.answer_notes import answer_notes
from lmx_loadgen.analysis.level_figures import (
    class_figures,
    figures_of,
    histogram_note,
    left_out_of,
    results_of,
    with_own_errors,
)
from lmx_loadgen.analysis.open_loop import in_flight_of, open_loop_of, without_latency
from lmx_loadgen.analysis.open_loop import notes_of as open_loop_notes
from lmx_loadgen.analysis.record_store import grouped, joined, where
from lmx_loadgen.analysis.records import Record, in_steady_or_all
from lmx_loadgen.analysis.samples import of_window
from lmx_loadgen.analysis.shapes import length_notes, shape_result
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.analysis.steadiness import BlockCourse, course_of, steadiness_of, throttling_words
from lmx_loadgen.analysis.steadiness import notes_of as steadiness_notes
from lmx_loadgen.analysis.tokens import Basis, choose_basis
from lmx_loadgen.analysis.turns import turn_results
from lmx_loadgen.analysis.window import WINDOW_METRICS, Window, level_metrics, little_note, window_of
from lmx_loadgen.decode.chat import StreamRules
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.calibration import Calibration
from lmx_loadgen.store.lines import ran_to_its_end
from lmx_loadgen.store.log_reader import LogContents
from lmx_loadgen.store.result import (
    ErrorCount,
    LevelResult,
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
    figures = figures_of(chosen, basis, profile, len(counted) - len(chosen), usual)
    metrics = without_latency(results_of(figures, of_level), open_loop)
    load = instrument_error.load_of(in_flight_of(point, measured), metrics, measured, window)
    calibration = calibration_of(log.header)
    rates = {name: of_window(measured, metrics[name].mean, window.seconds) for name in WINDOW_METRICS}
    metrics = with_own_errors(figures, metrics, calibration, load, rates)
    steadiness = _steadiness(log, segments, courses, window, measured, open_loop)
    classes = {
        name: PromptClassResult(
            metrics=without_latency(with_own_errors(of_class, results_of(of_class), calibration, load), open_loop)
        )
        for name, of_class in class_figures(chosen, counted, basis, profile, usual, point).items()
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
        + instrument_error.notes_of(
            seen, left_out_of(figures), sum(record.outcome != "cancelled" for record in measured)
        )
        + histogram_note(figures)
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
