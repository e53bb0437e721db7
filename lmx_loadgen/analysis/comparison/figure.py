"""One figure of a level on its way to a verdict: what each side has, and by how much they differ as far as is known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from lmx_loadgen.analysis import slo
from lmx_loadgen.analysis.comparison import tails, verdict, within_slo
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Block, Compared
from lmx_loadgen.analysis.comparison.by_intervals import IntervalEstimate
from lmx_loadgen.analysis.comparison.carry_over import CarryOver
from lmx_loadgen.analysis.comparison.families import Allotment
from lmx_loadgen.analysis.comparison.looks import Look
from lmx_loadgen.analysis.comparison.shift import Shift, log_value, quantum, shift_between
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.stats import percentile
from lmx_loadgen.store.comparison import ReasonCode

_FEW = "fewer than three blocks of both sides have a value"
_NO_VALUE = "one of the two runs has no value"
UNREPLICATED = "two runs are one observation each, and the scatter between runs is unknown"
CHANCE: Allotment = Allotment(verdict.ALPHA, verdict.ALPHA, 1.0)

Interval = tuple[float, float]


@dataclass(frozen=True)
class LevelBlocks:
    """What is known of one level: the blocks of A and of B (or their runs, a block each), why figures are refused (a
    code and a sentence by name), which look at growing data this is, what blocks leave behind by figure, values of
    other runs, a group each, that tell by figure how far runs lie apart, and what the sides are called."""

    blocks: tuple[Sequence[Block], Sequence[Block]]
    refusals: Mapping[str, tuple[ReasonCode, str]] = field(default_factory=dict)
    look: Look | None = None
    carry_over: Mapping[str, CarryOver] = field(default_factory=dict)
    scatter: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    labels: tuple[str, str] = ("A", "B")


@dataclass
class Figure:
    """A figure at a level. `refused` and `unsupported` say why there is no estimate, `more` how many more blocks would
    mend the latter. `series` is the difference from round to round, that a drift would show in."""

    compared: Compared
    level: LevelBlocks
    blocks: tuple[list[Block], list[Block]]
    refused: tuple[ReasonCode, str] | None = None
    unsupported: str | None = None
    more: int | None = None
    shifts: list[Shift] = field(default_factory=list)
    series: list[float] = field(default_factory=list)
    estimate: verdict.Estimate | IntervalEstimate | None = None
    difference: Allotment = CHANCE
    equivalence: Allotment = CHANCE

    def nominal(self, alpha: float) -> float:
        """What a test at this look is held against where all looks may spend `alpha`."""
        return self.level.look.nominal(alpha) if self.level.look is not None else alpha

    def overall(self, p: float) -> float:
        return self.level.look.overall(p) if self.level.look is not None else p

    def values(self, is_paired: bool) -> tuple[float | None, float | None]:
        """What is shown of each side: the figure over all of its blocks, or the median of its runs."""
        a, b = (_shown(side, self.compared, is_paired) for side in self.blocks)
        return a, b

    def own_intervals(self, is_paired: bool) -> tuple[Interval | None, Interval | None]:
        """Each side's interval by itself, where it has one."""
        a, b = (_own(side, self.compared, is_paired) if side else None for side in self.blocks)
        return a, b


def figure_of(level: LevelBlocks, compared: Compared, is_paired: bool) -> Figure | None:
    """The figure; None where nobody asked for it: what an SLO counts, where none is set."""
    if compared.of_slo and not any(block.slo for side in level.blocks for block in side):
        return None
    figure = Figure(compared, level, _with_values(level.blocks, compared, is_paired))
    figure.refused = level.refusals.get(compared.name)
    if figure.refused is None and is_paired and min(map(len, figure.blocks)) < verdict.FEWEST:
        figure.refused = ("few_blocks", _FEW)
    if figure.refused is None and compared.percent is not None:
        _ask_support(figure, is_paired)
    if figure.refused is None and figure.unsupported is None and not all(figure.blocks):
        figure.refused = ("few_blocks", _NO_VALUE)
    if figure.refused is None and figure.unsupported is None:
        (_estimate_paired if is_paired else _estimate_runs)(figure)
    if figure.estimate is not None and not compared.of_slo:
        figure.estimate = figure.estimate.with_floor(max(quantum(side, compared) for side in figure.blocks))
    return figure


def _ask_support(figure: Figure, is_paired: bool) -> None:
    """A percentile of the tail needs five requests beyond it on either side; where runs are compared, in each run."""
    compared, sides = figure.compared, figure.level.blocks
    wanted = tails.fewest_wanted(compared)
    if is_paired:
        have = tails.fewest(figure.blocks, compared)
    else:
        have = min((tails.fewest(([block], [block]), compared) for side in sides for block in side), default=0)
    if have < wanted:
        there = "there are" if is_paired else "one of the runs has"
        figure.unsupported = f"{compared.statistic} takes {wanted} requests of each, and {there} {have}"
        rounds = len(figure.blocks[0])
        figure.more = math.ceil(wanted * rounds / have) - rounds if is_paired and have else None


def _estimate_paired(figure: Figure) -> None:
    compared, blocks = figure.compared, figure.blocks
    if compared.percent is not None:
        figure.estimate = tails.tail_estimate(blocks, compared)
        figure.series = _shift_logs(blocks, compared)
        if figure.estimate is None:
            figure.unsupported = f"{compared.statistic} of one side would fall among its failed requests"
    elif compared.statistic == "share":
        figure.estimate = within_slo.share_estimate(blocks)
        figure.series = within_slo.share_differences(blocks)
    elif compared.statistic == "good_rate":
        figure.estimate = within_slo.rate_estimate(blocks, compared)
        if figure.estimate is None:
            figure.unsupported = "one side has no request within the SLO, so that there is no ratio"
    else:
        figure.shifts = [one for pair in zip(*blocks, strict=True) if (one := shift_between(*pair, compared))]
        figure.series = [one.log for one in figure.shifts]
        if len(figure.series) < verdict.FEWEST:
            figure.refused = ("few_blocks", _FEW)
        else:
            figure.estimate = verdict.paired(figure.series)


def _estimate_runs(figure: Figure) -> None:
    compared = figure.compared
    logs = run_logs(figure.blocks, compared)
    if not all(logs):
        figure.unsupported = _NO_VALUE
        return
    found = verdict.between_runs(*logs, figure.level.scatter.get(compared.name, ()))
    figure.estimate = replace(found, in_points=compared.in_points) if found is not None else None


def _shift_logs(blocks: tuple[Sequence[Block], Sequence[Block]], compared: Compared) -> list[float]:
    """Shifts of the same metric's middle: what changed while a tail was measured shows there."""
    middle = next(one for one in COMPARED.values() if one.metric == compared.metric and one.statistic == "median")
    return [found.log for pair in zip(*blocks, strict=True) if (found := shift_between(*pair, middle))]


def _with_values(
    blocks: tuple[Sequence[Block], Sequence[Block]], compared: Compared, is_paired: bool
) -> tuple[list[Block], list[Block]]:
    """The blocks that have a value; where they are paired, only whole pairs."""
    kept = [
        [block for block in side if (block.has(compared) if is_paired else block.value(compared) is not None)]
        for side in blocks
    ]
    if is_paired:
        both = {block.number for block in kept[0]} & {block.number for block in kept[1]}
        kept = [[block for block in side if block.number in both] for side in kept]
    return kept[0], kept[1]


def run_logs(blocks: tuple[Sequence[Block], Sequence[Block]], compared: Compared) -> tuple[list[float], list[float]]:
    """The values of runs, each as a logarithm, or as a share."""
    a, b = ([log for run in side if (log := log_value(run, compared)) is not None] for side in blocks)
    return a, b


def _shown(side: Sequence[Block], compared: Compared, is_paired: bool) -> float | None:
    if is_paired and compared.percent is not None:
        log = tails.tail_of(side, compared).log if side else None
        return None if log is None else math.exp(log)
    if is_paired and compared.of_slo:
        if not side:
            return None
        return within_slo.share_of(side) if compared.in_points else within_slo.rate_of(side, compared)
    if is_paired and side:
        return _rate_of_all(side, compared) if compared.statistic == "rate" else _median_of_all(side, compared)
    values = [value for block in side if (value := block.value(compared)) is not None]
    return median(values) if values else None


def _median_of_all(side: Sequence[Block], compared: Compared) -> float | None:
    """The median over the requests of all blocks, which is that of the level."""
    values, failed = (
        sorted(value for block in side for value in block.values(compared)),
        sum(one.failed for one in side),
    )
    return percentile(values, 50, failed=failed, better=METRICS[compared.metric].better)


def _rate_of_all(side: Sequence[Block], compared: Compared) -> float | None:
    """What arrived in the windows of all blocks, per second of them."""
    seconds = sum(block.seconds for block in side)
    if not seconds:
        return median(block.rates[compared.metric] for block in side)
    return math.fsum(block.rates[compared.metric] * block.seconds for block in side) / seconds


def _own(side: Sequence[Block], compared: Compared, is_paired: bool) -> Interval | None:
    if compared.percent is not None and is_paired:
        return tails.own_edges(side, compared, verdict.ALPHA)
    if compared.in_points:
        return slo.own_interval(within_slo.slo_counts(side), verdict.ALPHA)
    return None


def title_of(compared: Compared) -> str:
    """`TTFT p95`; a median or a rate by its metric's own name."""
    title = METRICS[compared.metric].title
    return f"{title} {compared.statistic}" if compared.percent is not None else title
