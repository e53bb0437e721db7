"""The charts of special workloads, each only where a run has it."""

from collections.abc import Sequence
from functools import partial

import plotly.graph_objects as go

from lmx_loadgen.analysis.formats import count, milliseconds, rate
from lmx_loadgen.report.charts import Chart, Option, chart_of
from lmx_loadgen.report.figures import CURVE_HEIGHT
from lmx_loadgen.report.level_table import with_unit
from lmx_loadgen.report.sanitize import plotly_text
from lmx_loadgen.report.shapes import ShapeLevel, shape_levels
from lmx_loadgen.report.turns import ChatLevel, chat_levels
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.result import TurnResult

_CURVES = (
    ("turn-ttft", "ttft_sec", "Time to first token by turn", "TTFT (ms)"),
    ("turn-decode", "decode_tok_s", "Decode rate by turn", "Decode"),
)
_MAPS = (("ttft", "Time to first token, ms"), ("prompt_tok_s", "Prompt tok/s"), ("decode_tok_s", "Decode"))


def workload_charts(series: Sequence[Series]) -> dict[str, list[Chart]]:
    """The charts of each workload, by its key."""
    words = "Median of each turn, at the fewest users. A point is a turn."
    curves = [chart_of(key, title, words, turn_curves(series, value, axis)) for key, value, title, axis in _CURVES]
    return {"turns": curves, "shapes": [_map(series)]}


def _map(series: Sequence[Series]) -> Chart:
    """Prompt length by load, a map for each figure of each target."""
    options = []
    for one in series:
        levels = shape_levels(one.name, one.levels)
        for metric, title in _MAPS if levels else ():
            figure = heat_map(levels, metric)
            unit = f" {levels[0].unit}" if metric == "decode_tok_s" else ""
            options += [Option(f"{one.name}: {title}{unit}", figure)] if figure is not None else []
    words = "Median by prompt length and concurrency. Darker is slower."
    return Chart("shape-map", "Prompt length and concurrency", words, options, 0, "shape-map")


def turn_curves(series: Sequence[Series], value: str, title: str) -> go.Figure | None:
    """A figure of each turn (`ttft_sec`, in ms, or `decode_tok_s`) against the tokens that the server read for it, or
    against the turn where a server does not tell; of each target at its fewest users. None where nothing is known of
    two turns."""
    found = [(one, level) for one in series for level in chat_levels(one.name, one.levels)[:1]]
    known = [(one, level, [turn for turn in level.turns if getattr(turn, value) is not None]) for one, level in found]
    shown = [(one, level, turns) for one, level, turns in known if len(turns) > 1]
    if not shown:
        return None
    by_context = all(turn.context_tokens for _, _, turns in shown for turn in turns)
    figure = go.Figure()
    for one, level, turns in shown:
        _add_curve(figure, one, level, turns, value, by_context)
    units = {level.unit for _, level, _ in shown}
    unit = units.pop() if len(units) == 1 else "unit by series"
    figure.update_layout(
        height=CURVE_HEIGHT,
        xaxis={"title": {"text": "Context (tokens)" if by_context else "Turn"}, "rangemode": "tozero"},
        yaxis={
            "title": {"text": title if value == "ttft_sec" else f"{title} ({unit})"},
            "rangemode": "tozero",
            "nticks": 6,
        },
    )
    return figure


def _add_curve(
    figure: go.Figure, one: Series, level: ChatLevel, turns: Sequence[TurnResult], value: str, by_context: bool
) -> None:
    scale, words = (1e3, milliseconds) if value == "ttft_sec" else (1.0, partial(with_unit, unit=level.unit))
    figure.add_scatter(
        x=[turn.context_tokens if by_context else turn.turn for turn in turns],
        y=[round(getattr(turn, value) * scale, 3) for turn in turns],
        mode="lines+markers",
        name=plotly_text(one.name),
        meta={"series": one.index},
        line={"color": one.style.on_dark, "dash": one.style.dash, "width": 2},
        marker={"color": one.style.on_dark, "symbol": one.style.symbol, "size": 9},
        customdata=[[turn.turn, words(getattr(turn, value)), _context(turn)] for turn in turns],
        hovertemplate="<b>%{fullData.name}</b><br>turn %{customdata[0]}: %{customdata[1]}<br>%{customdata[2]}"
        "<extra></extra>",
    )


def _context(turn: TurnResult) -> str:
    return "" if turn.context_tokens is None else f"{turn.context_tokens:,.0f} tokens of context"


def heat_map(levels: Sequence[ShapeLevel], metric: str) -> go.Figure | None:
    """A metric (`ttft`, in ms, or `prompt_tok_s`, `decode_tok_s`) by prompt length and requests at once, of one target;
    None below two lengths or two loads, where there is no field to see."""
    lengths = sorted({one.shape.prompt for one in levels})
    loads = sorted({one.load_point.slots for one in levels})
    if len(lengths) < 2 or len(loads) < 2:
        return None
    found = {(one.shape.prompt, one.load_point.slots): _value(one, metric) for one in levels}
    values = [[found.get((length, load)) for load in loads] for length in lengths]
    shown = milliseconds if metric == "ttft" else rate
    scale = 1e3 if metric == "ttft" else 1.0
    figure = go.Figure()
    figure.add_heatmap(
        z=[[None if value is None else value * scale for value in row] for row in values],
        x=[count(load) for load in loads],
        y=[count(length) for length in lengths],
        text=[["" if value is None else shown(value) for value in row] for row in values],
        texttemplate="%{text}",
        colorscale="Viridis",
        reversescale=metric == "ttft",
        showscale=False,
        hovertemplate="%{y} prompt tokens, concurrency %{x}: %{text}<extra></extra>",
        name=plotly_text(levels[0].target),
    )
    figure.update_layout(
        height=120 + 44 * len(lengths),
        xaxis={"title": {"text": "Concurrency"}, "type": "category"},
        yaxis={"title": {"text": "Prompt tokens"}, "type": "category"},
    )
    return figure


def _value(one: ShapeLevel, metric: str) -> float | None:
    by_metric = {
        "ttft": one.ttft_s,
        "prompt_tok_s": one.shape.prompt_tok_s,
        "decode_tok_s": one.shape.decode_tok_s,
    }
    return by_metric[metric]
