"""The page's head-to-head: verdicts in sentences, the forest plot, blocks over time, and the audit."""

from collections.abc import Iterator, Sequence

import plotly.graph_objects as go

from lmx_loadgen.analysis.formats import milliseconds, percent, rate
from lmx_loadgen.profile.load_point import labels
from lmx_loadgen.report.charts import Chart, Option
from lmx_loadgen.report.comparison import STATUS, cells_of, figure_name, shown_verdict, tested, untested_words
from lmx_loadgen.report.figures import CURVE_HEIGHT
from lmx_loadgen.report.markup import (
    NUMBER,
    Markup,
    about,
    banner,
    boxed_table,
    chip,
    column,
    grouped_table,
    h,
    number_cells,
    row,
)
from lmx_loadgen.report.palette import FAILURE, MUTED, SERIES_COLOURS, SYMBOLS
from lmx_loadgen.report.sanitize import plotly_text, sanitize, unbroken
from lmx_loadgen.report.view import RunView, Series
from lmx_loadgen.store.comparison import ComparedSide, Comparison, LevelComparison, MetricComparison

MOST = 6  # as many as a page holds well
_Row = tuple[LevelComparison, MetricComparison, str]
_SYMBOLS = {"better": "triangle-right", "worse": "triangle-left", "equivalent": "square", "undecided": "circle-open"}
_CHIPS = {"worse": "bad", "undecided": "warn", "refused": "warn", "failed": "bad", "unknown": "warn"}


def of_runs(runs: Sequence[RunView]) -> list[Comparison]:
    """The comparisons that the runs carry, the newest runs' first."""
    ordered = sorted(runs, key=lambda run: str(run.result.get("started_at")), reverse=True)
    found = [one for run in ordered for one in run.result.get("comparisons") or []]
    return [Comparison.model_validate(one) for one in found]


def keys(place: int) -> tuple[str, str]:
    """The names of a comparison's charts: its forest plot and its blocks."""
    return f"forest-{place}", f"blocks-{place}"


def title(one: Comparison) -> str:
    """`lmx against ollama`."""
    return f"{sanitize(one.b.label, 60)} against {sanitize(one.a.label, 60)}"


def sentences(one: Comparison) -> Markup | None:
    """The verdicts to read first."""
    if not one.sentences:
        return None
    items = [h("li", None, unbroken(sanitize(sentence, 600))) for sentence in one.sentences]
    return h("ul", {"class": "verdicts", "aria-label": title(one)}, items)


def method(one: Comparison) -> list[Markup]:
    """How it was measured and judged, and what makes it doubtful."""
    a, b = (sanitize(side.label, 60) for side in (one.a, one.b))
    how = (
        "Both were measured in one session, in blocks that took turns; an interval is over pairs of blocks. "
        if one.mode == "interleaved"
        else f"Sequential: {a} and {b} were measured in different runs, so that drift looks like a difference. "
    )
    margin = percent(one.margin)
    words = (
        f"{how}Verdicts are on {b}: better or worse where chance does not explain the difference (Holm's correction "
        f"over all of them), equivalent where the whole interval is within ±{margin}, else undecided."
    )
    found = [about(words)]
    if one.accepted is not None:
        reason = f"Failed checks were accepted: {sanitize(one.accepted, 300)}"
        found.append(banner("warn", reason))
    found += [about(sanitize(untested, 400)) for untested in untested_words(one)]
    found += [banner("warn", sanitize(note, 400)) for note in one.notes]
    return found


def all_charts(comparisons: Sequence[Comparison], series: Sequence[Series]) -> list[Chart]:
    """Two charts a comparison."""
    return [chart for place, one in enumerate(comparisons) for chart in _charts(place, one, series)]


def _charts(place: int, one: Comparison, series: Sequence[Series]) -> Iterator[Chart]:
    forest_key, blocks_key = keys(place)
    a, b = (sanitize(side.label, 40) for side in (one.a, one.b))
    yield Chart(
        forest_key,
        f"How much better {b} is",
        f"Its speed against that of {a}, with 95 % intervals; times are turned round, so that right is better for {b}. "
        f"Band: ±{percent(one.margin)}, which does not matter.",
        [Option("all", _forest(one))],
    )
    options = [
        Option(f"{figure_name(found)}, {level.load_point.label}", _blocks(one, found, series))
        for level in one.levels
        for found in level.metrics.values()
        if found.change is not None and found.blocks_a
    ]
    if options:
        caption = "One value a block. Two servers that rise and fall together share a machine that changed."
        yield Chart(blocks_key, "Blocks over time", caption, options, 0, blocks_key)


# ---- forest plot ------------------------------------------------------------------------------------


def _rows(one: Comparison) -> list[_Row]:
    return [
        (level, found, f"{level.load_point.short}  {figure_name(found).removesuffix(' ms')}")
        for level in one.levels
        for found in tested(level)
    ]


def _forest(one: Comparison) -> go.Figure | None:
    """Ratios with intervals; a refused row has its reason where its number would be."""
    rows = _rows(one)
    judged = [row for row in rows if row[1].change is not None and row[1].ci95 is not None]
    if not judged:
        return None
    figure = go.Figure()
    figure.add_vrect(x0=-100 * one.margin, x1=100 * one.margin, fillcolor=MUTED[0], opacity=0.22, line={"width": 0})
    figure.add_vline(x=0, line={"color": MUTED[0], "width": 1})
    for verdict, symbol in _SYMBOLS.items():
        _add_verdicts(figure, [row for row in judged if row[1].verdict == verdict], verdict, symbol)
    for _, found, name in rows:
        if found.change is None or found.ci95 is None:
            figure.add_annotation(
                x=0, y=name, text=plotly_text(f"no verdict: {found.reason}", 46), showarrow=False,
                font={"size": 11, "color": MUTED[0]},
            )  # fmt: skip
    figure.update_layout(
        height=90 + 30 * len(rows),
        showlegend=True,
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
        xaxis={"title": {"text": "Difference in speed (%)"}, "ticksuffix": " %"},
        yaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": [name for _, _, name in reversed(rows)],
            "range": [-0.6, len(rows) - 0.4],
        },
    )
    return figure


def _add_verdicts(figure: go.Figure, rows: Sequence[_Row], verdict: str, symbol: str) -> None:
    if not rows:
        return
    points = [_advantage(found) for _, found, _ in rows]
    colour = {"better": SERIES_COLOURS[2][0], "worse": FAILURE[0]}.get(verdict, SERIES_COLOURS[0][0])
    figure.add_scatter(
        x=[round(middle, 2) for middle, _, _ in points],
        y=[name for _, _, name in rows],
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [round(high - middle, 2) for middle, _, high in points],
            "arrayminus": [round(middle - low, 2) for middle, low, _ in points],
            "thickness": 2,
            "width": 5,
        },
        mode="markers",
        name=shown_verdict(verdict),
        marker={"symbol": symbol, "size": 10, "color": colour, "line": {"width": 1.5, "color": colour}},
        customdata=[f"{low:+.1f} to {high:+.1f} %" for _, low, high in points],
        hovertemplate="%{y}<br>%{x:+.1f} % (95 % interval %{customdata})<br>"
        + shown_verdict(verdict)
        + "<extra></extra>",
    )


def _advantage(found: MetricComparison) -> tuple[float, float, float]:
    """By how many percent B is faster, with its interval: of a time, the ratio is turned round. Of shares, by how many
    points B's is larger."""
    change, interval = found.change, found.change95
    assert change is not None
    assert interval is not None
    middle, (low, high) = change, interval
    if found.better == "lower":
        middle, low, high = (1 / (1 + edge) - 1 for edge in (change, high, low))
    return 100 * middle, 100 * low, 100 * high


# ---- blocks over time -------------------------------------------------------------------------------


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
        height=max(CURVE_HEIGHT, 60 + 30 * sum(len(level.metrics) for level in one.levels)),
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
            if one.target["name"] == side.target and one.run.result.get("run_id") == side.run_id:
                return one.style.on_dark, one.style.symbol
    return SERIES_COLOURS[place][0], SYMBOLS[place]


# ---- tables -----------------------------------------------------------------------------------------


def figures_table(one: Comparison) -> Markup:
    """Every figure at every level with its verdict, or why it has none."""
    a, b = (sanitize(side.label, 40) for side in (one.a, one.b))
    head = [
        column("Concur\u00adrency", number=True),
        column("Figure"),
        *(column(name, number=True) for name in (a, b, "Change", "95 % interval")),
        column(f"{b} is"),
    ]
    bodies = [h("tbody", None, _figure_rows(level)) for level in one.levels]
    return grouped_table("Every figure compared; change is from the first to the second.", head, bodies)


def _figure_rows(level: LevelComparison) -> list[Markup]:
    """A reason that several figures in a row share is given once."""
    rows, before = [], None
    for place, found in enumerate(tested(level)):
        reason = found.reason if found.verdict in ("refused", "undecided") else None
        rows.append(_figure_row(level, found, place, "as above" if reason and reason == before else reason))
        before = reason
    return rows


def _figure_row(level: LevelComparison, found: MetricComparison, place: int, reason: str | None) -> Markup:
    return row(
        h("td", NUMBER, level.load_point.cell if place == 0 else ""),
        h("td", {"class": "fig"}, figure_name(found)),
        number_cells(cells_of(found)),
        h(
            "td",
            {"class": "why" if reason else None},
            chip(shown_verdict(found.verdict), _CHIPS.get(found.verdict, "")),
            sanitize(reason, 400) if reason else None,
        ),
    )


def audit_table(one: Comparison) -> Markup:
    """Whether both did the same work, check by check."""
    a, b = (sanitize(side.label, 40) for side in (one.a, one.b))
    head = [column("Same work?"), column(""), column(a), column(b), column("")]
    rows = []
    for line in one.audit:
        where = f", {labels(line.load_points)}" if line.load_points else ""
        status = STATUS[line.status] + (", accepted" if line.accepted else "")
        rows.append(
            row(
                h("td", None, f"{line.title}{where}"),
                h("td", None, chip(status, _CHIPS.get(line.status, ""))),
                [h("td", {"class": "who"}, sanitize(words, 200)) for words in (line.a, line.b)],
                h("td", None, sanitize(line.sentence, 400)),
            )
        )
    return boxed_table("Checked before any verdict. What failed refuses the figures it bears on.", head, rows)
