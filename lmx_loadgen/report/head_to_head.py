"""The page's head-to-head: the forest plot of changes with their intervals, and the blocks over time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from lmx_loadgen.analysis.comparison.sentences import unit_of_change
from lmx_loadgen.analysis.formats import change_interval, milliseconds, percent, rate
from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.report.charts import Chart, Option
from lmx_loadgen.report.comparison_table import VERDICT_TONES, figure_name, shown_verdict, tested
from lmx_loadgen.report.figures import CURVE_HEIGHT
from lmx_loadgen.report.palette import SERIES_COLOURS, SYMBOLS
from lmx_loadgen.report.sanitize import plotly_text
from lmx_loadgen.report.table import Tone
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.comparison import ComparedSide, Comparison, LevelComparison, MetricComparison

MOST = 6  # as many comparisons as a page holds well
_FIRST = ("ttft_p50", "decode_tok_s_p50", "output_tok_s")
_MOST_FIRST = 6
_FARTHEST = 3.0


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One figure: the change from A to B as a place on the axis, its interval as edges, all in per cent of the axis'
    width; None where there is no number. `words` are what stands beside it."""

    name: str
    verdict: str
    tone: Tone
    words: str
    beside: str
    middle: float | None = None
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, slots=True)
class Forest:
    """Rows on one axis: where no change is, the edges of what does not matter, and how far the axis goes."""

    rows: Sequence[ForestRow]
    zero: float
    band: tuple[float, float]
    ends: tuple[str, str]


def of_runs(runs: Sequence[RunView]) -> list[Comparison]:
    """The comparisons that the runs carry, the newest runs' first."""
    ordered = sorted(runs, key=lambda run: run.result.started_at, reverse=True)
    return [one for run in ordered for one in run.result.comparisons]


def first_forest(one: Comparison) -> Forest | None:
    """The main figures of the lowest and the highest load: for the top of the page."""
    levels = one.levels if len(one.levels) < 3 else [one.levels[0], one.levels[-1]]
    found = [(level, level.metrics[name]) for level in levels for name in _FIRST if name in level.metrics]
    return _forest(one, [row for row in found if not row[1].is_untested][:_MOST_FIRST])


def whole_forest(one: Comparison) -> Forest | None:
    """Every figure at every level."""
    return _forest(one, [(level, found) for level in one.levels for found in tested(level)])


def _forest(one: Comparison, rows: Sequence[tuple[LevelComparison, MetricComparison]]) -> Forest | None:
    """None where no figure has a number: the table says why."""
    edges = [edge for _, found in rows for edge in (found.change, *(found.change95 or ())) if edge is not None]
    if not edges:
        return None
    wide = max(one.margin * 1.5, *(min(abs(edge), _FARTHEST) for edge in edges)) * 1.06
    low = -min(wide, 1.0) if min(edges) < 0 else -one.margin * 1.5
    high = wide if max(edges) > 0 else one.margin * 1.5

    def place(change: float) -> float:
        return round(100 * (min(max(change, low), high) - low) / (high - low), 2)

    return Forest(
        [_row(level, found, place) for level, found in rows],
        place(0.0),
        (place(-one.margin), place(one.margin)),
        (percent(low, signed=True), percent(high, signed=True)),
    )


def _row(level: LevelComparison, found: MetricComparison, place: Callable[[float], float]) -> ForestRow:
    name = f"{figure_name(found).removesuffix(' ms')}, {level.load_point.short}"
    verdict, tone = shown_verdict(found.verdict), VERDICT_TONES.get(found.verdict, "")
    if found.change is None:
        return ForestRow(name, verdict, tone, "", "")  # why is in the table
    in_unit = unit_of_change(found)
    low, high = found.change95 or (found.change, found.change)
    beside = "" if found.change95 is None else change_interval(low, high, in_unit)
    words = in_unit(found.change, signed=True)
    return ForestRow(name, verdict, tone, words, beside, place(found.change), place(low), place(high))


# ---- blocks over time -------------------------------------------------------------------------------


def block_charts(comparisons: Sequence[Comparison], series: Sequence[Series]) -> Iterator[Chart]:
    """A chart for each comparison whose figures have blocks."""
    for place, one in enumerate(comparisons):
        options = [
            Option(f"{figure_name(found)}, {level.load_point.label}", _blocks(one, found, series))
            for level in one.levels
            for found in level.metrics.values()
            if found.change is not None and found.blocks_a
        ]
        if options:
            key = f"blocks-{place}"
            caption = "One value a block. Two servers that rise and fall together share a machine that changed."
            yield Chart(key, "Blocks over time", caption, options, 0, key)


def _blocks(one: Comparison, found: MetricComparison, series: Sequence[Series]) -> go.Figure:
    """Both sides' block values against the time since their run began."""
    figure = go.Figure()
    factor, shown = (1e3, milliseconds) if found.unit == "s" else (1.0, rate)
    if found.scale == "points":
        factor, shown = 100.0, lambda share: percent(share or 0.0)
    for place, (side, values) in enumerate(((one.a, found.blocks_a), (one.b, found.blocks_b))):
        colour, symbol = _style_of(side, place, series, same_name=one.a.target == one.b.target)
        figure.add_scatter(
            x=[round(value.at_s / 60, 3) for value in values],
            y=[float(f"{value.value * factor:.6g}") for value in values],
            mode="lines+markers",
            name=plotly_text(side.label),
            line={"color": colour, "width": 1, "dash": "dot"},
            marker={"color": colour, "symbol": symbol, "size": 9},
            customdata=[[value.block + 1, shown(value.value)] for value in values],
            hovertemplate="<b>%{fullData.name}</b><br>block %{customdata[0]}: %{customdata[1]}<extra></extra>",
        )
    unit = {"s": "ms", "1": "%"}.get(found.unit, found.unit)
    figure.update_layout(
        height=CURVE_HEIGHT,
        showlegend=True,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"title": {"text": "Time since the run began (min)"}, "rangemode": "tozero"},
        yaxis={"title": {"text": f"{figure_name(found).removesuffix(' ms')} ({unit})"}, "rangemode": "tozero"},
    )
    return figure


def _style_of(side: ComparedSide, place: int, series: Sequence[Series], *, same_name: bool) -> tuple[str, str]:
    """The series' own colour and marker; of two runs of one target, whose colour is the same, one of each."""
    if not same_name:
        for one in series:
            if one.target.name == side.target and one.run.result.run_id == side.run_id:
                return one.style.on_dark, one.style.symbol
    return SERIES_COLOURS[place][0], SYMBOLS[place]
