"""Which charts the page shows, with their words and the choices a reader has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.report import figures, samples
from lmx_loadgen.report.level_table import common_unit, rate_unit
from lmx_loadgen.report.view import Series, better_words, load_points

# The page carries plotly.js (5 MB). These bounds keep the rest within about 3 MB, however much was measured.
CURVE_POINTS = 2_000
ALL_CURVE_POINTS = 60_000
TIMELINE_REQUESTS = 1_000
ALL_TIMELINE_REQUESTS = 12_000
FEWEST = 50
_AGAINST_LOAD = (
    ("ttft", "ttft", "Time to first token", "Median, whisker up to p95."),
    ("decode", "decode_tok_s", "Decode rate of one answer", "Median, whisker down to what 95 % of answers reach."),
    ("output", "output_tok_s", "Output of the whole system", "All answers together while the load was full."),
)


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a chart: what the reader picks, and what is then drawn (`None`: nothing to draw)."""

    label: str
    figure: go.Figure | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its words. Charts with the same `control` change together; `None`: there is one option."""

    key: str
    title: str
    caption: str
    options: list[Option]
    chosen: int = 0
    control: str | None = None

    def is_empty(self) -> bool:
        return all(option.figure is None for option in self.options)


def chart_of(key: str, title: str, caption: str, figure: go.Figure | None) -> Chart:
    """A chart of all levels, with nothing to choose."""
    return Chart(key, title, caption, [Option("all levels", figure)])


def concurrency_charts(series: Sequence[Series]) -> list[Chart]:
    """How figures scale with concurrency, for each class of prompts."""
    found = []
    for key, metric, title, caption in _AGAINST_LOAD:
        options = [Option(label, figure) for label, figure in _of_classes(series, metric)]
        words = f"{caption} {better_words(metric)}{'' if metric == 'ttft' else _unit_words(series)}"
        found.append(Chart(key, title, words, options, 0, "prompts" if len(options) > 1 else None))
    return found


def head_chart(series: Sequence[Series]) -> Chart:
    """The chart above the fold: the same figures one at a time, smaller."""
    options = []
    for _, metric, title, caption in _AGAINST_LOAD:
        found = [(label, figure) for label, figure in _of_classes(series, metric) if figure is not None]
        note = caption if metric == "ttft" else f"{caption}{_unit_words(series)}"
        options += [
            Option(f"{title}, {label}" if len(found) > 1 else title, small(figure), note) for label, figure in found
        ]
    return Chart("head", "Against load", "", options, 0, "head")


def small(figure: go.Figure) -> go.Figure:
    """Of half the height, on a page that shows more than it."""
    key = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}
    return figure.update_layout(height=226, showlegend=True, legend=key)


def _of_classes(series: Sequence[Series], metric: str) -> list[tuple[str, go.Figure | None]]:
    names = prompt_classes(series) if metric != "output_tok_s" else []
    if len(names) < 2:
        return [("all levels", figures.against_concurrency(series, metric))]
    return [(f"{name} prompts", figures.against_concurrency(series, metric, name)) for name in names]


def prompt_classes(series: Sequence[Series]) -> list[str]:
    """Every class of prompts that any level has figures of."""
    return list(dict.fromkeys(name for one in series for level in one.levels for name in level.by_prompt_class))


def _unit_words(series: Sequence[Series]) -> str:
    """What to know where rates have several units: they are not to be held against each other."""
    if not any(one.levels for one in series) or common_unit([level for one in series for level in one.levels]):
        return ""
    units = [f"{one.name} in {rate_unit(one.levels[0])}" for one in series if one.levels]
    return f" Rates have different units: {', '.join(units)}."


def trend_charts(series: Sequence[Series]) -> list[Chart]:
    """From run to run, where lines against load would cover each other."""
    return [
        chart_of(
            f"trend-{key}",
            f"{title}, run by run",
            f"Median at the lowest concurrency. Separate runs also differ by chance and heat. {better_words(metric)}",
            figures.trend(series, metric),
        )
        for key, metric, title, _ in _AGAINST_LOAD[:2]
    ]


def distribution_charts(series: Sequence[Series]) -> list[Chart]:
    """How TTFT and chunk gaps spread at one load, which the reader chooses."""
    points = load_points(series)
    most = max(FEWEST, min(CURVE_POINTS, ALL_CURVE_POINTS // max(1, 2 * len(points) * len(series))))
    fullest = _fullest(series, points)
    ttft = _distributions(series, points, samples.ttft_s, "ttft", most, log_x=False)
    gaps = _distributions(series, points, samples.chunk_gaps_s, "chunk_gap", most, log_x=True)
    within = "Share of requests whose first token came within that time. Failed ones never came."
    pauses = "Share of pauses between pieces of text that were at most that long. A long right tail is stutter."
    return [
        Chart("ttft-ecdf", "Distribution of TTFT", within, ttft, fullest, "concurrency"),
        Chart("gap-ecdf", "Distribution of chunk gaps", pauses, gaps, fullest, "concurrency"),
    ]


def _distributions(
    series: Sequence[Series],
    points: Sequence[LoadPoint],
    values_of: Callable[[Sequence[Record], str], Sequence[float]],
    metric: str,
    most: int,
    *,
    log_x: bool,
) -> list[Option]:
    options = []
    for point in points:
        pairs = [(one, level) for one in series if (level := one.level_at(point)) is not None]
        if metric == "ttft":  # of an overloaded level it would depend on how long the load lasted
            pairs = [(one, level) for one, level in pairs if level.open_loop is None or not level.open_loop.overloaded]
        curves = [(one, *_sample_of(one.requests_of(level), level.sample, values_of, metric)) for one, level in pairs]
        pooled = max((level.requests.ok for _, level in pairs), default=0)
        is_thinned = metric == "chunk_gap" and pooled > samples.MOST_POOLED
        note = f"Of {samples.MOST_POOLED:,} answers of each, evenly chosen." if is_thinned else ""
        options.append(Option(point.cell, figures.distribution(curves, metric, most, log_x=log_x), note))
    return options


def _sample_of(
    requests: Sequence[Record],
    sample: str,
    values_of: Callable[[Sequence[Record], str], Sequence[float]],
    metric: str,
) -> tuple[Sequence[float], int]:
    """A metric's values, and how many are missing because their request failed: none where gaps are pooled."""
    failed = samples.failed_in_sample(requests, sample) if METRICS[metric].scope == "request" else 0
    return values_of(requests, sample), failed


def _fullest(series: Sequence[Series], points: Sequence[LoadPoint]) -> int:
    """The highest level that most series measured: where servers differ most, and where all can be seen."""

    def measured(point: LoadPoint) -> int:
        found = [one.level_at(point) for one in series]
        return sum(level is not None and level.requests.ok > 0 for level in found)

    return max(range(len(points)), key=lambda index: (measured(points[index]), index), default=0)


def timeline_chart(series: Sequence[Series]) -> Chart:
    """When each request of one level of one target waited and streamed."""
    places = [(one, level) for one in series for level in one.levels]
    most = max(FEWEST, min(TIMELINE_REQUESTS, ALL_TIMELINE_REQUESTS // max(1, len(places))))
    options = []
    for one, level in places:
        total = len(figures.first_block(one.requests_of(level)))
        note = f"{most:,} of {total:,} requests are drawn, evenly chosen." if total > most else ""
        if total < len(one.requests_of(level)):
            note = f"{note} The first block is drawn; between blocks it was another target's turn.".strip()
        options.append(Option(f"{one.name}, {level.load_point.label}", figures.timeline(one, level, most), note))
    fitting = [i for i, option in enumerate(options) if option.figure is not None]
    slots = [level.load_point.slots for _, level in places]
    busiest = max(fitting, key=lambda i: (slots[i] <= 16, slots[i], -i), default=0)
    return Chart(
        "timeline",
        "Timeline of requests",
        "One lane a slot. Pale: waiting for the first token. Solid: streaming. Grey: warm-up, hatched if cancelled. "
        "Red with a cross: failed.",
        options,
        busiest,
        "timeline",
    )


def head_errors(series: Sequence[Series]) -> Chart:
    """The chart above the fold where no request succeeded."""
    return chart_of("head", "Errors by kind", "Requests that failed, over all levels.", figures.errors_by_kind(series))
