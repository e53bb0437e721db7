"""Latency and throughput against the load of open loops, as plotly figures in the colors of the dark page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from lmx_loadgen.analysis.formats import duration, milliseconds, rate
from lmx_loadgen.analysis.knee import knee
from lmx_loadgen.analysis.metrics import METRICS, headline
from lmx_loadgen.analysis.run_view import stat, system_rate
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.report.figures import CURVE_HEIGHT, rounded, whiskers
from lmx_loadgen.report.level_table import common_unit, rate_unit
from lmx_loadgen.report.palette import FAILURE, MUTED
from lmx_loadgen.report.sanitize import plotly_text
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.result import LevelResult

_LOG_FROM = 20.0
KEY = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}


@dataclass(frozen=True, slots=True)
class _Curve:
    """A series' levels with their places on the axis of load, the lightest first; of those that were overloaded there
    is no latency."""

    series: Series
    levels: Sequence[LevelResult]
    loads: Sequence[float]

    def overloaded(self, places: Sequence[float | None]) -> list[tuple[float, str]]:
        """Where the levels that were too much stand on an axis on which all levels have places, and what they say."""
        found = [(place, level.open_loop) for place, level in zip(places, self.levels, strict=True)]
        return [(at, open_.sentence or "") for at, open_ in found if at is not None and open_ and open_.overloaded]


def offered(level: LevelResult) -> float | None:
    """The load of a level in requests a second: what came in an open loop, what was served in a closed one."""
    if level.load_point.kind == "open":
        return level.load_point.rate
    return level.open_loop.offered_rate if level.open_loop is not None else stat(level, "request_rate", "mean")


def curves(series: Sequence[Series]) -> list[_Curve]:
    """The series that have an open loop, each with two levels or more."""
    found = []
    for one in series:
        pairs = [(load, level) for level in one.levels if (load := offered(level)) is not None]
        pairs.sort(key=lambda pair: pair[0])
        if len(pairs) > 1 and any(level.load_point.IS_OPEN for _, level in pairs):
            found.append(_Curve(one, [level for _, level in pairs], [load for load, _ in pairs]))
    return found


# ---- against load -----------------------------------------------------------------------------------


def latency_against_load(series: Sequence[Series], metric: str, limit_s: float | None) -> go.Figure | None:
    """The median of a latency at each rate, with a whisker to its p95; the limit of the SLO, knees, and the
    rates that were too much."""
    figure, found = go.Figure(), curves(series)
    for one in found:
        _add_latency(figure, one, metric, one.loads)
    if not figure.data:
        return None
    loads = [load for one in found for load in one.loads]
    top, bottom = _edges(found, metric, limit_s)
    for one in found:
        _add_knee(figure, one, bottom, top)
        _add_overloaded(figure, one.series, one.overloaded(one.loads), top)
    if limit_s is not None:
        _add_limit(figure, limit_s, min(loads), max(loads))
    return _laid_out(figure, "Requests per second", metric, top / bottom)


def throughput_against_latency(series: Sequence[Series], metric: str) -> go.Figure | None:
    """The throughput of the whole system at each load, against the median of a latency there, in the order of load."""
    figure, found = go.Figure(), curves(series)
    for one in found:
        _add_latency(figure, one, metric, _rates(one))
    if not figure.data:
        return None
    top, bottom = _edges(found, metric, None)
    for one in found:
        _add_overloaded(figure, one.series, one.overloaded(_rates(one)), top)
    unit = common_unit([level for one in found for level in one.levels]) or "unit by series"
    return _laid_out(figure, f"Output of the whole system ({unit})", metric, top / bottom)


def _add_latency(figure: go.Figure, one: _Curve, metric: str, places: Sequence[float | None]) -> None:
    shown = [level.metrics[headline(metric, level.load_point)] for level in one.levels]
    medians = [None if place is None else found.p50 for found, place in zip(shown, places, strict=True)]
    if not known(medians):
        return
    words = [
        f"{plotly_text(level.load_point.label)}<br>"
        f"median {milliseconds(found.p50)} ms, p95 {milliseconds(found.p95)} ms"
        f"<br>{rate(system_rate(level))} {rate_unit(level)} in all"
        for level, found in zip(one.levels, shown, strict=True)
    ]
    figure.add_scatter(
        x=list(map(rounded, places)),
        y=[rounded(_ms(median)) for median in medians],
        error_y=whiskers([(_ms(found.p50), None, _ms(found.p95)) for found in shown]),
        mode="lines+markers",
        name=plotly_text(one.series.name),
        meta={"series": one.series.index},
        line={"color": one.series.style.on_dark, "dash": one.series.style.dash, "width": 2},
        marker={"color": one.series.style.on_dark, "symbol": one.series.style.symbol, "size": 9},
        customdata=words,
        hovertemplate="<b>%{fullData.name}</b><br>%{customdata}<extra></extra>",
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e3


def _add_knee(figure: go.Figure, one: _Curve, bottom: float, top: float) -> None:
    at = knee(one.levels)
    if at is None:
        return
    load = next(load for level, load in zip(one.levels, one.loads, strict=True) if level.load_point == at)
    add_line(
        figure, [load, load], [bottom, top], f"knee of {one.series.name}", one.series.style.on_dark, one.series.index
    )


def _add_limit(figure: go.Figure, limit_s: float, low: float, high: float) -> None:
    add_line(figure, [low, high], [limit_s * 1e3] * 2, f"SLO: within {duration(limit_s)}", MUTED[0], None)


def add_line(
    figure: go.Figure, x: Sequence[float], y: Sequence[float], name: str, color: str, series: int | None
) -> None:
    figure.add_scatter(
        x=list(map(rounded, x)),
        y=list(map(rounded, y)),
        mode="lines",
        name=plotly_text(name),
        meta=None if series is None else {"series": series},
        line={"color": color, "dash": "dot" if series is not None else "dash", "width": 1.5},
        hovertemplate="%{fullData.name}<extra></extra>",
    )


def _add_overloaded(figure: go.Figure, one: Series, places: Sequence[tuple[float, str]], top: float) -> None:
    if places:
        figure.add_scatter(
            x=[rounded(place) for place, _ in places],
            y=[rounded(top)] * len(places),
            mode="markers",
            name=plotly_text(f"{one.name} overloaded"),
            meta={"series": one.index},
            marker={"symbol": "x", "size": 9, "color": FAILURE[0]},
            customdata=[plotly_text(words, 200) for _, words in places],
            hovertemplate="<b>%{fullData.name}</b><br>%{customdata}<extra></extra>",
        )


def _rates(one: _Curve) -> list[float | None]:
    return [system_rate(level) for level in one.levels]


def _edges(found: Sequence[_Curve], metric: str, limit_s: float | None) -> tuple[float, float]:
    """The highest and the lowest latency that is drawn, in ms."""
    shown = [level.metrics[headline(metric, level.load_point)] for one in found for level in one.levels]
    values = known([*(one.p50 for one in shown), *(one.p95 for one in shown if one.p50 is not None), limit_s])
    return max(values) * 1e3, max(min(values) * 1e3, 1e-3)


def _laid_out(figure: go.Figure, x: str, metric: str, span: float) -> go.Figure:
    is_log = span > _LOG_FROM
    name = METRICS[metric].title
    axis: dict[str, Any] = {"type": "log", "dtick": "D2"} if is_log else {"rangemode": "tozero", "nticks": 6}
    return figure.update_layout(
        height=CURVE_HEIGHT,
        showlegend=True,
        legend=KEY,
        xaxis={"title": {"text": x}, "rangemode": "tozero", "nticks": 8},
        yaxis={"title": {"text": f"{name} (ms{', log scale' if is_log else ''})"}, "tickformat": ",~f"} | axis,
    )
