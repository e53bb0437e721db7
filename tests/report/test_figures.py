from collections.abc import Callable
from typing import Any

import pytest

from lmx_loadgen.analysis.run_view import RunView, stat
from lmx_loadgen.profile.load_point import Closed
from lmx_loadgen.report import charts, figures
from lmx_loadgen.report.palette import FAILURE, MUTED
from lmx_loadgen.report.view import Series, series_of
from tests.helpers.measured_views import lines_of, with_lines
from tests.helpers.snapshots import numbers_in

Loader = Callable[..., RunView]


def test_ttft_is_drawn_in_ms_with_a_whisker_up_to_p95(head_to_head: list[Series]) -> None:
    figure = figures.against_concurrency(head_to_head, "ttft")

    assert figure is not None
    for one, trace in zip(head_to_head, figure.data, strict=True):
        medians = [stat(level, "ttft", "p50") for level in one.levels]
        assert list(trace.y) == pytest.approx([value * 1e3 for value in medians], rel=1e-5)
        assert not any(trace.error_y.arrayminus)
        for level, y, up in zip(one.levels, trace.y, trace.error_y.array, strict=True):
            tail = stat(level, "ttft", "p95")
            assert up is None if tail is None else y + up == pytest.approx(tail * 1e3, rel=1e-5)


def test_a_p95_among_failures_has_no_whisker(head_to_head: list[Series]) -> None:
    figure = figures.against_concurrency(head_to_head, "ttft")

    assert figure is not None
    ollama = figure.data[1]
    assert ollama.y[2] is not None
    assert [up is None for up in ollama.error_y.array] == [False, False, True]


def test_the_whisker_of_a_rate_goes_down(head_to_head: list[Series]) -> None:
    figure = figures.against_concurrency(head_to_head, "decode_tok_s")

    assert figure is not None
    level = head_to_head[0].levels[0]
    trace = figure.data[0]
    assert trace.y[0] - trace.error_y.arrayminus[0] == pytest.approx(stat(level, "decode_tok_s", "p95"), rel=1e-5)
    assert not any(trace.error_y.array)


def test_an_undefined_value_is_a_gap_and_never_zero(load_run: Loader) -> None:
    run = load_run("head-to-head")
    for metric in ("ttft", "output_tok_s"):
        level = run.result.targets[0].levels[1]
        undefined = level.metrics[metric].model_copy(update={"p50": None, "p95": None, "mean": None})
        level.metrics[metric] = undefined

    for metric in ("ttft", "output_tok_s"):
        figure = figures.against_concurrency(series_of([run]), metric)
        assert figure is not None
        assert [value is None for value in figure.data[0].y] == [False, True, False]
        assert figure.data[0].connectgaps is False


def test_a_run_of_failures_has_no_curves_but_a_timeline_and_errors(load_run: Loader) -> None:
    series = series_of([load_run("failed")])

    empty = {
        chart.key
        for chart in [*charts.concurrency_charts(series), *charts.distribution_charts(series)]
        if chart.is_empty()
    }
    assert empty == {"ttft", "decode", "output", "ttft-ecdf", "gap-ecdf"}
    assert not charts.timeline_chart(series).is_empty()
    assert not charts.head_errors(series).is_empty()


def test_a_run_without_failures_has_no_error_chart(load_run: Loader) -> None:
    assert charts.head_errors(series_of([load_run("interrupted")])).is_empty()


def test_the_median_of_the_drawn_distribution_is_the_reported_one(head_to_head: list[Series]) -> None:
    chart = charts.distribution_charts(head_to_head)[0]

    for option, concurrency in zip(chart.options, (1, 4, 16), strict=True):
        assert option.label == str(concurrency)
        assert option.figure is not None
        for one, trace in zip(head_to_head, option.figure.data, strict=True):
            level = one.level_at(Closed(concurrency=concurrency))
            assert level is not None
            reported = stat(level, "ttft", "p50")
            assert reported is not None
            below = max(x for x, y in zip(trace.x, trace.y, strict=True) if y <= 0.5)
            above = min(x for x, y in zip(trace.x, trace.y, strict=True) if y > 0.5)
            # Drawn values have six significant digits.
            assert below * (1 - 1e-5) <= reported * 1e3 <= above * (1 + 1e-5)


def test_a_distribution_counts_failures_and_so_ends_below_one(head_to_head: list[Series]) -> None:
    ttft, gaps = charts.distribution_charts(head_to_head)

    assert ttft.options[2].figure is not None
    assert gaps.options[2].figure is not None
    assert [trace.y[-1] for trace in ttft.options[2].figure.data] == [1.0, pytest.approx(0.8, abs=0.1)]
    assert [trace.y[-1] for trace in gaps.options[2].figure.data] == [1.0, 1.0]


def test_system_output_carries_its_interval(head_to_head: list[Series]) -> None:
    figure = figures.against_concurrency(head_to_head, "output_tok_s")

    assert figure is not None
    level = head_to_head[0].levels[2]
    low, high = level.metrics["output_tok_s"].ci95 or (None, None)
    trace = figure.data[0]
    assert trace.y[2] - trace.error_y.arrayminus[2] == pytest.approx(low, rel=1e-4)
    assert trace.y[2] + trace.error_y.array[2] == pytest.approx(high, rel=1e-4)


def spans(figure: Any, name: str) -> list[tuple[float, float]]:
    (trace,) = [trace for trace in figure.data if trace.name == name and trace.type == "bar"]
    return [(base, base + x) for base, x in zip(trace.base, trace.x, strict=True)]


def test_the_timeline_turns_from_waiting_to_streaming_at_the_first_token(head_to_head: list[Series]) -> None:
    one = head_to_head[0]
    level = one.levels[1]
    figure = figures.timeline(one, level, 1000)

    assert figure is not None
    waiting, streaming = spans(figure, "waiting for the first token"), spans(figure, "streaming")
    assert len(waiting) == len(streaming) == level.requests.ok / 4  # the first of four blocks
    assert [end for _, end in waiting] == pytest.approx([start for start, _ in streaming], abs=2e-4)
    assert len(spans(figure, "warm-up, streaming")) == 4


def test_failed_and_cancelled_requests_look_different_from_good_ones(load_run: Loader) -> None:
    failed = figures.timeline(
        series_of([load_run("head-to-head")])[1], load_run("head-to-head").result.targets[1].levels[2], 1000
    )
    stopped_run = load_run("interrupted")
    stopped = figures.timeline(series_of([stopped_run])[0], stopped_run.result.targets[0].levels[1], 1000)

    assert failed is not None
    assert stopped is not None
    assert {trace.marker.color for trace in failed.data if trace.name == "failed"} == {FAILURE[0]}
    assert [trace.type for trace in failed.data if trace.name == "failed"] == ["bar", "scatter"]
    assert [trace.marker.color for trace in stopped.data if trace.name == "cancelled"] == [MUTED[0]]


def test_a_request_that_was_never_sent_is_drawn_from_when_it_was_due(load_run: Loader) -> None:
    run = load_run("failed")
    line = lines_of(run)[-1]
    line |= {"send_ns": None, "headers_ns": None, "outcome": "connect_error", "status": None, "reason": None}

    figure = figures.timeline(series_of([run])[0], run.result.targets[0].levels[1], 1000)

    assert figure is not None
    start, end = spans(figure, "failed")[-1]
    assert end - start == pytest.approx((line["end_ns"] - line["intended_ns"]) / 1e9, abs=1e-3)


def test_a_long_timeline_is_thinned_and_says_so(load_run: Loader) -> None:
    run = load_run("interrupted")
    level = run.result.targets[0].levels[0]
    lines = [line for line in lines_of(run) if line["load_point"] == level.load_point.model_dump()]
    line = next(line for line in lines if line["phase"] == "measured")
    second = 1_000_000_000
    moved = [
        line | {"id": n, "send_ns": line["send_ns"] + n * second, "end_ns": line["end_ns"] + n * second}
        for n in range(5000)
    ]

    option = charts.timeline_chart(series_of([with_lines(run, moved)])).options[0]

    assert numbers_in(option.note) == [1000, 5000]
    assert option.figure is not None
    assert len(spans(option.figure, "streaming")) == 1000


def test_a_distribution_never_has_more_points_than_allowed(head_to_head: list[Series]) -> None:
    values = [number / 7919 for number in range(50_000)]

    figure = figures.distribution([(head_to_head[0], values, 0)], "ttft", charts.CURVE_POINTS, log_x=False)

    assert figure is not None
    assert len(figure.data[0].x) <= charts.CURVE_POINTS


def test_errors_are_counted_by_kind(head_to_head: list[Series]) -> None:
    figure = figures.errors_by_kind(head_to_head)

    assert figure is not None
    assert [(trace.name, list(trace.y), list(trace.x)) for trace in figure.data] == [
        ("ollama", ["HTTP error 503"], [28])
    ]


def test_names_from_outside_are_escaped_for_plotly(load_run: Loader) -> None:
    series = series_of([load_run("hostile")])
    everything = [
        *charts.concurrency_charts(series),
        *charts.distribution_charts(series),
        charts.timeline_chart(series),
        charts.head_errors(series),
    ]

    shown = [str(option.figure.to_dict()) for chart in everything for option in chart.options if option.figure]

    assert shown
    assert not any(part in text for text in shown for part in ("<img", "<script", "<svg", "<b>evil", "\x1b"))
