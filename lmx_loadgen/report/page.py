"""The page: one HTML file that needs nothing else, no network included.

What it shows is put together here as parts, and drawn by `templates/`, which escape all there is. Scripts may run only
if their hash is named in the page's Content-Security-Policy, so that markup which slipped through would still be dead.
Data travels as JSON in a block that is never executed.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from lmx_loadgen import __version__
from lmx_loadgen.analysis.formats import short_time
from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.report import card_parts, card_tables, charts, headline, load_charts, palette, run_parts
from lmx_loadgen.report.card_data import Card, cards_of
from lmx_loadgen.report.charts import Chart
from lmx_loadgen.report.comparison import how, title
from lmx_loadgen.report.comparison_table import audit_counts, audit_table, comparison_table, ranking_table
from lmx_loadgen.report.head_to_head import MOST, block_charts, first_forest, of_runs, whole_forest
from lmx_loadgen.report.level_table import ShownTarget, level_table, side_by_side
from lmx_loadgen.report.parts import Folded, Grid, Listed, Section, Words
from lmx_loadgen.report.ranking import rankings_of
from lmx_loadgen.report.sanitize import sanitize, unbroken
from lmx_loadgen.report.table import Table
from lmx_loadgen.report.view import Series, newest_each, series_of, title_of
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.reference import Reference
from lmx_loadgen.store.result import BenchmarkResult

MOST_RUNS = 6  # of more, lines against load would cover each other: a trend takes their place
_NO_LIMIT = 1_000_000


def build_page(
    runs: Sequence[RunView],
    comparisons: Sequence[Comparison] | None = None,
    reference: Reference | None = None,
    imported: Sequence[BenchmarkResult] = (),
) -> str:
    """The page as a string: every run's targets on shared axes.

    `comparisons` are shown in place of those that the runs carry. `reference` has the figures that others published,
    `imported` are results in the plan's shape from elsewhere.
    """
    series = series_of(runs)
    every = list(comparisons) if comparisons is not None else of_runs(runs)
    matches, shown = every[:MOST], series
    if len(runs) > MOST_RUNS:
        shown = sorted(newest_each(series), key=lambda one: one.index)
    ranked = next(iter(rankings_of(every).values()), [])
    found = cards_of(series, every, reference, imported)
    head = _head_charts(series, len(runs))
    sections = [one for one in _sections(runs, shown, matches, found) if one.parts]
    drawn = {chart.key: chart for chart in [*head, *_charts_in(sections)]}
    scripts = [_script_text(get_plotlyjs()), _script_text(_asset("page.js"))]
    return (
        _templates()
        .get_template("page.html")
        .render(
            title=title_of(series) if runs else "Single results" if imported else title_of(series),
            style=Markup(_series_colours() + _asset("page.css")),
            policy=_policy(scripts),
            scripts=[Markup(script) for script in scripts],
            data=Markup(_embedded(_page_data(drawn.values()))),
            version=__version__,
            banners=headline.banners(runs, series),
            answer=headline.answer(series, every),
            forest=first_forest(matches[0]) if matches and not ranked else None,
            against=title(matches[0]) if matches else "",
            ranking=ranking_table([one for one in ranked if one.figure in _RANKED][:4]) if ranked else None,
            head=Grid(head, choice="Figure") if head else None,
            trust=headline.trust(runs, matches if ranked else matches[:1]) if runs else "",
            sections=sections,
            series=series,
            shown=shown,
        )
    )


_RANKED = ("ttft_p50", "decode_tok_s_p50")


def summary_html(runs: Sequence[RunView]) -> str:
    """The table of every level alone, as a notebook shows it."""
    series = series_of(runs)
    table = level_table([ShownTarget(one.name, one.target) for one in series])
    return str(_templates().get_template("parts.html").module.part(table, series))  # type: ignore[attr-defined]


def _head_charts(series: Sequence[Series], runs: int) -> list[Chart]:
    """What stands beside the answer: figures against load, run by run where there are many; or the errors."""
    found = [load_charts.head_chart(series), charts.head_chart(series), charts.head_errors(series)]
    if runs > MOST_RUNS:
        return [chart for chart in charts.trend_charts(series) if not chart.is_empty()][:1]
    return [chart for chart in found if not chart.is_empty()][:1]


# ---- sections ---------------------------------------------------------------------------------------


def _sections(
    runs: Sequence[RunView], series: Sequence[Series], comparisons: Sequence[Comparison], cards: Sequence[Card]
) -> Iterator[Section]:
    yield Section("figures", "Figures", [*_figures(runs, series, cards)])
    yield from _head_to_heads(comparisons, {chart.key: chart for chart in block_charts(comparisons, series)})
    if len(runs) > MOST_RUNS:
        yield Section("trend", "Run by run", _grid(charts.trend_charts(series_of(runs))[1:], 1))
    yield Section("capacity", "Capacity", [*_capacity(runs, series)])
    yield Section("load", "Latency and load", _grid(load_charts.load_charts(series), 2, "Latency"))
    yield Section("flight", "Requests in flight", _grid([load_charts.flight_chart(series)], 1, "Load"))
    yield Section("scaling", "Scaling with concurrency", _grid(charts.concurrency_charts(series), 3, "Prompts"))
    spread = _grid(charts.distribution_charts(series), 2, "Concurrency")
    yield Section("distributions", "Latency distribution", spread)
    yield Section("timeline", "Timeline", _grid([charts.timeline_chart(series)], 1, "Show"))
    errors = run_parts.errors_table(series)
    yield Section("errors", "Errors", [errors] if errors.rows else [])
    yield Section("cards", "Report cards", [card_parts.report_cards(cards)] if cards else [])
    checks = card_parts.capability_checks(cards)
    yield Section("checks", "Capability checks", [checks] if checks else [])
    yield Section("audit", "Audit: the same work?", [*map(_audit, comparisons)])
    yield Section("runs", "What was run", [run_parts.what_was_run(runs, series)] if runs else [])
    yield Section("accuracy", "Measurement accuracy", run_parts.accuracy(runs, series) if runs else [])
    yield Section("glossary", "Glossary", [run_parts.glossary()])


def _figures(runs: Sequence[RunView], series: Sequence[Series], cards: Sequence[Card]) -> Iterator[Any]:
    targets = [ShownTarget(one.name, one.target, one.index) for one in series]
    if len(targets) == 2 and series[0].run is series[1].run:
        yield side_by_side(targets[0], targets[1])
    elif any(one.levels for one in series):
        yield level_table(targets)
    elif series:
        yield Words("No level was measured.")
    if cards:
        yield card_tables.summary_table(cards)


def _capacity(runs: Sequence[RunView], series: Sequence[Series]) -> Iterator[Any]:
    """What each search found, and its curve."""
    found = [one.target.capacity.sentence for one in series if one.target.capacity is not None]
    if found:
        ratios = [one.sentence for run in runs for one in run.result.capacity_ratios]
        yield Listed([sanitize(sentence, 400) for sentence in (*found, *ratios)])
        yield from _grid([load_charts.capacity_chart(series)], 1)


def _head_to_heads(comparisons: Sequence[Comparison], blocks: Mapping[str, Chart]) -> Iterator[Section]:
    """The first comparison as a section; the others, and all where more than two targets are ranked, are folded."""
    parts = [[*_comparison(one, blocks.get(f"blocks-{place}"))] for place, one in enumerate(comparisons)]
    first = 0 if rankings_of(comparisons) else 1
    if comparisons[:first]:
        yield Section("comparison", title(comparisons[0]), parts[0])
    folded = [
        Folded(f"{title(one)}, {short_time(one.b.started_at)}", found)
        for one, found in zip(comparisons[first:], parts[first:], strict=True)
    ]
    yield Section("pairs", "Other comparisons" if first else "Pairwise comparisons", folded)


def _comparison(one: Comparison, blocks: Chart | None) -> Iterator[Any]:
    yield Listed([sanitize(sentence, 600) for sentence in one.sentences])
    yield whole_forest(one) or Words("No figure could be compared: the table says why.")
    yield comparison_table(one)
    if blocks is not None:
        yield Grid([blocks], choice="Blocks of")
    yield from (Words(sanitize(note.words, 400), "warn" if note.weight == "warn" else "") for note in how(one))
    yield from (Words(sanitize(note, 400), "warn") for note in one.notes)


def _audit(one: Comparison) -> Folded:
    """Folded where nothing failed."""
    counts = audit_counts(one.audit)
    is_open = any(line.status == "failed" for line in one.audit)
    return Folded(f"{title(one)}: {counts}", [audit_table(one)], is_open)


def _grid(found: Sequence[Chart], columns: int, choice: str = "") -> list[Any]:
    drawn = [chart for chart in found if not chart.is_empty()]
    return [Grid(drawn, min(columns, len(drawn)), choice)] if drawn else []


def _charts_in(parts: Sequence[Any]) -> Iterator[Chart]:
    for part in parts:
        if isinstance(part, Grid):
            yield from part.charts
        elif isinstance(part, Folded | Section):
            yield from _charts_in(part.parts)


# ---- document ---------------------------------------------------------------------------------------


@cache
def _templates() -> Environment:
    found = Environment(
        loader=PackageLoader("lmx_loadgen.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    found.filters |= {"unbroken": unbroken, "kind": lambda part: type(part).__name__}
    found.tests["table"] = lambda part: isinstance(part, Table)
    return found


def _printable(value: Any) -> Any:
    """What a template puts out: no control characters, whoever wrote them; nothing for what is not there."""
    if value is None:
        return ""
    return value if isinstance(value, Markup) else sanitize(value, _NO_LIMIT, keep_lines=True)


def _policy(scripts: Sequence[str]) -> str:
    return "; ".join(
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


def _asset(name: str) -> str:
    return files("lmx_loadgen.report").joinpath("assets", name).read_text(encoding="utf-8")


def _series_colours() -> str:
    """The palette as CSS: `.c0` … carry their series' colour in either theme."""
    colours = "".join(f"--s{i}:light-dark({light},{dark});" for i, (dark, light) in enumerate(palette.SERIES_COLOURS))
    classes = "".join(f".c{i}{{--series:var(--s{i})}}" for i in range(len(palette.SERIES_COLOURS)))
    return f":root{{{colours}}}{classes}\n"


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
        {"note": option.note, "figure": None if option.figure is None else _bare(option.figure.to_dict())}
        for option in chart.options
    ]
    return {"control": chart.control, "chosen": chart.chosen, "options": options}


def _bare(figure: dict[str, Any]) -> dict[str, Any]:
    """A figure without plotly's default template, 7 kB each; the page has its own."""
    return {"data": figure["data"], "layout": {k: v for k, v in figure["layout"].items() if k != "template"}}


def _embedded(data: dict[str, Any]) -> str:
    """JSON that cannot end its script element, open a comment in it, or hold what is not JSON (NaN)."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
