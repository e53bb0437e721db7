"""Which charts the page shows, with their words and the choices a reader has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.report import figures, samples
from lmx_loadgen.report.view import Series, better_words, load_points, point_of

# The page carries plotly.js (5 MB). These bounds keep the rest within about 3 MB, however much was measured.
CURVE_POINTS = 2_000
ALL_CURVE_POINTS = 60_000
TIMELINE_REQUESTS = 1_000
ALL_TIMELINE_REQUESTS = 12_000
FEWEST = 50


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
    """What happens as more requests run at once."""
    declared = (
        ("ttft", "ttft", "Time to first token", "Median, whisker up to p95."),
        ("decode", "decode_tok_s", "Decode rate of one answer", "Median, whisker down to what 95 % of answers reach."),
        ("output", "output_tok_s", "Output of the whole system", "All answers together while the load was full."),
    )
    return [
        chart_of(key, title, f"{caption} {better_words(metric)}", figures.against_concurrency(series, metric))
        for key, metric, title, caption in declared
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
    values_of: Callable[[Sequence[Record], str], list[float]],
    metric: str,
    most: int,
    *,
    log_x: bool,
) -> list[Option]:
    options = []
    for point in points:
        pairs = [(one, level) for one in series if (level := one.level_at(point)) is not None]
        curves = [
            (one, *_sample_of(one.requests_of(level), level["sample"], values_of, metric)) for one, level in pairs
        ]
        options.append(Option(point.cell, figures.distribution(curves, metric, most, log_x=log_x)))
    return options


def _sample_of(
    requests: Sequence[Record],
    sample: str,
    values_of: Callable[[Sequence[Record], str], list[float]],
    metric: str,
) -> tuple[list[float], int]:
    """A metric's values, and how many are missing because their request failed: none where gaps are pooled."""
    failed = samples.failed_in_sample(requests, sample) if METRICS[metric].scope == "request" else 0
    return values_of(requests, sample), failed


def _fullest(series: Sequence[Series], points: Sequence[LoadPoint]) -> int:
    """The highest level that most series measured: where servers differ most, and where all can be seen."""

    def measured(point: LoadPoint) -> int:
        found = [one.level_at(point) for one in series]
        return sum(level is not None and level["requests"]["ok"] > 0 for level in found)

    return max(range(len(points)), key=lambda index: (measured(points[index]), index), default=0)


def timeline_chart(series: Sequence[Series]) -> Chart:
    """When each request of one level of one target waited and streamed."""
    places = [(one, level) for one in series for level in one.levels()]
    most = max(FEWEST, min(TIMELINE_REQUESTS, ALL_TIMELINE_REQUESTS // max(1, len(places))))
    options = []
    for one, level in places:
        total = len(figures.first_block(one.requests_of(level)))
        note = f"{most:,} of {total:,} requests are drawn, evenly chosen." if total > most else ""
        if total < len(one.requests_of(level)):
            note = f"{note} The first block is drawn; between blocks it was another target's turn.".strip()
        label = f"{one.name}, {point_of(level).label}"
        options.append(Option(label, figures.timeline(one, level, most), note))
    fitting = [i for i, option in enumerate(options) if option.figure is not None]
    slots = [point_of(level).slots for _, level in places]
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


def error_chart(series: Sequence[Series]) -> Chart:
    """Failures by kind."""
    caption = "Requests that failed, over all levels. In percentiles they count as worse than any answer."
    return chart_of("errors", "Errors by kind", caption, figures.errors_by_kind(series))
