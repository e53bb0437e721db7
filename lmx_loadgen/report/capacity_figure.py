"""The curve of a search for the capacity, as a plotly figure in the colors of the dark page."""

from collections.abc import Sequence

import plotly.graph_objects as go

from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.report.figures import CURVE_HEIGHT, rounded, whiskers
from lmx_loadgen.report.load_figures import KEY, add_line
from lmx_loadgen.report.palette import MUTED
from lmx_loadgen.report.sanitize import plotly_text
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.capacity import CapacityPoint


def share_against_load(series: Sequence[Series]) -> go.Figure | None:
    """The share of requests within the limits at each load of a search, with its interval, and the share asked for."""
    figure = go.Figure()
    searches = [(one, one.target.capacity) for one in series if one.target.capacity is not None]
    for one, found in searches:
        points = [(point, point.share, point.interval) for point in found.points]
        drawn = [(point, share, edges) for point, share, edges in points if share is not None and edges is not None]
        figure.add_scatter(
            x=[point.load for point, _, _ in drawn],
            y=[rounded(share) for _, share, _ in drawn],
            error_y=whiskers([(share, *edges) for _, share, edges in drawn]),
            mode="lines+markers",
            name=plotly_text(one.name),
            meta={"series": one.index},
            line={"color": one.style.on_dark, "dash": one.style.dash, "width": 2},
            marker={"color": one.style.on_dark, "symbol": one.style.symbol, "size": 9},
            customdata=[_share_words(point, share) for point, share, _ in drawn],
            hovertemplate="<b>%{fullData.name}</b><br>%{customdata}<extra></extra>",
        )
    if not searches:
        return None
    loads = [point.load for _, found in searches for point in found.points]
    asked = searches[0][1].share
    add_line(figure, [min(loads), max(loads)], [asked] * 2, f"{percent(asked)} of the requests", MUTED[0], None)
    units = {"concurrency": "Concurrent requests", "users": "Users", "rate": "Requests per second"}
    return figure.update_layout(
        height=CURVE_HEIGHT,
        showlegend=True,
        legend=KEY,
        xaxis={"title": {"text": units[searches[0][1].by]}, "rangemode": "tozero", "nticks": 8},
        yaxis={"title": {"text": "Share within the limits"}, "tickformat": ".0%", "range": [-0.02, 1.04]},
    )


def _share_words(point: CapacityPoint, share: float) -> str:
    return f"{point.load_point.label}<br>{percent(share)} of {point.requests:,} requests within the limits"
