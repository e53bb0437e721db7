"""The instrument's error beside a level's figures, and what taints them."""

from typing import Any

import pytest

from lmx_loadgen.analysis.instrument_error import LAG_NS, load_of
from lmx_loadgen.analysis.records import record
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.result import LevelResult, MetricResult, RunResult
from tests.helpers.made_lines import header_line, made_log, request_line, segment_line, steady, usage
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
    segment = segment_line(0, 11_500, 12_000) | {"client": client or {}}
    return summarize(made_log(requests, [segment], **header))


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

    plan = [header_line()["plan"][0] | {"concurrency": 4}]
    at_four = level_of(answers(concurrency=4), plan=plan, **carried(low, high))
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


def test_an_error_over_5_percent_of_a_figure_taints_the_level_and_names_the_figure() -> None:
    within = calibrated_level(16, 1e-6) | {"ttft": {"p50": 0.0, "p99": 0.0099, "max": 0.1}}
    beyond = calibrated_level(16, 1e-6) | {"ttft": {"p50": 0.0, "p99": 0.0111, "max": 0.1}}

    assert level_of(answers(), **carried(within)).tainted == []
    (reason,) = level_of(answers(), **carried(beyond)).tainted
    assert numbers_in(reason)[:2] == [5, 6]
    assert "TTFT" in reason
    assert "Decode" not in reason


def test_lag_in_over_1_percent_of_the_requests_taints_the_level_and_names_them() -> None:
    requests = answers(100)
    for number in (7, 31):
        requests[number]["lag_ns"] = LAG_NS + 40_000_000
    level = level_of(requests, **carried(calibrated_level(16, 1e-6)))

    assert level.witness.lagged == [7, 31]
    assert level.witness.lagged_share == pytest.approx(0.02)
    (reason,) = level.tainted
    assert "up to 50 ms; requests 7, 31" in reason


def test_lag_in_one_request_of_a_hundred_is_kept_but_taints_nothing() -> None:
    requests = answers(100)
    requests[3]["lag_ns"] = LAG_NS + 1
    level = level_of(requests, **carried(calibrated_level(16, 1e-6)))

    assert (level.witness.lagged, level.tainted) == ([3], [])


def test_a_busy_measuring_process_taints_the_level() -> None:
    level = level_of(answers(), {"cpu_share": 0.85}, **carried(calibrated_level(16, 1e-6)))

    (reason,) = level.tainted
    assert "85% of a core" in reason
    assert "--workers" in reason
    assert level_of(answers(), {"cpu_share": 0.79}, **carried(calibrated_level(16, 1e-6))).tainted == []


def test_a_calibration_of_another_shape_counts_as_none() -> None:
    how = header_line()["instrument"] | {"calibration": {"levels": "many"}}

    assert set(errors(level_of(answers(), instrument=how)).values()) == {None}


def test_the_load_is_that_of_the_segments_and_not_of_the_other_target_s_turns() -> None:
    """Six answers of eleven chunks in half a second each, in blocks that lie a minute apart."""
    lines = [
        request_line(steady(11), id=number, send=1000 + 60_000 * number, segment=number, usage=usage(10, 11))
        for number in range(6)
    ]
    records = [record(line) for line in lines]
    metrics = {name: MetricResult(unit="s", better="lower", n=0) for name in ("output_tokens", "ttft")}

    alone, apart = (load_of(1, metrics, some, 0.5).chunk_rate for some in (records[:1], records))

    assert alone is not None
    assert apart == pytest.approx(alone)
