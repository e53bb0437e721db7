"""The instrument's error beside a level's figures, and what taints them."""

from typing import Any

import pytest

from lmx_loadgen.analysis.instrument_error import left_out_words, load_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.read_records import record
from lmx_loadgen.analysis.records import MOST_DELAY_NS
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.analysis.window import Window
from lmx_loadgen.store.result import LevelResult, MetricResult, RunResult
from tests.helpers.made_lines import header_line, made_log, point, request_line, segment_line, steady, usage
from tests.helpers.make_runs import calibrated_level, calibration
from tests.helpers.snapshots import numbers_in


def carried(*levels: dict[str, Any]) -> dict[str, Any]:
    """How a run carries a calibration with these levels."""
    how = {"loop": "uvloop", "stamps": "loop", "workers": 1}
    return {"instrument": how | {"calibration": calibration() | {"levels": list(levels)}}}


def answers(count: int = 12, **changes: Any) -> list[dict[str, Any]]:
    """Answers one after the other: TTFT 200 ms, then 11 tokens 20 ms apart, 500 ms from send to end."""
    return [
        request_line(steady(11), id=number, send=1000 * number, usage=usage(10, 11), **changes)
        for number in range(count)
    ]


def result_of(requests: list[dict[str, Any]], client: dict[str, Any] | None = None, **header: Any) -> RunResult:
    segment = segment_line(0, 11_500, 12_000, load_point=requests[0]["load_point"]) | {"client": client or {}}
    return summarize(MeasuredRun(made_log(requests, [segment], **header)))


def level_of(requests: list[dict[str, Any]], client: dict[str, Any] | None = None, **header: Any) -> LevelResult:
    return result_of(requests, client, **header).targets[0].levels[0]


def errors(level: LevelResult) -> dict[str, float | None]:
    return {name: found.instrument_error for name, found in level.metrics.items()}


def test_a_run_without_calibration_says_so_and_gives_no_errors() -> None:
    result = result_of(answers())
    level = result.targets[0].levels[0]

    assert set(errors(level).values()) == {None}
    assert level.witness.calibrated_at is None
    assert any("not calibrated" in note for note in result.notes)


def test_each_figure_carries_the_error_of_its_own_kind() -> None:
    one = calibrated_level(16, 1e-3) | {
        "send": {"p50": 0.0, "p99": 2e-4, "max": 1.0},
        "ttft": {"p50": 0.0, "p99": 5e-4, "max": 1.0},
        "chunk": {"p50": 0.0, "p99": 1e-3, "max": 1.0},
        "gap": {"p50": 0.0, "p99": 1.5e-3, "max": 1.0},
        "stall": {"p50": 0.0, "p99": 1.7e-3, "max": 1.0},
        "tpot": {"p50": 0.0, "p99": 1e-4, "max": 1.0},
        "tokens": 21,
    }
    level = level_of(answers(), **carried(one))
    found = errors(level)

    assert found["ttft"] == found["ttft_response"] == pytest.approx(5e-4)
    assert found["e2e"] == found["ttfo"] == pytest.approx(1.2e-3)
    assert (found["chunk_gap"], found["longest_stall"]) == (pytest.approx(1.5e-3), pytest.approx(1.7e-3))
    # 20 steps were wrong by 0.1 ms each: 2 ms over the answer, so 0.2 ms over each of 10 steps
    assert found["tpot"] == pytest.approx(2e-4)
    # 20 ms ± 0.2 ms is 50 tok/s ± 1 %
    assert found["decode_tok_s"] == pytest.approx(0.5, rel=1e-3)
    # 10 tokens in 200 ms ± 0.5 ms are 50 tok/s ± 0.25 %
    assert found["prompt_tok_s"] == pytest.approx(0.125)
    # two edges of a window of 11.5 s, each off by 1 ms
    rate = level.metrics["output_tok_s"].mean
    assert rate is not None
    assert found["output_tok_s"] == pytest.approx(rate * 2e-3 / 11.5)
    assert found["output_tokens"] is None


def test_the_error_is_that_of_the_next_higher_load_that_was_calibrated() -> None:
    low, high = calibrated_level(1, 1e-5), calibrated_level(64, 9e-4)

    plan = [header_line()["plan"][0] | {"load_point": point(4)}]
    at_four = level_of(answers(load_point=point(4)), plan=plan, **carried(low, high))
    assert errors(at_four)["ttft"] == pytest.approx(9e-4)
    assert at_four.witness.calibrated_at == 64
    # one at a time, but with more chunks a second than the calibration had at one
    fast = level_of(answers(), **carried(low | {"chunk_rate": 5.0}, high))
    assert fast.witness.calibrated_at == 64
    slow = level_of(answers(), **carried(low | {"chunk_rate": 50.0}, high))
    assert slow.witness.calibrated_at == 1


def test_a_load_beyond_the_calibration_is_said_to_be() -> None:
    level = level_of(answers(), **carried(calibrated_level(1, 1e-5) | {"chunk_rate": 5.0}))

    assert level.witness.within_calibration is False
    assert any("higher than any that was calibrated" in note for note in level.notes)
    assert errors(level)["ttft"] == pytest.approx(1e-5)


def spread(p50: float, p99: float) -> dict[str, float]:
    return {"p50": p50, "p99": p99, "max": p99}


def test_an_error_over_5_percent_of_a_median_taints_it_and_names_the_figure() -> None:
    within = calibrated_level(16, 1e-6) | {"ttft": spread(0.0099, 0.0099)}
    beyond = calibrated_level(16, 1e-6) | {"ttft": spread(0.0111, 0.0111)}

    assert level_of(answers(), **carried(within)).tainted == []
    (reason,) = level_of(answers(), **carried(beyond)).tainted
    assert numbers_in(reason)[-1] == 5
    assert "TTFT" in reason
    assert "Decode" not in reason


def test_what_a_single_request_may_be_off_taints_the_tail_and_not_the_median() -> None:
    rare = calibrated_level(16, 1e-6) | {"ttft": spread(1e-4, 0.0111)}
    level = level_of(answers(), **carried(rare))

    assert level.tainted == []
    assert level.metrics["ttft"].tainted == ["p90", "p95", "p99"]
    assert level.metrics["ttft"].instrument_error == pytest.approx(0.0111)


def test_the_load_is_that_of_the_time_in_which_the_segments_ran() -> None:
    """Pauses and another target's turns are not in it: 11 chunks in every 0.5 s, though only a tenth of the time."""
    spread_out = [request_line(steady(11), id=n, send=5000 * n, block=n) for n in range(6)]
    segments = [segment_line(5000 * n, 5000 * n + 500, 5000 * n + 500, block=n) for n in range(6)]
    plan = header_line(blocks=6)["plan"]
    slow, fast = calibrated_level(1, 1e-5) | {"chunk_rate": 20.0}, calibrated_level(2, 2e-5) | {"chunk_rate": 22.5}
    result = summarize(MeasuredRun(made_log(spread_out, segments, plan=plan, **carried(slow, fast))))

    assert result.targets[0].levels[0].witness.calibrated_at == 2


def stalled(line: dict[str, Any], at_ms: float, length_ms: float) -> dict[str, Any]:
    """The loop stood still from so long after the send on."""
    return line | {"stalls": [[round(at_ms * 1e6), round(length_ms * 1e6)]]}


def with_stalls(count: int, which: dict[int, tuple[float, float]]) -> list[dict[str, Any]]:
    requests = [line | {"stalls": []} for line in answers(count)]
    return [stalled(line, *which[place]) if place in which else line for place, line in enumerate(requests)]


def test_a_request_whose_send_was_delayed_is_left_out_and_counted() -> None:
    level = level_of(with_stalls(48, {7: (-5, 30), 31: (0, 12)}), **carried(calibrated_level(16, 1e-6)))

    assert level.witness.lagged == [7, 31]
    left_out = {name: found.left_out for name, found in level.metrics.items()}
    assert left_out.pop("chunk_gap") == left_out.pop("output_tokens") == left_out.pop("output_tok_s") == 0
    assert {left_out[name] for name in ("ttft", "e2e", "tpot", "decode_tok_s", "longest_stall")} == {2}
    assert level.metrics["ttft"].n == 46
    assert level.tainted == []
    assert left_out_words(2, 48) == "2 of 48 requests were delayed by this machine and left out"
    assert left_out_words(2, 48) in level.notes


def test_a_read_that_the_loop_stamped_late_costs_only_the_figures_made_of_it() -> None:
    """The first token comes after 200 ms, the last after 400 ms."""
    level = level_of(with_stalls(12, {2: (185, 16), 5: (290, 20)}), **carried(calibrated_level(16, 1e-6)))
    left_out = {name: found.left_out for name, found in level.metrics.items()}

    assert (left_out["ttft"], left_out["e2e"], left_out["decode_tok_s"]) == (1, 0, 1)
    assert left_out["chunk_gap"] == 2
    # Of the fifth answer two gaps, those on either side of the delayed read, are gone; of the second its first.
    assert level.metrics["chunk_gap"].n < 12 * 10
    assert level.tainted == []


def test_a_short_lag_is_no_reason_to_leave_a_request_out_but_is_in_the_stated_error() -> None:
    requests = with_stalls(12, dict.fromkeys(range(12), (198.0, 6.0)))
    level = level_of(requests, **carried(calibrated_level(16, 1e-6)))

    assert level.metrics["ttft"].left_out == 0
    assert level.metrics["ttft"].instrument_error == pytest.approx(0.006)
    assert level.metrics["ttft"].tainted == []  # 3 % of 200 ms


def test_where_most_requests_were_delayed_they_are_kept_and_taint_the_figure() -> None:
    requests = with_stalls(12, dict.fromkeys(range(8), (180.0, 20.0)))
    level = level_of(requests, **carried(calibrated_level(16, 1e-6)))

    assert level.metrics["ttft"].left_out == 0
    assert "p50" in level.metrics["ttft"].tainted
    assert "e2e" not in level.metrics["e2e"].tainted  # made of the last read, which no stall met
    assert level.tainted != []


def test_a_request_sent_late_shows_by_itself() -> None:
    requests = [line | {"stalls": []} for line in answers(12)]
    requests[3] = requests[3] | {"intended_ns": requests[3]["send_ns"] - MOST_DELAY_NS - 1}
    requests[4] = requests[4] | {"intended_ns": requests[4]["send_ns"] - MOST_DELAY_NS - 1, "connect_ns": [1, 2]}

    assert level_of(requests).witness.lagged == [3]


def test_an_older_log_goes_by_its_worst_lag_only_where_the_loop_stamped_the_reads() -> None:
    requests = answers(100)
    for number in (7, 31):
        requests[number]["lag_ns"] = 50_000_000
    calibrated = carried(calibrated_level(16, 1e-6))
    by_loop = level_of(requests, **calibrated)
    calibrated["instrument"]["stamps"] = "kernel"
    by_kernel = level_of(requests, **calibrated)

    assert (by_loop.witness.lagged, by_loop.tainted) == ([7, 31], [])
    assert by_loop.metrics["ttft"].n == 98
    assert (by_kernel.witness.lagged, by_kernel.tainted) == ([], [])


def test_a_busy_measuring_process_is_noted_but_not_after_a_segment_that_was_cut_off() -> None:
    busy = {"cpu_share": 0.96}
    level = level_of(answers(), busy, **carried(calibrated_level(16, 1e-6)))
    cut_off = segment_line(0, 11_500, 12_000) | {"client": busy, "stopped": "interrupted"}
    stopped = summarize(MeasuredRun(made_log(answers(), [cut_off]))).targets[0].levels[0]

    assert level.tainted == []
    (note,) = [words for words in level.notes if "--workers" in words]
    assert numbers_in(note) == [96]
    assert not any("--workers" in words for words in stopped.notes)


def test_a_calibration_of_another_shape_counts_as_none() -> None:
    how = header_line()["instrument"] | {"calibration": {"levels": "many"}}

    assert set(errors(level_of(answers(), instrument=how)).values()) == {None}


def test_the_load_is_that_of_the_segments_and_not_of_the_other_target_s_turns() -> None:
    """Six answers of eleven chunks in half a second each, in blocks that lie a minute apart, none ever at full load."""
    lines = [
        request_line(steady(11), id=number, send=1000 + 60_000 * number, block=number, usage=usage(10, 11))
        for number in range(6)
    ]
    records = [record(line) for line in lines]
    metrics = {name: MetricResult(unit="s", better="lower", n=0) for name in ("output_tokens", "ttft")}

    alone, apart = (load_of(1, metrics, some, Window({})).chunk_rate for some in (records[:1], records))

    assert alone is not None
    assert apart == pytest.approx(alone)
