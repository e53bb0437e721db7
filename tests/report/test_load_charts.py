"""The page's charts of open loops and searches: latency and throughput against load, knee, SLO, requests in flight."""

from typing import Any

import plotly.graph_objects as go
import pytest

from lmx_loadgen.analysis.knee import knee
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.profile.load_point import ALONE, Closed, LoadPoint, Open
from lmx_loadgen.report import load_charts
from lmx_loadgen.report.flight_figure import in_flight
from lmx_loadgen.report.headline import answer
from lmx_loadgen.report.load_figures import latency_against_load, throughput_against_latency
from lmx_loadgen.report.page import build_page
from lmx_loadgen.report.view import Series, series_of
from tests.helpers.made_lines import MS, PROFILE, made_log, request_line, segment_line, steady

# TTFT in ms by load: the first is one at a time, the last one too much.
SWEEP: dict[LoadPoint, float] = {
    ALONE: 50.0,
    Open(rate=1.0): 50.0,
    Open(rate=2.0): 60.0,
    Open(rate=4.0): 80.0,
    Open(rate=6.0): 900.0,
    Open(rate=8.0): 3000.0,
}


def view_of(loads: dict[LoadPoint, float], slo: dict[str, Any] | None = None, **header: Any) -> RunView:
    """A run that was measured for ten seconds at each of these loads."""
    lines: list[dict[str, Any]] = []
    segments = []
    for at, wait in loads.items():
        place = {"load_point": at.model_dump()}
        is_over = at == max(loads, key=lambda point: point.order) and at.IS_OPEN
        stop = {"stopped": "overloaded: 9 requests/s came", "stop_kind": "overload"} if is_over else {}
        segments.append(segment_line(0, 10_000, 12_000, **place) | stop)
        each_ms = 1000 / at.rate if at.kind == "open" else 500
        for number in range(int(10_000 / each_ms)):
            due = number * each_ms
            line = request_line(steady(first=wait), send=due + 1, stalls=[], id=len(lines), **place)
            lines.append(line | {"intended_ns": round(due * MS)})
    load = {"max_in_flight": 256, "sweep": True}
    profile = PROFILE | {"slo": PROFILE["slo"] | (slo or {}), "load": load}
    run = MeasuredRun(made_log(lines, segments=segments, profile=profile, plan=[], **header))
    return RunView(summarize(run), run, "today")


def swept() -> list[Series]:
    return series_of([view_of(SWEEP, {"ttft": 0.5})])


def named(figure: go.Figure | None) -> dict[str, Any]:
    assert figure is not None
    return {trace.name: trace for trace in figure.data}


def test_latency_against_load_has_the_slo_the_knee_and_what_was_too_much() -> None:
    found = named(latency_against_load(swept(), "ttft", 0.5))

    assert set(found) == {"box", "knee of box", "box overloaded", "SLO: within 500 ms"}
    assert list(found["box"].x)[1:] == [2.0, 2.0, 4.0, 6.0, 8.0]
    assert list(found["box"].y) == pytest.approx([51.0, 50.0, 61.0, 81.0, 901.0, None])
    assert list(found["knee of box"].x) == [4.0, 4.0]
    assert list(found["box overloaded"].x) == [8.0]
    assert set(found["SLO: within 500 ms"].y) == {500.0}


def test_throughput_against_latency_is_joined_in_the_order_of_load() -> None:
    found = named(throughput_against_latency(swept(), "e2e"))

    assert list(found["box"].x) == sorted(found["box"].x)
    assert len(found["box"].x) == len(SWEEP)
    assert set(found) == {"box", "box overloaded"}


def test_the_knee_lies_within_or_nowhere() -> None:
    levels = swept()[0].levels

    assert knee(levels) == Open(rate=4.0)
    assert knee(levels[:4]) is None  # at the heaviest, maybe beyond
    assert knee(levels[:3]) is None  # too few


def test_requests_in_flight_rise_with_each_send_and_fall_with_each_end() -> None:
    (one,) = swept()
    level = one.level_at(Open(rate=6.0))
    assert level is not None
    (line,) = named(in_flight(one, level, 2_000)).values()

    assert max(line.y) == 6  # answers take 980 ms, and one comes every 167 ms
    assert line.y[-1] == 0
    assert line.x[0] == pytest.approx(0.001)


def test_the_page_shows_what_open_loops_have_and_the_answer_says_what_was_too_much() -> None:
    run = view_of(SWEEP)
    page = build_page([run])

    assert [f'id="chart-{key}"' in page for key in ("load-latency", "load-throughput", "in-flight")] == [True] * 3
    assert 'id="scaling"' not in page
    assert answer(series_of([run]), [])[0].endswith("It keeps up with 6 req/s and is overloaded at 8 req/s.")


def test_a_closed_loop_has_no_such_charts() -> None:
    series = series_of([view_of({ALONE: 50.0, Closed(concurrency=4): 90.0})])

    assert all(chart.is_empty() for chart in [*load_charts.load_charts(series), load_charts.flight_chart(series)])
    assert load_charts.head_chart(series).is_empty()


def test_a_search_has_its_curve_and_its_answer_at_the_top() -> None:
    asked = {"capacity": "rate", "share": 0.95, "within": 60.0}
    run = view_of({Open(rate=1.0): 50.0, Open(rate=1.19): 900.0}, {"ttft": 0.5}, going_on=asked)
    page = build_page([run])
    series = series_of([run])

    assert 'id="chart-capacity"' in page
    assert answer(series, []) == [run.result.targets[0].capacity.sentence]  # type: ignore[union-attr]
    found = named(load_charts.capacity_chart(series).options[0].figure)
    assert set(found) == {"box", "95 % of the requests"}
    assert list(found["box"].x) == [1.0, 1.19]
