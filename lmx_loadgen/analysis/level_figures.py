"""The figures of a level's answers, metric by metric: described, and with the errors that this machine made."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmx_loadgen.analysis.error_models import SegmentLoad
from lmx_loadgen.analysis.instrument_error import with_errors
from lmx_loadgen.analysis.metrics import METRICS, Metric, headline
from lmx_loadgen.analysis.own_errors import OwnErrors, own_of
from lmx_loadgen.analysis.record_store import grouped
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.samples import Sample, in_order_sent, samples_of
from lmx_loadgen.analysis.stats import PERCENTILES, Description, describe, interval_within_run
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.analysis.turns import turn_of
from lmx_loadgen.analysis.values import HISTOGRAM_ERROR
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.calibration import Calibration
from lmx_loadgen.store.result import MetricResult

PROMPT_CLASSES = ("short", "medium", "long", "given")


@dataclass(frozen=True)
class LevelFigure:
    """A metric over a level's answers: its figures, and what this run saw of their errors."""

    found: Description
    own: OwnErrors
    is_exact: bool


def figures_of(
    chosen: Sequence[Record],
    basis: Basis,
    profile: Mapping[str, Any],
    failed: int,
    slots: int,
    names: Iterable[str] = METRICS,
) -> dict[str, LevelFigure]:
    """The metrics of requests and of gaps over a level's answers, beside `failed` requests that count as worse. Of each
    slot the first answers say nothing of the scatter."""
    wanted = [METRICS[name] for name in names if METRICS[name].scope != "level"]
    found = {}
    for metric, sample in samples_of(wanted, in_order_sent(chosen), basis, profile):  # one by one: they may be large
        described = _describe(metric, sample, failed, slots)
        found[metric.name] = LevelFigure(described, own_of(sample, metric.better), sample.values.is_exact)
    return {metric.name: found[metric.name] for metric in wanted}


def results_of(
    figures: Mapping[str, LevelFigure], of_level: Mapping[str, Description] | None = None
) -> dict[str, MetricResult]:
    """The figures as a result has them, in their order; or with those of the whole level, in that of all metrics."""
    found = {name: one.found for name, one in figures.items()} | dict(of_level or {})
    names = METRICS if of_level is not None else figures
    return {name: _metric_result(METRICS[name], found[name]) for name in names}


def left_out_of(figures: Mapping[str, LevelFigure]) -> frozenset[int]:
    """The ids of the answers that any figure does without, since this machine delayed them."""
    return frozenset[int]().union(*(one.own.left_out for one in figures.values()))


def with_own_errors(
    figures: Mapping[str, LevelFigure],
    results: Mapping[str, MetricResult],
    calibration: Calibration | None,
    load: SegmentLoad,
    of_level: Mapping[str, Sample] | None = None,
) -> dict[str, MetricResult]:
    """The results with the instrument's error at this load, and with what this run saw of it; `of_level` are the
    samples of figures of the whole level."""
    own = {name: one.own for name, one in figures.items()}
    own |= {name: own_of(sample, METRICS[name].better) for name, sample in (of_level or {}).items()}
    return with_errors(calibration, load, results, own)


def histogram_note(figures: Mapping[str, LevelFigure]) -> list[str]:
    """That percentiles are not exact, where they are not."""
    counted = [METRICS[name].title for name, one in figures.items() if not one.is_exact]
    if not counted:
        return []
    return [f"percentiles of {', '.join(counted)} are within {HISTOGRAM_ERROR:.2%} of the exact ones (a histogram)"]


# What is given by prompt class too: a figure over a mixture of lengths is one that no request had.
_OF_CLASS = ("ttft", "prompt_tok_s", "decode_tok_s", "e2e")


def class_figures(
    chosen: Sequence[Record],
    counted: Sequence[Record],
    basis: Basis,
    profile: Mapping[str, Any],
    slots: int,
    point: LoadPoint,
) -> dict[str, dict[str, LevelFigure]]:
    """The figures of each class of prompts, the shortest first; `counted` are the answers with the failed requests.
    Turns of chats have figures of their own."""
    of_all = grouped(counted, lambda one: one.prompt_class if turn_of(one) is None else None)
    of_chosen = grouped(chosen, lambda one: one.prompt_class)
    names = [name for name in of_all if name is not None]
    wanted = dict.fromkeys((*_OF_CLASS, headline("ttft", point)))
    found = {}
    for name in sorted(names, key=lambda name: (PROMPT_CLASSES.index(name) if name in PROMPT_CLASSES else 9, name)):
        answers = of_chosen.get(name, [])
        failed = len(of_all[name]) - len(answers)
        found[name or "all"] = figures_of(answers, basis, profile, failed, slots, wanted)
    return found


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
