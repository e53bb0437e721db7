"""The charts of open loops and of searches for the capacity, with their words and the choices a reader has."""

from collections.abc import Sequence

from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.report.capacity_figure import share_against_load
from lmx_loadgen.report.charts import CURVE_POINTS, Chart, Option, chart_of, small
from lmx_loadgen.report.flight_figure import in_flight
from lmx_loadgen.report.load_figures import latency_against_load, throughput_against_latency
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.result import OpenLoopResult

_LATENCIES = ("ttft", "tpot", "e2e")
_ALL_FLIGHT_POINTS = 20_000


def load_charts(series: Sequence[Series]) -> list[Chart]:
    """Latency against load, and throughput against latency."""
    against, throughput = [], []
    for metric in _LATENCIES:
        title = METRICS[metric].title
        against.append(Option(title, latency_against_load(series, metric, _limit_s(series, metric))))
        throughput.append(Option(title, throughput_against_latency(series, metric)))
    words = (
        "Median, whisker up to p95; TTFT from the scheduled time. The knee is the load at which throughput ÷ response "
        "time is greatest. A cross marks a load that was too much: its latency depends on how long one looks."
    )
    return [
        Chart("load-latency", "Latency against load", words, against, 0, "latency"),
        Chart(
            "load-throughput",
            "Throughput against latency",
            "Each marker is a load, joined from the lightest to the heaviest. Down and to the right is better.",
            throughput,
            0,
            "latency",
        ),
    ]


def head_chart(series: Sequence[Series]) -> Chart:
    """The chart above the fold: the curve of a search for the capacity, or TTFT against load, smaller."""
    found = [
        (capacity_chart(series), share_against_load(series)),
        (load_charts(series)[0], latency_against_load(series, "ttft", _limit_s(series, "ttft"))),
    ]
    shown = [Option(chart.title, small(figure), chart.caption) for chart, figure in found if figure is not None]
    return Chart("head", "Against load", "", shown[:1])


def capacity_chart(series: Sequence[Series]) -> Chart:
    """The share of requests within the limits at every load that was tried."""
    words = "Share of the requests that met every limit, with its interval over blocks."
    return chart_of("capacity", "Share within the limits", words, share_against_load(series))


def flight_chart(series: Sequence[Series]) -> Chart:
    """The requests in flight of an open loop over time; the heaviest load is shown first."""
    places = [(one, level) for one in series for level in one.levels if level.load_point.IS_OPEN]
    most = min(CURVE_POINTS, _ALL_FLIGHT_POINTS // max(1, len(places)))
    options = [
        Option(f"{one.name}, {level.load_point.label}", in_flight(one, level, most), _sentence(level.open_loop))
        for one, level in places
    ]
    heaviest = max(range(len(places)), key=lambda place: (places[place][1].load_point.order, -place), default=0)
    words = "Where a server keeps up, they rise and fall around a mean; where it does not, they grow."
    return Chart("in-flight", "Requests in flight", words, options, heaviest, "flight")


def _limit_s(series: Sequence[Series], metric: str) -> float | None:
    """The SLO of a latency, where all runs have the same."""
    limits = {(one.run.result.profile.get("slo") or {}).get(metric) for one in series}
    return limits.pop() if len(limits) == 1 else None


def _sentence(found: OpenLoopResult | None) -> str:
    """Why the server could not keep up, where it could not."""
    return sanitize(found.sentence or "", 300) if found is not None else ""
