"""From two sides' blocks to a verdict on each figure: estimate, correct for many tests, judge, ask for drift."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from lmx_loadgen.analysis.comparison import drift, verdict
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Block, Compared
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.store.comparison import BlockValue, Drift, MetricComparison

_FEW = "fewer than three blocks of both sides have a value"


@dataclass(frozen=True)
class LevelBlocks:
    """What is known of one level: the blocks of A and of B, why figures are refused (by name), and how much of the
    5 % a verdict here may spend."""

    blocks: tuple[Sequence[Block], Sequence[Block]]
    refusals: Mapping[str, str] = field(default_factory=dict)
    alpha: float = verdict.ALPHA


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """How to judge. `starts` are the Unix seconds at which the sides' runs began; `family` counts tests that are made
    elsewhere or are still to come; `is_final` adds what only a reader of the result needs."""

    is_paired: bool
    margin: float = verdict.MARGIN
    family: int | None = None
    starts: tuple[float, float] = (0.0, 0.0)
    is_final: bool = True


@dataclass
class _Figure:
    """A figure of a level on its way to a verdict."""

    compared: Compared
    alpha: float
    blocks: tuple[list[Block], list[Block]]
    refused: str | None
    estimate: verdict.Estimate | None = None
    p_adjusted: float = 1.0

    @property
    def logs(self) -> tuple[list[float], list[float]]:
        a, b = ([math.log(block.value(self.compared) or 1.0) for block in arm] for arm in self.blocks)
        return a, b

    @property
    def times(self) -> tuple[list[float], list[float]]:
        a, b = ([block.at_s for block in arm] for arm in self.blocks)
        return a, b


def judge(levels: Sequence[LevelBlocks], options: JudgeOptions) -> list[dict[str, MetricComparison]]:
    """The verdict on B of every figure at every level, corrected for all of them together (Holm)."""
    figures = [{name: _figure(level, one, options.is_paired) for name, one in COMPARED.items()} for level in levels]
    tested = {
        f"{place}/{name}": one
        for place, of_level in enumerate(figures)
        for name, one in of_level.items()
        if one.estimate is not None
    }
    ps = {key: one.estimate.p * verdict.ALPHA / one.alpha for key, one in tested.items() if one.estimate is not None}
    for key, p in verdict.holm(ps, options.family).items():
        tested[key].p_adjusted = p
    family = max(options.family or 0, len(tested))
    return [{name: _judged(one, options, family) for name, one in of_level.items()} for of_level in figures]


def _figure(level: LevelBlocks, compared: Compared, is_paired: bool) -> _Figure:
    blocks = _with_values(level.blocks, compared, is_paired)
    figure = _Figure(compared, level.alpha, blocks, level.refusals.get(compared.name))
    if figure.refused is None and min(len(arm) for arm in blocks) < verdict.FEWEST:
        figure.refused = _FEW
    if figure.refused is None:
        figure.estimate = (verdict.paired if is_paired else verdict.unpaired)(*figure.logs)
    return figure


def _with_values(
    blocks: tuple[Sequence[Block], Sequence[Block]], compared: Compared, is_paired: bool
) -> tuple[list[Block], list[Block]]:
    """The blocks that have a value; where they are paired, only whole pairs."""
    kept = [[block for block in arm if block.value(compared) is not None] for arm in blocks]
    if is_paired:
        both = {block.number for block in kept[0]} & {block.number for block in kept[1]}
        kept = [[block for block in arm if block.number in both] for arm in kept]
    return kept[0], kept[1]


def _judged(figure: _Figure, options: JudgeOptions, family: int) -> MetricComparison:
    metric, estimate = METRICS[figure.compared.metric], figure.estimate
    result = MetricComparison(title=metric.title, unit=metric.unit, better=metric.better, verdict="refused")
    if estimate is None:
        result.reason = figure.refused
        return result
    result.n, result.ratio, result.ci95 = estimate.n, estimate.ratio, estimate.interval(figure.alpha)
    result.p, result.p_holm = estimate.p, figure.p_adjusted
    result.a, result.b = (math.exp(fmean(arm)) for arm in figure.logs)
    result.verdict = verdict.judged(
        estimate,
        result.ci95,
        figure.p_adjusted,
        margin=options.margin,
        higher_is_better=figure.compared.higher_is_better,
    )
    _apply_drift_test(result, figure, estimate, options)
    if result.verdict == "undecided" and result.reason is None:
        result.more_blocks = verdict.more_blocks(estimate, margin=options.margin, alpha=figure.alpha, family=family)
        result.reason = _blocks_needed(result.more_blocks)
    if options.is_final:
        result.bootstrap95 = _bootstrap(figure, options.is_paired)
        result.blocks_a, result.blocks_b = (
            _block_values(arm, figure.compared, start) for arm, start in zip(figure.blocks, options.starts, strict=True)
        )
    return result


@dataclass(frozen=True, slots=True)
class _DriftFinding:
    """A trend, by how much it may have moved the difference (a logarithm), and that in words."""

    trend: drift.Trend
    change: float
    words: str


def _apply_drift_test(
    result: MetricComparison, figure: _Figure, estimate: verdict.Estimate, options: JudgeOptions
) -> None:
    """Take back a verdict that a trend explains as well; where there is none, let it be the reason why."""
    (times_a, times_b), (logs_a, logs_b) = figure.times, figure.logs
    of_each = drift.trend(times_a, logs_a), drift.trend(times_b, logs_b)
    result.drift_a, result.drift_b = (_drift(one, one.change) if one else None for one in of_each)
    findings = _ratio_drift(figure) if options.is_paired else _run_drifts(figure, of_each)
    if findings:
        result.drift = _drift(findings[0].trend, findings[0].change)
    certain = abs(estimate.mean) if options.is_paired else _certain_difference(estimate)
    for one in findings:
        if one.trend.is_real and abs(one.change) > math.log(1 + options.margin) and abs(one.change) >= certain:
            result.verdict, result.drifted = "undecided", True
            change = percent(abs(math.expm1(one.change)))
            result.reason = f"{one.words.format(change)}, which may be all of the difference"
            return


def _ratio_drift(figure: _Figure) -> list[_DriftFinding]:
    """In one session only the pairs' ratio matters: what changes both alike has cancelled out."""
    (times, _), (logs_a, logs_b) = figure.times, figure.logs
    trend = drift.trend(times, [b - a for a, b in zip(logs_a, logs_b, strict=True)])
    words = "the ratio of the two changed by {} while it was measured"
    return [_DriftFinding(trend, trend.change, words)] if trend is not None else []


def _run_drifts(figure: _Figure, of_each: Sequence[drift.Trend | None]) -> list[_DriftFinding]:
    """Of two runs: a trend common to both, carried from the middle of one to the middle of the other; and that of each
    alone, since a machine that heats up in the first run is hot, and steady, in all of the second."""
    (times_a, times_b), (logs_a, logs_b) = figure.times, figure.logs
    found = []
    if (trend := drift.shared_trend([(times_a, logs_a), (times_b, logs_b)])) is not None:
        distance_s = abs(sum(times_b) / len(times_b) - sum(times_a) / len(times_a))
        words = "both runs drifted, by {} from the middle of one to that of the other"
        found.append(_DriftFinding(trend, trend.slope * min(distance_s, trend.span_s), words))
    words = "one of the two runs changed by {} while it was measured"
    return found + [_DriftFinding(one, one.change, words) for one in of_each if one is not None]


def _certain_difference(estimate: verdict.Estimate) -> float:
    """The difference that is certain: the end of the interval that is nearer to none, as a logarithm."""
    low, high = (math.log(edge) for edge in estimate.interval(verdict.ALPHA))
    return min(abs(low), abs(high)) if (low > 0) == (high > 0) else 0.0


def _drift(trend: drift.Trend, change: float) -> Drift:
    return Drift(p=trend.p, change=math.exp(change))


def _blocks_needed(more: int | None) -> str:
    if more is None:
        return f"over {verdict.MOST_MORE} more blocks of each would be needed to settle it"
    return f"about {more} more block{'s' if more > 1 else ''} of each would settle it"


def _block_values(blocks: Sequence[Block], compared: Compared, start: float) -> list[BlockValue]:
    return [
        BlockValue(block=block.number, at_s=block.at_s - start, value=value)
        for block in blocks
        if (value := block.value(compared)) is not None
    ]


def _bootstrap(figure: _Figure, is_paired: bool) -> tuple[float, float] | None:
    a, b = figure.blocks
    pools = [_pool(arm, figure.compared) for arm in (a, b)]

    def log_ratio(from_a: Sequence[int], from_b: Sequence[int]) -> float | None:
        values = [pool(drawn) for pool, drawn in zip(pools, (from_a, from_b), strict=True)]
        return math.log(values[1] / values[0]) if values[0] > 0 and values[1] > 0 else None

    return verdict.bootstrap(log_ratio, len(a), len(b), is_paired=is_paired, seed=len(a))


def _pool(blocks: Sequence[Block], compared: Compared) -> Callable[[Sequence[int]], float]:
    """A function from a draw of blocks to the figure over all that is in them."""
    import numpy as np

    if compared.statistic == "rate":
        rates = np.array([block.rates[compared.metric] for block in blocks])
        amounts, seconds = rates[:, 0] * rates[:, 1], rates[:, 1]
        return lambda drawn: float(amounts[list(drawn)].sum() / seconds[list(drawn)].sum())
    samples = [np.asarray(block.samples[compared.metric]) for block in blocks]
    return lambda drawn: float(np.median(np.concatenate([samples[place] for place in drawn])))
