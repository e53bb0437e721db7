"""What a level of an open loop says: latency from when requests were due, what was dropped, how late they were sent."""

from typing import Any

import pytest

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.profile.load_point import Open
from lmx_loadgen.report.terminal import summary_json
from lmx_loadgen.store.result import LevelResult, RunResult
from tests.helpers.made_lines import MS, PROFILE, failed_line, made_log, request_line, segment_line, steady

POINT = Open(rate=10.0)
AT = {"load_point": POINT.model_dump()}


def answer(due: float, wait: float = 200, late: float = 0.0, **changes: Any) -> dict[str, Any]:
    """An answer to a request that was due at `due` ms, and sent `late` ms after that."""
    line = request_line(steady(first=wait), send=due + late, stalls=[], **AT)
    return line | {"intended_ns": round(due * MS)} | changes


def dropped(due: float) -> dict[str, Any]:
    line = failed_line("dropped", None, send=None, **AT)
    return line | {"intended_ns": round(due * MS), "end_ns": round(due * MS)}


def result_of(lines: list[dict[str, Any]], slo: dict[str, Any] | None = None, **segment: Any) -> RunResult:
    profile = PROFILE | {"slo": PROFILE["slo"] | (slo or {})}
    plan = [{"target": "box", "block": 0, "phase": "load", **AT}]
    marks = segment_line(0, 1000, 1500, **AT) | segment
    lines = [line | {"id": place} for place, line in enumerate(lines)]
    return summarize(MeasuredRun(made_log(lines, segments=[marks], profile=profile, plan=plan)))


def level_of(lines: list[dict[str, Any]], slo: dict[str, Any] | None = None, **segment: Any) -> LevelResult:
    return result_of(lines, slo, **segment).targets[0].levels[0]


def test_latency_counts_from_the_due_time_and_service_latency_stands_beside_it() -> None:
    level = level_of([answer(100 * place, late=5.0) for place in range(8)])

    assert level.metrics["ttft_response"].p50 == pytest.approx(0.205)
    assert level.metrics["ttft"].p50 == pytest.approx(0.200)
    assert (level.sample, level.concurrency) == ("steady", None)
    assert level.open_loop is not None
    assert level.open_loop.lateness is not None
    assert level.open_loop.lateness.model_dump() == pytest.approx({"n": 8, "p50": 0.005, "p99": 0.005, "max": 0.005})
    assert "requests were sent late by this machine: 5.0 ms at the median, 5.0 ms at p99" in level.notes


def test_the_tools_own_lateness_taints_what_it_moves_by_more_than_5_percent() -> None:
    kept = level_of([answer(100 * place, wait=200, late=9.0) for place in range(8)])
    moved = level_of([answer(100 * place, wait=60, late=9.0) for place in range(8)])

    assert "p50" not in kept.metrics["ttft_response"].tainted
    assert "p50" in moved.metrics["ttft_response"].tainted
    assert any("TTFT from scheduled time" in sentence for sentence in moved.tainted)
    left_out = level_of([answer(100 * place, late=30.0 if place == 3 else 0.0) for place in range(8)])
    assert left_out.metrics["ttft_response"].n == 7
    assert left_out.metrics["ttft_response"].left_out == 1


def test_opening_a_connection_is_the_servers_time_and_no_lateness_of_ours() -> None:
    line = answer(100.0, late=20.0, connect_ns=[101 * MS, 119 * MS])
    level = level_of([line, *(answer(200.0 + 50 * place) for place in range(7))])

    assert level.open_loop is not None
    assert level.open_loop.lateness is not None
    assert level.open_loop.lateness.max == pytest.approx(0.001)
    assert level.metrics["ttft_response"].max == pytest.approx(0.220)


def test_a_dropped_request_is_counted_apart_and_worse_than_any_answer() -> None:
    level = level_of([*(answer(100 * place) for place in range(6)), *(dropped(600 + place) for place in range(4))])

    assert (level.requests.sent, level.requests.ok, level.requests.failed, level.requests.dropped) == (6, 6, 0, 4)
    assert level.errors == []
    assert level.metrics["ttft_response"].p50 == pytest.approx(0.2)
    assert level.metrics["ttft_response"].p95 is None
    assert level.open_loop is not None
    assert (level.open_loop.due, level.open_loop.dropped) == (10, 4)
    assert level.open_loop.offered_rate == pytest.approx(10.0)
    words = "4 of 10 requests dropped by the client: as many as --max-in-flight allows were in flight"
    assert words in level.notes


def test_an_slo_is_held_from_the_due_time_and_missed_by_what_was_dropped() -> None:
    lines = [*(answer(100 * place, late=8.0 if place < 2 else 0.0) for place in range(6)), dropped(700), dropped(701)]
    level = level_of(lines, {"ttft": 0.205})

    assert level.metrics["slo_share"].mean == pytest.approx(4 / 8)


def test_an_overloaded_level_gives_no_latency_and_is_complete() -> None:
    words = "overloaded: 12 requests/s came and 8 were served, with 60 in flight"
    lines = [answer(100 * place, wait=200 + 50 * place) for place in range(10)]
    level = level_of(lines, {"ttft": 1.0}, stopped=words, stop_kind="overload", drain_start_ns=None)

    assert level.open_loop is not None
    assert level.open_loop.overloaded
    assert level.complete
    assert level.notes.count(words) == 1
    assert not any(note.startswith("stopped early") for note in level.notes)
    for name in ("ttft", "ttft_response", "e2e", "goodput", "slo_share"):
        assert (level.metrics[name].p50, level.metrics[name].mean) == (None, None)
        assert words in (level.metrics[name].reason or "")
    assert level.metrics["request_rate"].mean is not None
    assert level.metrics["decode_tok_s"].p50 is not None


def test_the_trend_of_requests_in_flight_is_judged_again_at_the_end() -> None:
    """Ten a second come for twenty seconds, and half of them are served."""
    served = [answer(100.0 * place, wait=100) for place in range(0, 200, 2)]
    waiting = [answer(100.0 * place, wait=30_000) for place in range(1, 200, 2)]
    level = level_of(served + waiting, drain_start_ns=20_000 * MS, end_ns=50_000 * MS)

    assert level.open_loop is not None
    assert level.open_loop.overloaded
    assert level.open_loop.backlog_growth == pytest.approx(5.0, rel=0.1)


def test_the_summary_has_what_an_open_loop_has() -> None:
    summary = summary_json(result_of([answer(100 * place, late=5.0) for place in range(8)]))
    (level,) = summary["targets"][0]["levels"]

    assert level["load_point"] == {"kind": "open", "rate": 10.0, "arrivals": "poisson", "max_in_flight": 256}
    assert level["ttft_response_p50_s"] == pytest.approx(0.205)
    assert level["open_loop"]["dropped"] == 0
