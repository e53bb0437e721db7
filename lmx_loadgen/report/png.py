"""The main figures as one PNG, drawn by plotly's kaleido in a browser that needs no network."""

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lmx_loadgen.errors import InputError, LoadgenError
from lmx_loadgen.report import figures, palette
from lmx_loadgen.report.charts import Chart, concurrency_charts
from lmx_loadgen.report.sanitize import plotly_text, sanitize
from lmx_loadgen.report.view import Series, title_of

_WIDTH, _HEIGHT, _SCALE = 1440, 500, 2
_PATIENCE_S = 60
_HOW = (
    "pip install 'lmx-loadgen[png]', and have Chrome or Chromium on the PATH or in BROWSER_PATH "
    "(`plotly_get_chrome` fetches one)"
)


def png(series: Sequence[Series]) -> bytes:
    """TTFT, decode rate and output of the whole system against concurrency, or the errors where nothing else is.

    Raises InputError where kaleido or its browser is missing, or there is nothing to draw.
    """
    figure = overview(series)
    if figure is None:
        raise InputError("there is nothing to draw as PNG: no request was measured; --format html says more")
    if importlib.util.find_spec("kaleido") is None:
        raise InputError(f"--format png needs kaleido: {_HOW}")
    return _drawn(figure)


def missing() -> tuple[str, str] | None:
    """What `--format png` would fail for want of, and how to get it; None where all is there."""
    if importlib.util.find_spec("kaleido") is None:
        return "kaleido is not installed", _HOW
    from choreographer.browsers.chromium import Chromium

    return None if Chromium.find_browser(skip_local=False) else ("there is no Chrome or Chromium", _HOW)


def overview(series: Sequence[Series]) -> go.Figure | None:
    """The figure of the image, on white."""
    charts = [chart for chart in concurrency_charts(series) if not chart.is_empty()]
    figure = _beside_each_other(charts) if charts else figures.errors_by_kind(series)
    if figure is None:
        return None
    title = plotly_text(f"{title_of(series)}{_disturbed(series)}", 160)
    figure.update_layout(
        template=palette.templates()["light"],
        title={
            "text": title,
            "font": {"size": 18},
            "x": 0.01,
            "xanchor": "left",
        },
        paper_bgcolor="#ffffff",
        height=_HEIGHT,
        width=_WIDTH,
        margin={"l": 20, "r": 20, "t": 100, "b": 70},
        showlegend=True,
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.2, "yanchor": "top"},
    )
    return go.Figure(_on_white(figure.to_dict()))


def _disturbed(series: Sequence[Series]) -> str:
    """What hollow markers mean, where there are any."""
    is_any = any(metric.tainted for one in series for level in one.levels for metric in level.metrics.values())
    return " (hollow markers: disturbed by this machine)" if is_any else ""


def _beside_each_other(charts: Sequence[Chart]) -> go.Figure:
    titles = [f"{chart.title}{_prompts(chart)}" for chart in charts]
    figure = make_subplots(rows=1, cols=len(charts), subplot_titles=titles, horizontal_spacing=0.07)
    drawn = [chart.options[0].figure for chart in charts if chart.options[0].figure is not None]
    # One entry of the key a series, by its longest name: the one that says what its rates count.
    names: dict[int, str] = {}
    for trace in (trace for part in drawn for trace in part.data):
        names[trace.meta["series"]] = max(names.get(trace.meta["series"], ""), trace.name, key=len)
    named: set[int] = set()
    for place, part in enumerate(drawn, start=1):
        for trace in part.data:
            index = trace.meta["series"]
            trace.update(name=names[index], legendgroup=str(index), showlegend=index not in named)
            named.add(index)
            figure.add_trace(trace, row=1, col=place)
        figure.update_xaxes(part.layout.xaxis.to_plotly_json(), row=1, col=place)
        figure.update_yaxes(part.layout.yaxis.to_plotly_json(), row=1, col=place)
    return figure


def _prompts(chart: Chart) -> str:
    """Of which class of prompts the drawn figure is, where there are several."""
    return f", {chart.options[0].label}" if len(chart.options) > 1 else ""


def _on_white(value: Any, key: str = "") -> Any:
    """The colours of the dark page exchanged for those of the light one, as the page itself does it."""
    if isinstance(value, Mapping):
        return {name: _on_white(inner, name) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_on_white(inner, key) for inner in value]
    return palette.dark_to_light().get(value, value) if key == "color" and isinstance(value, str) else value


def _drawn(figure: go.Figure) -> bytes:
    import kaleido
    from choreographer.errors import ChromeNotFoundError

    try:
        # MathJax would be fetched from the network.
        drawn = kaleido.calc_fig_sync(
            figure,
            opts={"format": "png", "width": _WIDTH, "height": _HEIGHT, "scale": _SCALE},
            kopts={"mathjax": False, "timeout": _PATIENCE_S},
        )
    except ChromeNotFoundError:
        raise InputError(f"--format png found no browser to draw with: {_HOW}") from None
    except Exception as problem:  # whatever kaleido and a browser may raise between them
        words = sanitize(str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__, 200)
        raise LoadgenError(f"the browser could not draw the PNG: {words}; --format html needs none") from problem
    return bytes(drawn)
