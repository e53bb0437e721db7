"""The charts, as plotly figures in the colours of the dark page.

Each function is pure: series in, figure out, or `None` where there is nothing to draw. Undefined values are
gaps, never zeros. Each trace names its series in `meta`, so that a page can show and hide series everywhere
at once. Names from outside go through `plotly_text`.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go

from lmx_loadgen.analysis.formats import count, duration, milliseconds, rate
from lmx_loadgen.analysis.record_store import by_time, where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.run_view import mean_interval, stat, system_rate
from lmx_loadgen.report.level_table import common_unit, rate_unit
from lmx_loadgen.report.palette import FAILURE, MUTED
from lmx_loadgen.report.samples import ecdf, thinned
from lmx_loadgen.report.sanitize import plotly_text
from lmx_loadgen.report.view import Series, failures_of, heading, load_points, outcome_name, reason_beside_name
from lmx_loadgen.store.result import LevelResult, MetricResult
from lmx_loadgen.system.clock import NS, moment

CURVE_HEIGHT = 300
LANE_PX = 15
LARGEST_LANES_PX = 560
HATCH = {"shape": "/", "size": 5, "solidity": 0.45}

# The value, the lower and the upper end of its whisker.
Point = tuple[float | None, float | None, float | None]


# ---- against concurrency ----------------------------------------------------------------------------


ALL_PROMPTS = "all"


def against_concurrency(series: Sequence[Series], metric: str, prompts: str = ALL_PROMPTS) -> go.Figure | None:
    """A metric at each level: the median of TTFT (in ms) or of decode tok/s with a whisker to what 95 % of answers
    reach, of one class of prompts; output tok/s of the whole system with the 95 % interval of its mean, where it has
    one. What this machine disturbed has a hollow marker."""
    figure = go.Figure()
    ticks = [point.slots for point in load_points(series) if not point.IS_OPEN]
    if len(ticks) < 2 and len(ticks) < len(load_points(series)):
        return None  # beside open loops, one concurrency is no curve
    units = common_unit([level for one in series for level in one.levels])
    for place, one in enumerate(series):
        levels = [level for level in one.levels if not level.load_point.IS_OPEN]
        found = [(level, _metric(level, metric, prompts)) for level in levels]
        points = [_point(level, metric, result) for level, result in found]
        if all(middle is None for middle, _, _ in points):
            continue
        # Series stand side by side at each level, so that their whiskers do not cover each other.
        nudge = 1.045 ** (place - (len(series) - 1) / 2)
        unit = "ms" if metric == "ttft" else rate_unit(one.levels[0])
        figure.add_scatter(
            x=[level.load_point.slots * nudge for level, _ in found],
            y=[rounded(middle) for middle, _, _ in points],
            error_y=whiskers(points),
            mode="lines+markers",
            name=plotly_text(one.name if metric == "ttft" or units else f"{one.name} ({unit})"),
            meta={"series": one.index},
            connectgaps=False,
            line={"color": one.style.on_dark, "dash": one.style.dash, "width": 2},
            marker=_marker(one, [result is not None and _is_disturbed(result, metric) for _, result in found]),
            customdata=[[level.load_point.label, _point_words(level, metric, result, unit)] for level, result in found],
            hovertemplate="<b>%{fullData.name}</b><br>%{customdata[1]}<br>%{customdata[0]}<extra></extra>",
        )
    if not figure.data:
        return None
    figure.update_layout(
        height=CURVE_HEIGHT,
        xaxis=concurrency_axis(ticks),
        yaxis=_value_axis(metric, units),
    )
    return figure


def _marker(one: Series, disturbed: Sequence[bool]) -> dict[str, Any]:
    symbols = [f"{one.style.symbol}-open" if is_disturbed else one.style.symbol for is_disturbed in disturbed]
    return {"color": one.style.on_dark, "symbol": symbols if any(disturbed) else one.style.symbol, "size": 9}


def _metric(level: LevelResult, metric: str, prompts: str) -> MetricResult | None:
    of_class = level.by_prompt_class.get(prompts)
    return (of_class.metrics if of_class is not None else level.metrics).get(metric)


def _is_disturbed(found: MetricResult, metric: str) -> bool:
    return ("mean" if metric == "output_tok_s" else "p50") in found.tainted


def _point(level: LevelResult, metric: str, found: MetricResult | None) -> Point:
    if metric == "output_tok_s":
        return system_rate(level), *(mean_interval(level, metric) or (None, None))
    median, p95 = (None, None) if found is None else (found.p50, found.p95)
    return (_scaled(median, 1e3), None, _scaled(p95, 1e3)) if metric == "ttft" else (median, p95, None)


def _point_words(level: LevelResult, metric: str, found: MetricResult | None, unit: str) -> str:
    if found is None:
        return ""
    beside = ", disturbed by this machine" if _is_disturbed(found, metric) else ""
    if metric == "output_tok_s":
        edges = found.ci95
        interval = "" if edges is None else f" (95 % interval {rate(edges[0])} to {rate(edges[1])})"
        return f"{rate(system_rate(level))} {unit} in all{interval}{beside}"
    if metric == "ttft":
        return f"median {milliseconds(found.p50)} ms, p95 {milliseconds(found.p95)} ms{beside}"
    return f"median {rate(found.p50)} {unit}, 95 % reach {rate(found.p95)}{beside}"


def _value_axis(metric: str, units: str | None) -> dict[str, Any]:
    name, unit = heading(metric)
    shown = unit if metric == "ttft" else units or "unit by series"
    return {"title": {"text": f"{name} ({shown})"}, "rangemode": "tozero", "tickformat": ",~f", "nticks": 6}


def trend(series: Sequence[Series], metric: str) -> go.Figure | None:
    """The median of each model's lowest level from run to run, a line for each model on each target."""
    figure = go.Figure()
    groups: dict[tuple[str, str], list[Series]] = {}
    for one in series:
        groups.setdefault((one.target.name, one.target.model), []).append(one)
    for group in groups.values():
        points = [level.load_point for one in group for level in one.levels if not level.load_point.IS_OPEN]
        first = min(points, key=lambda point: point.order, default=None)
        places = [(one, level) for one in group if first is not None and (level := one.level_at(first)) is not None]
        values = [stat(level, metric, "p50") for _, level in places]
        if all(value is None for value in values):
            continue
        look, factor, unit = group[0].style, *((1e3, "ms") if metric == "ttft" else (1.0, rate_unit(places[0][1])))
        figure.add_scatter(
            x=[moment(one.run.result.started_at) for one, _ in places],
            y=[rounded(_scaled(value, factor)) for value in values],
            mode="lines+markers",
            name=plotly_text(
                f"{group[0].target.name}, {places[0][1].load_point.label}{'' if metric == 'ttft' else f' ({unit})'}"
            ),
            connectgaps=False,
            line={"color": look.on_dark, "dash": look.dash, "width": 2},
            marker={"color": look.on_dark, "symbol": look.symbol, "size": 8},
            hovertemplate=f"<b>%{{fullData.name}}</b><br>%{{y:,.1f}} {unit}, median<br>%{{x}}<extra></extra>",
        )
    if not figure.data:
        return None
    figure.update_layout(
        height=CURVE_HEIGHT,
        showlegend=True,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"title": {"text": "Run began"}},
        yaxis=_value_axis(metric, common_unit([level for one in series for level in one.levels])),
    )
    return figure


def whiskers(points: Sequence[Point]) -> dict[str, Any] | None:
    """What plotly draws from each value to the ends of its whisker; None where no point has one."""
    ups = [None if None in (middle, high) else max(high - middle, 0) for middle, _, high in points]  # type: ignore[operator]
    downs = [None if None in (middle, low) else max(middle - low, 0) for middle, low, _ in points]  # type: ignore[operator]
    if not any([*ups, *downs]):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [rounded(up) for up in ups],
        "arrayminus": [rounded(down) for down in downs],
        "thickness": 1.5,
        "width": 5,
    }


def concurrency_axis(ticks: Sequence[int]) -> dict[str, Any]:
    """Levels mostly double, so the axis is logarithmic; only levels that were run are marked."""
    shown = [tick for i, tick in enumerate(ticks) if i == 0 or tick / ticks[i - 1] > 1.1]
    return {
        "title": {"text": "Concurrency"},
        "type": "log",
        "tickvals": shown,
        "ticktext": [count(tick) for tick in shown],
        "range": [math.log10(ticks[0] / 1.45), math.log10(ticks[-1] * 1.45)],
    }


# ---- distributions at one level ---------------------------------------------------------------------


def distribution(
    samples: Sequence[tuple[Series, Sequence[float], int]],
    metric: str,
    most_points: int,
    *,
    log_x: bool,
) -> go.Figure | None:
    """Empirical distributions of times in seconds, one curve a series, drawn in ms.

    Each sample comes with the number of requests that failed: they have no time, so a curve ends below 100 %.
    """
    figure = go.Figure()
    longest = max((value * 1e3 for _, values, _ in samples for value in values), default=0.0)
    for one, values, failed in samples:
        x, y = ecdf((value * 1e3 for value in values), most_points - 1, failed)
        if not x:
            continue
        figure.add_scatter(
            # Each curve goes on level to the longest time of all, so that one can see where it ends.
            x=[rounded(value) for value in (*x, longest)],
            y=[round(share, 5) for share in (*y, y[-1])],
            mode="lines",
            name=plotly_text(one.name),
            meta={"series": one.index},
            line={"color": one.style.on_dark, "dash": one.style.dash, "width": 2, "shape": "hv"},
            hovertemplate=f"<b>%{{fullData.name}}</b><br>%{{y:.1%}} within %{{x:,.1f}} ms"
            f"<br>of {len(values) + failed:,} samples<extra></extra>",
        )
    if not figure.data:
        return None
    figure.update_layout(
        height=CURVE_HEIGHT,
        xaxis=_time_axis("{} ({})".format(*heading(metric)), log_x),
        yaxis={
            "title": {"text": "Share at or below"},
            "range": [-0.02, 1.02],
            "tickformat": ".0%",
            "tickvals": [0, 0.25, 0.5, 0.75, 0.95, 1],
            "ticktext": ["0%", "25%", "50%", "75%", "95%", ""],
        },
    )
    return figure


def _time_axis(title: str, log: bool) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": f"{title}, log scale" if log else title}, "tickformat": ",~f"}
    return axis | ({"type": "log", "dtick": "D2"} if log else {"rangemode": "tozero", "nticks": 7})


# ---- timeline ---------------------------------------------------------------------------------------


def timeline(one: Series, level: LevelResult, most_requests: int) -> go.Figure | None:
    """Each request of a level, or of its first block, as a bar in its slot's lane: pale until the first token, then
    solid until the end.

    Warm-up is grey, a cancelled request grey and hatched; one that failed is red, hatched, and ends in a cross.
    """
    requests = by_time(first_block(one.requests_of(level)), _start_ns)
    if not requests:
        return None
    origin = _start_ns(requests[0])
    shown = thinned(requests, most_requests)
    good = [r for r in shown if r.ok]
    measured = [r for r in good if r.phase != "warmup"]
    warmup = [r for r in good if r.phase == "warmup"]
    cancelled = [r for r in shown if r.outcome == "cancelled"]
    bad = [r for r in shown if r.failed]
    colour = one.style.on_dark
    figure = go.Figure()
    _add_bars(figure, measured, origin, _waiting, "waiting for the first token", {"color": colour, "opacity": 0.38})
    _add_bars(figure, measured, origin, _streaming, "streaming", {"color": colour})
    _add_bars(figure, warmup, origin, _waiting, "warm-up, waiting", {"color": MUTED[0], "opacity": 0.38})
    _add_bars(figure, warmup, origin, _streaming, "warm-up, streaming", {"color": MUTED[0]})
    _add_bars(figure, cancelled, origin, _whole, "cancelled", {"color": MUTED[0], "pattern": HATCH})
    _add_failures(figure, bad, origin)
    lanes = 1 + max(r.slot for r in requests)
    figure.update_layout(
        height=95 + min(max(lanes, 3) * LANE_PX, LARGEST_LANES_PX),
        barmode="overlay",
        bargap=0.28 if lanes <= 32 else 0.1,
        xaxis={"title": {"text": "Time since the level began (s)"}, "rangemode": "tozero", "tickformat": ",~f"},
        yaxis={
            "title": {"text": "Slot"},
            "range": [max(lanes, 3) - 0.5, -0.5],
            "tickvals": _lane_ticks(lanes),
            "ticktext": [str(lane + 1) for lane in _lane_ticks(lanes)],
            "showgrid": False,
        },
    )
    return figure


def first_block(requests: Sequence[Record]) -> Sequence[Record]:
    """The requests of the first block: between the blocks of one target lie those of the others."""
    first = min((request.block for request in requests), default=0)
    return where(requests, lambda one: one.block == first)


def _start_ns(request: Record) -> int:
    """The send, or for a request that was never sent, when it was due."""
    return request.intended_ns if request.send_ns is None else request.send_ns


def _first_token_ns(request: Record) -> int:
    """When the first token came; the end where none did."""
    return request.end_ns if request.first_text_ns is None else request.first_text_ns


def _waiting(request: Record) -> tuple[int, int]:
    return _start_ns(request), _first_token_ns(request)


def _streaming(request: Record) -> tuple[int, int]:
    return _first_token_ns(request), request.end_ns


def _whole(request: Record) -> tuple[int, int]:
    return _start_ns(request), request.end_ns


def _add_bars(
    figure: go.Figure,
    requests: Sequence[Record],
    origin: int,
    span: Callable[[Record], tuple[int, int]],
    name: str,
    marker: dict[str, Any],
) -> None:
    if not requests:
        return
    spans = [span(request) for request in requests]
    figure.add_bar(
        orientation="h",
        base=[_seconds(start - origin) for start, _ in spans],
        x=[_seconds(end - start) for start, end in spans],
        y=[request.slot for request in requests],
        name=name,
        marker={"line": {"width": 0}} | marker,
        customdata=[[request.id, _request_words(request)] for request in requests],
        hovertemplate="request %{customdata[0]}, " + name + "<br>%{customdata[1]}<extra></extra>",
    )


def _add_failures(figure: go.Figure, requests: Sequence[Record], origin: int) -> None:
    _add_bars(figure, requests, origin, _whole, "failed", {"color": FAILURE[0], "pattern": HATCH})
    if requests:
        # A refusal takes a millisecond: its bar cannot be seen, its cross can.
        figure.add_scatter(
            x=[_seconds(request.end_ns - origin) for request in requests],
            y=[request.slot for request in requests],
            mode="markers",
            name="failed",
            marker={"symbol": "x", "size": 8, "color": FAILURE[0]},
            customdata=[[request.id, _request_words(request)] for request in requests],
            hovertemplate="request %{customdata[0]}, failed<br>%{customdata[1]}<extra></extra>",
        )


def _request_words(request: Record) -> str:
    if not request.ok:
        kind = outcome_name(request.outcome, request.status)
        reason = reason_beside_name(request.outcome, request.status, request.reason)
        return kind + (f": {plotly_text(reason, 80)}" if reason else "")
    ttft = None if request.ttft_ns is None else request.ttft_ns / NS
    whole = (request.end_ns - _start_ns(request)) / NS
    return f"first token {milliseconds(ttft)} ms, end {duration(whole)}"


def _lane_ticks(lanes: int) -> list[int]:
    step = next(step for step in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, lanes) if lanes / step <= 16)
    return sorted({0, *range(step - 1, lanes, step)})


# ---- errors -----------------------------------------------------------------------------------------


def errors_by_kind(series: Sequence[Series]) -> go.Figure | None:
    """How many requests failed, by kind, one bar a series."""
    sums = [Counter[str]() for _ in series]
    for one, kinds in zip(series, sums, strict=True):
        for failures in failures_of(one.target):
            kinds[plotly_text(failures.name)] += failures.number
    names = sorted({name for kinds in sums for name in kinds}, key=lambda name: sum(kinds[name] for kinds in sums))
    if not names:
        return None
    figure = go.Figure()
    for one, kinds in zip(series, sums, strict=True):
        if kinds:
            _add_error_bars(figure, one, [(name, kinds[name]) for name in names if name in kinds])
    bars = sum(len(kinds) for kinds in sums)
    figure.update_layout(
        height=84 + 28 * bars,
        barmode="group",
        bargap=0.3,
        bargroupgap=0.15,
        xaxis={"title": {"text": "Requests"}, "rangemode": "tozero", "tickformat": ",d", "nticks": 6},
        yaxis={"categoryorder": "array", "categoryarray": names, "type": "category", "showgrid": False},
    )
    return figure


def _add_error_bars(figure: go.Figure, one: Series, kinds: Sequence[tuple[str, int]]) -> None:
    figure.add_bar(
        orientation="h",
        y=[name for name, _ in kinds],
        x=[number for _, number in kinds],
        text=[count(number) for _, number in kinds],
        textposition="outside",
        cliponaxis=False,
        name=plotly_text(one.name),
        meta={"series": one.index},
        marker={"color": one.style.on_dark, "line": {"width": 0}},
        hovertemplate="<b>%{fullData.name}</b><br>%{y}: %{x:,d}<extra></extra>",
    )


# ---- numbers ----------------------------------------------------------------------------------------


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def rounded(value: float | None) -> float | None:
    """Six significant digits: more than a screen can show, and half the bytes."""
    return None if value is None else float(f"{value:.6g}")


def _seconds(ns: int) -> float:
    """To a tenth of a millisecond."""
    return round(ns / NS, 4)
