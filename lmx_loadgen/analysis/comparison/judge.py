"""From both sides' blocks to verdicts: estimate, correct for many tests, judge, ask for other causes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from lmx_loadgen.analysis.comparison import drift, verdict
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Block, Compared
from lmx_loadgen.analysis.comparison.carry_over import CarryOver, words_of
from lmx_loadgen.analysis.comparison.families import Allotment, allotted
from lmx_loadgen.analysis.comparison.looks import Look
from lmx_loadgen.analysis.comparison.shift import Shift, log_value, quantum, shares, shift_between
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.store.comparison import BlockValue, Drift, MetricComparison, ReasonCode

_FEW = "fewer than three blocks of both sides have a value"
_NO_VALUE = "one of the two runs has no value"
UNREPLICATED = "two runs are one observation each, and the scatter between runs is unknown"
CHANCE: Allotment = Allotment(verdict.ALPHA, verdict.ALPHA, 1.0)


@dataclass(frozen=True)
class LevelBlocks:
    """What is known of one level: the blocks of A and of B (or their runs, a block each), why figures are refused (a
    code and a sentence by name), which look at growing data this is, what blocks leave behind by figure, and values of
    other runs, a group each, that tell by figure how far runs lie apart."""

    blocks: tuple[Sequence[Block], Sequence[Block]]
    refusals: Mapping[str, tuple[ReasonCode, str]] = field(default_factory=dict)
    look: Look | None = None
    carry_over: Mapping[str, CarryOver] = field(default_factory=dict)
    scatter: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """How to judge. Blocks are paired where both sides took turns; else each is a run. `starts` are the Unix seconds at
    which the sides' runs began; `comparisons` counts the levels of all targets, also those judged elsewhere or still to
    come; `is_final` adds what only a reader of the result needs."""

    is_paired: bool
    margin: float = verdict.MARGIN
    comparisons: int | None = None
    starts: tuple[float, float] = (0.0, 0.0)
    labels: tuple[str, str] = ("A", "B")
    is_final: bool = True


@dataclass
class _Figure:
    """A figure of a level on its way to a verdict."""

    compared: Compared
    level: LevelBlocks
    blocks: tuple[list[Block], list[Block]]
    refused: tuple[ReasonCode, str] | None
    shifts: list[Shift] = field(default_factory=list)
    estimate: verdict.Estimate | None = None
    difference: Allotment = CHANCE
    equivalence: Allotment = CHANCE

    def nominal(self, alpha: float) -> float:
        """What a test at this look is held against where all looks may spend `alpha`."""
        return self.level.look.nominal(alpha) if self.level.look is not None else alpha

    def overall(self, p: float) -> float:
        return self.level.look.overall(p) if self.level.look is not None else p


def judge(levels: Sequence[LevelBlocks], options: JudgeOptions) -> list[dict[str, MetricComparison]]:
    """The verdict on B of every figure at every level, corrected for all of them together."""
    figures = [{name: _figure(level, one, options.is_paired) for name, one in COMPARED.items()} for level in levels]
    tested = {f"{place}/{name}": one for place, of in enumerate(figures) for name, one in of.items() if one.estimate}
    differences, equivalences = {}, {}
    for key, one in tested.items():
        assert one.estimate is not None
        differences[key] = one.overall(one.estimate.p)
        # Two one-sided tests at α go with the two-sided 1 − 2 α interval.
        equivalences[key] = one.overall(min(1.0, 2 * one.estimate.p_equivalence(options.margin))) / 2
    comparisons = max(options.comparisons or 0, len(levels))
    for key, allotment in _allotted(differences, tested, comparisons).items():
        tested[key].difference = allotment
    for key, allotment in _allotted(equivalences, tested, comparisons).items():
        tested[key].equivalence = allotment
    return [{name: _judged(one, options) for name, one in of_level.items()} for of_level in figures]


def _allotted(ps: Mapping[str, float], tested: Mapping[str, _Figure], comparisons: int) -> dict[str, Allotment]:
    primary = {key: p for key, p in ps.items() if tested[key].compared.is_primary}
    secondary = {key: p for key, p in ps.items() if key not in primary}
    firsts = sum(one.is_primary for one in COMPARED.values())
    sizes = firsts * comparisons, (len(COMPARED) - firsts) * comparisons
    return allotted(primary, secondary, sizes, verdict.ALPHA)


def _figure(level: LevelBlocks, compared: Compared, is_paired: bool) -> _Figure:
    blocks = _with_values(level.blocks, compared, is_paired)
    figure = _Figure(compared, level, blocks, level.refusals.get(compared.name))
    if figure.refused is None and min(map(len, blocks)) < (verdict.FEWEST if is_paired else 1):
        figure.refused = ("few_blocks", _FEW if is_paired else _NO_VALUE)
    if figure.refused is None and is_paired:
        figure.shifts = [one for pair in zip(*blocks, strict=True) if (one := shift_between(*pair, compared))]
        if len(figure.shifts) < verdict.FEWEST:
            figure.refused = ("few_blocks", _FEW)
        else:
            figure.estimate = verdict.paired([one.log for one in figure.shifts])
    elif figure.refused is None:
        figure.estimate = verdict.between_runs(*run_logs(blocks, compared), level.scatter.get(compared.name, ()))
    if figure.estimate is not None:
        floor = max(quantum(side, compared) for side in blocks)
        figure.estimate = figure.estimate.with_floor(floor)
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


def run_logs(blocks: tuple[Sequence[Block], Sequence[Block]], compared: Compared) -> tuple[list[float], list[float]]:
    """The values of runs, a logarithm each."""
    a, b = ([log for run in side if (log := log_value(run, compared)) is not None] for side in blocks)
    return a, b


def _judged(figure: _Figure, options: JudgeOptions) -> MetricComparison:
    metric = METRICS[figure.compared.metric]
    result = MetricComparison(title=metric.title, unit=metric.unit, better=metric.better, verdict="refused")
    if figure.refused is not None:
        result.reason_code, result.reason = figure.refused
        return result
    result.a, result.b = (median(known) for known in ([block.value(figure.compared) or 0.0 for block in side]
                                                      for side in figure.blocks))  # fmt: skip
    result.weights = shares(figure.shifts)
    if figure.estimate is None:
        logs = run_logs(figure.blocks, figure.compared)
        result.n, result.ratio = min(map(len, logs)), math.exp(median(logs[1]) - median(logs[0]))
        result.verdict, result.reason_code, result.reason = "undecided", "unreplicated", UNREPLICATED
    else:
        _decide(result, figure, figure.estimate, options)
    if options.is_final:
        _add_details(result, figure, options)
    return result


def _decide(result: MetricComparison, figure: _Figure, estimate: verdict.Estimate, options: JudgeOptions) -> None:
    """The verdict and the interval that goes with it: that of `better` or `worse` leaves out 1, that of `equivalent`
    is within the margin, and that of `undecided` is neither.

    Intervals at the levels of Holm's later steps do not hold all together. They are those of the first step
    (Bonferroni), but where a difference is certain they never reach over to 1 (after Strassburger and Bretz, Stat. Med.
    27, 2008, and Guilbaud, Biom. J. 50, 2008).
    """
    result.n, result.ratio = estimate.n, estimate.ratio
    result.p, result.p_holm = estimate.p, figure.difference.p_adjusted
    result.ci95_single = estimate.interval(figure.nominal(verdict.ALPHA))
    single, apart = (figure.nominal(of) for of in (figure.difference.single_step, figure.difference.alpha))
    alike = figure.nominal(2 * figure.equivalence.alpha)
    if figure.equivalence.p_adjusted <= verdict.ALPHA:
        result.verdict, result.ci95 = "equivalent", estimate.equivalence_interval(alike / 2)
    elif figure.difference.p_adjusted <= verdict.ALPHA:
        result.verdict = "better" if (estimate.mean > 0) == figure.compared.higher_is_better else "worse"
        result.ci95 = _beside_1(estimate.interval(single), estimate.interval(apart))
    else:
        result.verdict, result.ci95 = "undecided", estimate.interval(min(single, alike))
    if options.is_paired:
        _ask_what_else(result, figure, estimate, options)
    if result.verdict == "undecided" and result.reason_code is None:
        result.reason_code = "chance"
        result.more_blocks = verdict.more_blocks(
            estimate, margin=options.margin, alpha=apart, alpha_equivalence=alike / 2
        )
        result.reason = _needed(result.more_blocks, "block" if options.is_paired else "run")


def _beside_1(wide: tuple[float, float], narrow: tuple[float, float]) -> tuple[float, float]:
    """The wide interval, cut off where it reaches over to 1 at the edge of the narrow one, which does not."""
    return (narrow[0] if wide[0] <= 1 < narrow[0] else wide[0]), (narrow[1] if narrow[1] < 1 <= wide[1] else wide[1])


def _ask_what_else(
    result: MetricComparison, figure: _Figure, estimate: verdict.Estimate, options: JudgeOptions
) -> None:
    """Take back a verdict that a drift or a carry-over explains as well, and let it be the reason. The interval then
    covers what it may have done."""
    change = drift.change_over_blocks([one.log for one in figure.shifts])
    if change is not None:
        result.drift = _drift(change)
        if change.is_real and abs(change.change) > max(math.log(1 + options.margin), abs(estimate.mean)):
            percents = percent(abs(math.expm1(change.change)))
            words = (
                f"the ratio of the two changed by {percents} while it was measured, which may be all of the difference"
            )
            _take_back(result, "drift", words, change.change)
    carried = figure.level.carry_over.get(figure.compared.name)
    if carried is not None and abs(carried.effect) >= abs(estimate.mean) and result.reason_code is None:
        words = f"{words_of(carried, options.labels)}, which may be all of the difference"
        _take_back(result, "carry_over", words, carried.effect)


def _take_back(result: MetricComparison, code: ReasonCode, words: str, change: float) -> None:
    assert result.ci95 is not None
    result.verdict, result.reason_code, result.reason = "undecided", code, words
    result.ci95 = result.ci95[0] * math.exp(-abs(change)), result.ci95[1] * math.exp(abs(change))


def _needed(more: int | None, what: str) -> str:
    if more is None:
        return f"more than {verdict.MOST_MORE} further {what}s of each would be needed"
    return f"about {more} more {what}{'s' if more > 1 else ''} of each would make it conclusive"


def _add_details(result: MetricComparison, figure: _Figure, options: JudgeOptions) -> None:
    """What only a reader needs: each block's value, and how each side changed by itself."""
    result.blocks_a, result.blocks_b = (
        _block_values(side, figure.compared, start) for side, start in zip(figure.blocks, options.starts, strict=True)
    )
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
