"""The page's part on the instrument itself: how wrong it was on this machine, and how wrong others are."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from lmx_loadgen.analysis.formats import UNDEFINED, count
from lmx_loadgen.report.charts import Chart, chart_of
from lmx_loadgen.report.figures import CURVE_HEIGHT, concurrency_axis
from lmx_loadgen.report.markup import NUMBER, Child, Markup, about, boxed_table, column, h, row
from lmx_loadgen.report.palette import series_styles
from lmx_loadgen.report.sanitize import plotly_text, sanitize
from lmx_loadgen.report.view import RunView
from lmx_loadgen.store.tools_vs_truth import ToolErrors, ToolsVsTruth

CHART = "tools-vs-truth"
_LEAST_MS = 0.001  # a logarithmic axis has no zero


def peers_chart(peers: ToolsVsTruth | None) -> Chart:
    """How far off each tool's reported TTFT is at its 99th percentile."""
    caption = (
        "Size of: reported 99th percentile − true 99th percentile. Lower is better; each step up is ten times worse."
    )
    figure = None if peers is None or not peers.levels() else _figure(peers)
    return chart_of(CHART, "TTFT as tools report it, against the truth", caption, figure)


def _figure(peers: ToolsVsTruth) -> go.Figure:
    figure = go.Figure()
    for tool, style in zip(peers.tools, series_styles([tool.name for tool in peers.tools]), strict=True):
        levels = sorted(tool.ttft_error_ms)
        errors = [tool.ttft_error_ms[level].p99 for level in levels]
        figure.add_scatter(
            x=levels,
            y=[max(_LEAST_MS, abs(error)) for error in errors],
            mode="lines+markers",
            name=plotly_text(tool.name),
            line={"color": style.on_dark, "dash": style.dash, "width": 2},
            marker={"color": style.on_dark, "symbol": style.symbol, "size": 9},
            customdata=[f"{error:+.2f}" for error in errors],
            hovertemplate="<b>%{fullData.name}</b><br>%{customdata} ms<br>concurrency %{x}<extra></extra>",
        )
    figure.update_layout(
        height=CURVE_HEIGHT,
        showlegend=True,
        legend={"orientation": "h", "y": 1.12, "x": 0},
        xaxis=concurrency_axis(peers.levels()),
        yaxis={"title": {"text": "Error of TTFT p99 (ms)"}, "type": "log", "dtick": 1, "tickformat": ",~f"},
    )
    return figure


def peers_table(peers: ToolsVsTruth | None) -> list[Child]:
    """The same as figures, with the circumstances."""
    if peers is None:
        return []
    levels = peers.levels()
    head = [column("Tool"), *(column(f"C = {count(level)}", "p50 / p99, ms", number=True) for level in levels)]
    rows = [_tool_row(tool, levels) for tool in peers.tools]
    settings = ", ".join(f"{sanitize(key, 40)} {sanitize(value, 40)}" for key, value in peers.settings.items())
    return [
        boxed_table("TTFT as each tool reports it, minus what the simulator's log says it was.", head, rows),
        about(sanitize(f"Measured {peers.date} on {peers.machine}; {settings}.", 400)),
    ]


def _tool_row(tool: ToolErrors, levels: Sequence[int]) -> Markup:
    cells = []
    for level in levels:
        found = tool.ttft_error_ms.get(level)
        cells.append(h("td", NUMBER, UNDEFINED if found is None else f"{found.p50:+.2f} / {found.p99:+.2f}"))
    name = h("th", {"scope": "row"}, f"{sanitize(tool.name, 60)} ", h("small", None, sanitize(tool.version, 60)))
    return row(name, cells)


def calibrations(runs: Sequence[RunView]) -> list[Child]:
    """The calibration each run went by; of several runs with the same one, it is shown once."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        calibration = (run.result.get("instrument") or {}).get("calibration")
        if calibration:
            key = f"{calibration.get('host')} {calibration.get('created_at')} {calibration.get('stamps')}"
            found.setdefault(key, calibration)
    if not found:
        return [about("No run was calibrated: by how much the tool itself is wrong is not known.")]
    return [_calibration(calibration) for calibration in found.values()]


def _calibration(calibration: dict[str, Any]) -> Markup:
    names = ("ttft", "send", "receive", "chunk", "gap", "tpot")
    titles = ("TTFT", "sending", "receiving", "each chunk", "chunk gap", "TPOT")
    head = [column("Concur\u00adrency", number=True)]
    head += [column(title, "p50 / p99, ms", number=True) for title in titles]
    rows = [
        row(h("td", NUMBER, count(level["concurrency"])), [_errors(level.get(name)) for name in names])
        for level in calibration["levels"]
    ]
    caption = (
        f"This tool's own error, {'quick' if calibration['quick'] else 'full'} calibration of "
        f"{sanitize(calibration['created_at'], 40)}: {sanitize(calibration['loop'], 20)}, "
        f"{sanitize(calibration['stamps'], 20)} stamps. What it saw minus what the simulator truly did."
        f"{_busy_words(calibration)}"
    )
    return boxed_table(caption, head, rows)


def _busy_words(calibration: dict[str, Any]) -> str:
    if not calibration.get("busy"):
        return ""
    return f" The machine was busy ({sanitize(calibration.get('busy_reason'), 80)}): the errors may be overstated."


def _errors(spread: dict[str, float] | None) -> Markup:
    if spread is None:
        return h("td", NUMBER, UNDEFINED)
    return h("td", NUMBER, f"{spread['p50'] * 1e3:.3f} / {spread['p99'] * 1e3:.3f}")
