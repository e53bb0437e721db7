"""The requests in flight over the time of an open loop, as a plotly figure in the colors of the dark page."""

import plotly.graph_objects as go

from lmx_loadgen.analysis.open_loop import in_flight_over_time
from lmx_loadgen.analysis.record_store import where
from lmx_loadgen.report.figures import CURVE_HEIGHT, first_block
from lmx_loadgen.report.samples import thinned
from lmx_loadgen.report.sanitize import plotly_text
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.result import LevelResult
from lmx_loadgen.system.clock import NS


def in_flight(one: Series, level: LevelResult, most_points: int) -> go.Figure | None:
    """The requests in flight over the time of an open loop, or of its first block."""
    requests = where(first_block(one.requests_of(level)), lambda one: one.measured)
    times, numbers = in_flight_over_time(requests)
    if not len(times):
        return None
    origin = min(request.intended_ns for request in requests)
    shown = [(int(times[at]), int(numbers[at])) for at in thinned(range(len(times)), most_points)]
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
