"""From both sides' blocks to verdicts: correct for many tests, judge, ask for other causes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lmx_loadgen.analysis.comparison import drift, verdict
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Block, Compared, Family
from lmx_loadgen.analysis.comparison.by_intervals import IntervalEstimate
from lmx_loadgen.analysis.comparison.carry_over import words_of
from lmx_loadgen.analysis.comparison.families import Allotment, allotted
from lmx_loadgen.analysis.comparison.figure import UNREPLICATED, Figure, LevelBlocks, figure_of, run_logs, title_of
from lmx_loadgen.analysis.comparison.shift import log_value, shares
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.store.comparison import BlockValue, Drift, MetricComparison, ReasonCode

FAMILIES: tuple[Family, ...] = ("primary", "secondary", "tail")


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """How to judge. Blocks are paired where both sides took turns; else each is a run. `starts` are the Unix seconds at
    which the sides' runs began; `comparisons` counts the levels of all targets, also those judged elsewhere or still to
    come; `is_final` adds what only a reader of the result needs. Without tails verdicts on other figures are the same,
    or a little less certain where all tails would be significant."""

    is_paired: bool
    margin: float = verdict.MARGIN
    comparisons: int | None = None
    starts: tuple[float, float] = (0.0, 0.0)
    is_final: bool = True
    with_tails: bool = True


def judge(levels: Sequence[LevelBlocks], options: JudgeOptions) -> list[dict[str, MetricComparison]]:
    """The verdict on B of every figure at every level, corrected for all of them together."""
    compared = [one for one in COMPARED.values() if options.with_tails or one.family != "tail"]
    figures = [
        {one.name: found for one in compared if (found := figure_of(level, one, options.is_paired))} for level in levels
    ]
    tested = {f"{place}/{name}": one for place, of in enumerate(figures) for name, one in of.items() if one.estimate}
    differences, equivalences = {}, {}
    for key, one in tested.items():
        assert one.estimate is not None
        differences[key] = one.overall(one.estimate.p)
        # Two one-sided tests at α go with the two-sided 1 − 2 α interval.
        equivalences[key] = one.overall(min(1.0, 2 * one.estimate.p_equivalence(options.margin))) / 2
    comparisons = max(options.comparisons or 0, len(levels))
    tails = max(map(_tails_at, figures), default=0) if options.with_tails else _count("tail")
    for key, allotment in _allotted(differences, tested, comparisons, tails).items():
        tested[key].difference = allotment
    for key, allotment in _allotted(equivalences, tested, comparisons, tails).items():
        tested[key].equivalence = allotment
    return [{name: _judged(one, options) for name, one in of_level.items()} for of_level in figures]


def _allotted(
    ps: Mapping[str, float], tested: Mapping[str, Figure], comparisons: int, tails: int
) -> dict[str, Allotment]:
    """`tails` is how many figures of the tail a level tests."""
    families = [{key: p for key, p in ps.items() if tested[key].compared.family == family} for family in FAMILIES]
    sizes = (_count("primary"), _count("secondary"), tails)
    return allotted(families, [comparisons * size for size in sizes], verdict.ALPHA)


def _count(family: Family) -> int:
    return sum(one.family == family for one in COMPARED.values())


def _tails_at(figures: Mapping[str, Figure]) -> int:
    """How many figures of the tail a level tests: by its number of requests alone, or, where that grows with what has
    been found so far, all that it may ever test."""
    tails = [one for one in figures.values() if one.compared.family == "tail"]
    return sum(one.estimate is not None or one.level.look is not None for one in tails)


def _judged(figure: Figure, options: JudgeOptions) -> MetricComparison:
    metric = METRICS[figure.compared.metric]
    result = MetricComparison(
        title=title_of(figure.compared), unit=metric.unit, better=metric.better, verdict="refused",
        scale="points" if figure.compared.in_points else "ratio",
    )  # fmt: skip
    if figure.refused is not None:
        result.reason_code, result.reason = figure.refused
        return result
    result.a, result.b = figure.values(options.is_paired)
    result.ci95_a, result.ci95_b = figure.own_intervals(options.is_paired)
    result.weights = shares(figure.shifts)
    if figure.unsupported is not None:
        result.verdict, result.reason_code, result.reason = "undecided", "unsupported", figure.unsupported
        result.n, result.more_blocks = min(map(len, figure.blocks)), figure.more
    elif figure.estimate is None:
        logs = run_logs(figure.blocks, figure.compared)
        result.n = min(map(len, logs))
        _set_change(result, median(logs[1]) - median(logs[0]))
        result.verdict, result.reason_code, result.reason = "undecided", "unreplicated", UNREPLICATED
    else:
        _decide(result, figure, figure.estimate, options)
    if options.is_final:
        _add_details(result, figure, options)
    return result


def _set_change(result: MetricComparison, mean: float) -> None:
    if result.scale == "points":
        result.difference = mean
    else:
        result.ratio = math.exp(mean)


def _decide(
    result: MetricComparison, figure: Figure, estimate: verdict.Estimate | IntervalEstimate, options: JudgeOptions
) -> None:
    """The verdict and the interval that goes with it: that of `better` or `worse` leaves out "no difference", that of
    `equivalent` is within the margin, and that of `undecided` is neither.

    Intervals at the levels of Holm's later steps do not hold all together. They are those of the first step
    (Bonferroni), but where a difference is certain they never reach over to 1 (after Strassburger and Bretz, Stat. Med.
    27, 2008, and Guilbaud, Biom. J. 50, 2008).
    """
    result.n = estimate.n
    _set_change(result, estimate.mean)
    result.p, result.p_holm = estimate.p, figure.difference.p_adjusted
    single, apart = (figure.nominal(of) for of in (figure.difference.single_step, figure.difference.alpha))
    alike = figure.nominal(2 * figure.equivalence.alpha)
    alone, together = estimate.interval_alone(figure.nominal(verdict.ALPHA)), estimate.interval(single)
    result.ci95_single = _bounded((max(alone[0], together[0]), min(alone[1], together[1])), result)
    if figure.equivalence.p_adjusted <= verdict.ALPHA:
        result.verdict, result.ci95 = "equivalent", estimate.equivalence_interval(alike / 2)
    elif figure.difference.p_adjusted <= verdict.ALPHA:
        result.verdict = "better" if (estimate.mean > 0) == figure.compared.higher_is_better else "worse"
        none = 0.0 if figure.compared.in_points else 1.0
        result.ci95 = _beside(none, estimate.interval(single), estimate.interval(apart))
    else:
        result.verdict, result.ci95 = "undecided", estimate.interval(min(single, alike))
    result.ci95 = _bounded(result.ci95, result)
    if options.is_paired:
        _ask_what_else(result, figure, estimate, options)
    if result.verdict == "undecided" and result.reason_code is None:
        result.reason_code = "chance"
        result.more_blocks = estimate.more_blocks(margin=options.margin, alpha=apart, alpha_equivalence=alike / 2)
        result.reason = _needed(result.more_blocks, "block" if options.is_paired else "run")
        if result.ci95 is None:
            words = "too few requests for an interval that holds for all figures together"
            result.reason_code, result.reason = "unsupported", f"{words}; {result.reason}"


def _bounded(interval: tuple[float, float], result: MetricComparison) -> tuple[float, float] | None:
    """The interval; None where the data do not bound it on either side."""
    low, high = interval
    is_bounded = math.isfinite(low) and math.isfinite(high) and (low > 0 or result.scale == "points")
    return interval if is_bounded else None


def _beside(none: float, wide: tuple[float, float], narrow: tuple[float, float]) -> tuple[float, float]:
    """The wide interval, cut off where it reaches over to "no difference" at the edge of the narrow one, which does
    not."""
    low = narrow[0] if wide[0] <= none < narrow[0] else wide[0]
    return low, (narrow[1] if narrow[1] < none <= wide[1] else wide[1])


def _ask_what_else(
    result: MetricComparison, figure: Figure, estimate: verdict.Estimate | IntervalEstimate, options: JudgeOptions
) -> None:
    """Take back a verdict that a drift or a carry-over explains as well, and let it be the reason. The interval then
    covers what it may have done."""
    change = drift.change_over_blocks(figure.series)
    if change is not None:
        if not figure.compared.in_points:
            result.drift = _drift(change)
        most = verdict.room(options.margin, figure.compared.in_points)
        if change.is_real and abs(change.change) > max(most, abs(estimate.mean)):
            percents = percent(abs(change.change if figure.compared.in_points else math.expm1(change.change)))
            what = "difference" if figure.compared.in_points else "ratio"
            words = (
                f"the {what} of the two changed by {percents} while it was measured, which may be all of the difference"
            )
            _take_back(result, "drift", words, change.change)
    carried = figure.level.carry_over.get(_middle_of(figure.compared))
    if carried is not None and abs(carried.effect) >= abs(estimate.mean) and result.reason_code is None:
        words = f"{words_of(carried, figure.level.labels)}, which may be all of the difference"
        _take_back(result, "carry_over", words, carried.effect)


def _middle_of(compared: Compared) -> str:
    """The figure whose shifts between blocks say what was left behind."""
    return compared.name if compared.percent is None else f"{compared.metric}_p50"


def _take_back(result: MetricComparison, code: ReasonCode, words: str, change: float) -> None:
    result.verdict, result.reason_code, result.reason = "undecided", code, words
    if result.ci95 is None:
        return
    low, high = result.ci95
    moved = abs(change)
    in_points = result.scale == "points"
    result.ci95 = (low - moved, high + moved) if in_points else (low * math.exp(-moved), high * math.exp(moved))


def _needed(more: int | None, what: str) -> str:
    if more is None:
        return f"more than {verdict.MOST_MORE} further {what}s of each would be needed"
    return f"about {more} more {what}{'s' if more > 1 else ''} of each would make it conclusive"


def _add_details(result: MetricComparison, figure: Figure, options: JudgeOptions) -> None:
    """What only a reader needs: each block's value, and how each side changed by itself. A percentile of the tail has
    none, a share and a rate of few requests no change."""
    if figure.compared.percent is not None and options.is_paired:
        return
    result.blocks_a, result.blocks_b = (
        _block_values(side, figure.compared, start) for side, start in zip(figure.blocks, options.starts, strict=True)
    )
    if figure.compared.of_slo:
        return
    of_each = [_clearest_change(side, figure.compared) for side in figure.blocks]
    result.drift_a, result.drift_b = (None if one is None else _drift(one) for one in of_each)


def _clearest_change(blocks: Sequence[Block], compared: Compared) -> drift.Change | None:
    logs = [log for block in blocks if (log := log_value(block, compared)) is not None]
    within = [drift.centered(list(block.logs(compared).values())) for block in blocks]
    found = [one for one in (drift.change_over_blocks(logs), drift.change_within_blocks(within)) if one is not None]
    if not found:
        return None
    clearest = min(found, key=lambda one: one.p)
    return drift.Change(clearest.kind, min(1.0, clearest.p * len(found)), clearest.change)


def _drift(change: drift.Change) -> Drift:
    return Drift(p=change.p, change=math.exp(change.change), kind=change.kind)


def _block_values(blocks: Sequence[Block], compared: Compared, start: float) -> list[BlockValue]:
    return [
        BlockValue(block=block.number, at_s=block.at_s - start, value=value)
        for block in blocks
        if (value := block.value(compared)) is not None
    ]
