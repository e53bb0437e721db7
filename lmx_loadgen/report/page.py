"""The page: one HTML file that needs nothing else, no network included.

Scripts may run only if their hash is named in the page's Content-Security-Policy, so that markup which slipped
through would still be dead. Data travels as JSON in a block that is never executed.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

from plotly.offline import get_plotlyjs

from lmx_loadgen import __version__
from lmx_loadgen.report import cards, charts, instrument, page_header, palette, ranking, tables, verdicts, workloads
from lmx_loadgen.report.card_data import Card, cards_of
from lmx_loadgen.report.charts import Chart
from lmx_loadgen.report.markup import Child, Markup, about, h
from lmx_loadgen.report.table import Table
from lmx_loadgen.report.view import RunView, Series, series_of
from lmx_loadgen.report.workload_charts import workload_charts
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.reference import Reference
from lmx_loadgen.store.result import BenchmarkResult
from lmx_loadgen.store.tools_vs_truth import ToolsVsTruth


def build_page(
    runs: Sequence[RunView],
    peers: ToolsVsTruth | None = None,
    comparisons: Sequence[Comparison] | None = None,
    reference: Reference | None = None,
    imported: Sequence[BenchmarkResult] = (),
) -> str:
    """The page as a string: every run's targets on shared axes.

    `peers` is how wrong other tools were found to be. `comparisons` are shown in place of those that the runs carry.
    `reference` has the figures that others published, `imported` are results in the plan's shape from elsewhere.
    """
    series = series_of(runs)
    every = list(comparisons) if comparisons is not None else verdicts.of_runs(runs)
    matches = every[: verdicts.MOST]
    ranked = ranking.rankings_of(every)
    shown = _all_charts(series, peers, matches)
    found = cards_of(series, every, reference, imported)
    header = h(
        "header",
        None,
        page_header.headline(runs, series),
        page_header.banners(runs, series),
        [ranking.table(of_run) for of_run in ranked.values()],
        [verdicts.sentences(one) for one in matches if one.a.run_id not in ranked or one.mode != "interleaved"],
        page_header.glance(series),
    )
    main = h("main", None, _sections(runs, series, shown, peers, matches, found))
    body = h("div", {"class": "wrap"}, _bar(), header, main, _footer())
    return _document(page_header.title_of(series), body, _page_data(shown.values()))


def _all_charts(
    series: Sequence[Series], peers: ToolsVsTruth | None, comparisons: Sequence[Comparison]
) -> dict[str, Chart]:
    """The charts that have anything to draw."""
    every = [
        *verdicts.all_charts(comparisons, series),
        *workload_charts(series),
        *(charts.concurrency_charts(series) if workloads.is_one_workload(series) else ()),
        *charts.distribution_charts(series),
        charts.timeline_chart(series),
        charts.error_chart(series),
        instrument.peers_chart(peers),
    ]
    return {chart.key: chart for chart in every if not chart.is_empty()}


# ---- body -------------------------------------------------------------------------------------------


def _sections(
    runs: Sequence[RunView],
    series: Sequence[Series],
    shown: dict[str, Chart],
    peers: ToolsVsTruth | None,
    comparisons: Sequence[Comparison],
    found: Sequence[Card],
) -> list[Child]:
    return [
        _section("summary", "Summary", cards.summary(found)) if found else None,
        _section("cards", "Report cards", cards.all_cards(found)) if found else None,
        [_comparison(place, one, shown) for place, one in enumerate(comparisons)],
        _section("levels", "Every level", tables.summary(series)),
        [_workload(*one, shown) for one in workloads.tables_of_series(series)],
        page_header.key(series),
        _section("concurrency", "As more requests run at once", _grid("three", shown, "ttft", "decode", "output"))
        if workloads.is_one_workload(series)
        else None,
        _section(
            "distributions",
            "One level, closer",
            _control(shown.get("ttft-ecdf"), "Concurrency"),
            _grid("two", shown, "ttft-ecdf", "gap-ecdf"),
        ),
        _section(
            "timeline", "Request by request", _control(shown.get("timeline"), "Show"), _grid("", shown, "timeline")
        ),
        _section(
            "errors",
            "Errors",
            _grid("", shown, "errors", otherwise="No request failed."),
            tables.errors(series),
        ),
        _section("targets", "Notes on each target", tables.target_notes(series)),
        _section(
            "instrument",
            "How wrong the instrument is",
            instrument.calibrations(runs),
            _grid("", shown, instrument.CHART) if instrument.CHART in shown else None,
            instrument.peers_table(peers),
        ),
        _section("runs", "What was run", tables.what_was_run(runs)),
        _section("terms", "What the words mean", tables.terms()),
    ]


def _comparison(place: int, one: Comparison, shown: dict[str, Chart]) -> Markup:
    forest, blocks = verdicts.keys(place)
    return _section(
        f"comparison-{place}",
        verdicts.title(one),
        verdicts.method(one),
        _control(shown.get(blocks), "Blocks of"),
        _grid("two", shown, forest, blocks, otherwise="No figure could be compared: the table says why."),
        verdicts.figures_table(one),
        verdicts.audit_table(one),
    )


def _workload(key: str, title: str, table: Table, shown: dict[str, Chart]) -> Markup:
    found = [shown[name] for name in _WORKLOAD_CHARTS.get(key, ()) if name in shown]
    rows = [h("tr", None, [h("td", None, f"{cell.text}{cell.mark}") for cell in row]) for row in table.shown().rows]
    titles = [f"{one.title} ({one.beside})" if one.beside else one.title for one in table.shown().columns]
    head = h("thead", None, h("tr", None, [h("th", {"scope": "col"}, one) for one in titles]))
    return _section(
        key,
        title,
        about(table.caption),
        h("div", {"class": "scroll"}, h("table", None, head, h("tbody", None, rows))),
        [about(note) for note in table.footnotes],
        [_control(chart, "Show") for chart in found],
        _grid("two" if len(found) > 1 else "", shown, *(chart.key for chart in found)) if found else None,
    )


_WORKLOAD_CHARTS = {"shapes": ("shape-map",), "turns": ("turn-ttft", "turn-decode")}


def _bar() -> Markup:
    toggle = h("button", {"type": "button", "id": "theme"}, "Light page")
    return h("div", {"class": "bar"}, h("div", {"class": "brand"}, h("strong", None, "lmx-loadgen"), " report"), toggle)


def _section(key: str, title: str, *children: Child) -> Markup:
    heading = f"{key}-title"
    return h("section", {"id": key, "aria-labelledby": heading}, h("h2", {"id": heading}, title), children)


def _grid(
    shape: str, shown: dict[str, Chart], *keys: str, otherwise: str = "Nothing to draw: no request succeeded."
) -> Markup:
    """The charts side by side, or a sentence where none of them has anything to draw."""
    drawn = [_figure(shown[key]) for key in keys if key in shown]
    return h("div", {"class": f"grid {shape}".strip()}, drawn) if drawn else about(otherwise)


def _control(chart: Chart | None, label: str) -> Markup | None:
    """The choice shared by all charts of a control, or nothing where there is nothing to choose."""
    if chart is None or len(chart.options) < 2:
        return None
    options = [
        h("option", {"selected": "" if place == chart.chosen else None}, option.label)
        for place, option in enumerate(chart.options)
    ]
    return h("label", {"class": "control"}, label, h("select", {"data-control": chart.control}, options))


def _figure(chart: Chart) -> Markup:
    title = f"{chart.key}-caption"
    return h(
        "figure",
        {"aria-labelledby": title},
        h("figcaption", {"id": title}, h("h3", None, chart.title), h("p", None, chart.caption)),
        h("div", {"class": "plot", "id": f"chart-{chart.key}", "role": "img", "aria-label": chart.title}),
        h("p", {"class": "note", "id": f"note-{chart.key}", "role": "status"}),
    )


def _footer() -> Markup:
    return h(
        "footer",
        None,
        f"Drawn by lmx-loadgen {__version__}. This file is complete in itself and asks no network for anything.",
    )


# ---- document ---------------------------------------------------------------------------------------


def _document(title: str, body: Markup, data: dict[str, Any]) -> str:
    scripts = [_script_text(get_plotlyjs()), _script_text(_asset("page.js"))]
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(_hash_source(script) for script in scripts)}",
            # Plotly sets style attributes and adds a style sheet of its own.
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    top = [
        h("meta", {"charset": "utf-8"}),
        h("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        h("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        h("meta", {"name": "referrer", "content": "no-referrer"}),
        h("link", {"rel": "icon", "href": "data:,"}),
        h("title", None, f"{title} · lmx-loadgen"),
        Markup(f"<style>{_series_colours()}{_asset('page.css')}</style>"),
    ]
    end = [
        h("noscript", None, "The charts need JavaScript; the tables do not."),
        Markup(f'<script type="application/json" id="page-data">{_embedded(data)}</script>'),
        *(Markup(f"<script>{script}</script>") for script in scripts),
    ]
    page = h("html", {"lang": "en", "data-theme": "dark"}, h("head", None, top), h("body", None, body, end))
    return f"<!doctype html>\n{page}\n"


def _asset(name: str) -> str:
    return files("lmx_loadgen.report").joinpath("assets", name).read_text(encoding="utf-8")


def _series_colours() -> str:
    """The palette as CSS: `.c0` … carry their series' colour in either theme."""
    dark = "".join(f"--s{i}:{on_dark};" for i, (on_dark, _) in enumerate(palette.SERIES_COLOURS))
    light = "".join(f"--s{i}:{on_light};" for i, (_, on_light) in enumerate(palette.SERIES_COLOURS))
    classes = "".join(f".c{i}{{--series:var(--s{i})}}" for i in range(len(palette.SERIES_COLOURS)))
    return f':root{{{dark}}}:root[data-theme="light"]{{{light}}}{classes}\n'


def _script_text(source: str) -> str:
    """The script as the browser will see it. An HTML parser turns CRLF into LF, and the hash is of what it sees."""
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    if "</script" in text.lower():
        raise AssertionError("a script of the page would end its own element")
    return text


def _hash_source(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _page_data(shown: Iterable[Chart]) -> dict[str, Any]:
    return {
        "templates": palette.templates(),
        "light": palette.dark_to_light(),
        "charts": {chart.key: _chart_data(chart) for chart in shown},
    }


def _chart_data(chart: Chart) -> dict[str, Any]:
    options = [
        {
            "note": option.note,
            "figure": None if option.figure is None else _bare(option.figure.to_dict()),
        }
        for option in chart.options
    ]
    return {"control": chart.control, "chosen": chart.chosen, "options": options}


def _bare(figure: dict[str, Any]) -> dict[str, Any]:
    """A figure without plotly's default template, 7 kB each; the page has its own."""
    return {"data": figure["data"], "layout": {k: v for k, v in figure["layout"].items() if k != "template"}}


def _embedded(data: dict[str, Any]) -> str:
    """JSON that cannot end its script element, open a comment in it, or hold what is not JSON (NaN)."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
