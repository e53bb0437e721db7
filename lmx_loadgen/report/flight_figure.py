"""The requests in flight over the time of an open loop, as a plotly figure in the colors of the dark page."""

from collections.abc import Sequence

import plotly.graph_objects as go

from lmx_loadgen.analysis.records import Record
from lmx_loadgen.report.figures import CURVE_HEIGHT, first_block
from lmx_loadgen.report.samples import thinned
from lmx_loadgen.report.sanitize import plotly_text
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.result import LevelResult
from lmx_loadgen.system.clock import NS


def in_flight(one: Series, level: LevelResult, most_points: int) -> go.Figure | None:
    """The requests in flight over the time of an open loop, or of its first block."""
    requests = [request for request in first_block(one.requests_of(level)) if request.measured]
    steps = _steps(requests)
    if not steps:
        return None
    origin = min(request.intended_ns for request in requests)
    shown = thinned(steps, most_points)
    figure = go.Figure()
    figure.add_scatter(
        x=[round((at - origin) / NS, 3) for at, _ in shown],
        y=[number for _, number in shown],
        mode="lines",
        name=plotly_text(one.name),
        line={"color": one.style.on_dark, "width": 1.5, "shape": "hv"},
        hovertemplate="%{y} in flight after %{x:,.1f} s<extra></extra>",
    )
    return figure.update_layout(
        height=CURVE_HEIGHT,
        xaxis={"title": {"text": "Time since the load began (s)"}, "rangemode": "tozero", "tickformat": ",~f"},
        yaxis={"title": {"text": "Requests in flight"}, "rangemode": "tozero", "tickformat": ",d", "nticks": 6},
    )


def _steps(requests: Sequence[Record]) -> list[tuple[int, int]]:
    """The moments at which the number of requests in flight changes, and what it is from then on."""
    changes = [(request.send_ns, 1) for request in requests if request.send_ns is not None]
    changes += [(request.end_ns, -1) for request in requests if request.send_ns is not None]
    found, number = [], 0
    for at, change in sorted(changes):
        number += change
        found.append((at, number))
    return found
