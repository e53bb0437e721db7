"""Files of Opta-LMX's older benchmarks, each in its own shape."""

import json
from typing import Any

import pytest

from lmx_loadgen.analysis.older_results import older_results
from lmx_loadgen.store.result import BenchmarkResult, BenchmarkRunStats
from tests.helpers.paths import DATA

OPTA_LMX = DATA / "opta-lmx"
OLDEST = "minimax-m2.5-6.5bit-2026-02-26.json"


def data(name: str) -> Any:
    return json.loads((OPTA_LMX / name).read_text(encoding="utf-8"))


def one(found: Any, file_name: str = "") -> tuple[BenchmarkResult, BenchmarkRunStats]:
    (result,) = older_results(found, file_name)
    assert result.stats is not None
    return result, result.stats


def test_a_suite_gives_a_result_for_each_prompt() -> None:
    (suite,) = data("suites.json")
    short, long = older_results(suite, "")

    assert (short.prompt_preview, short.status, short.timestamp) == ("short", "ok", "2026-02-25T06:14:20.250000+00:00")
    assert short.stats is not None
    assert (short.stats.ttft_mean_sec, short.stats.ttft_p50_sec) == pytest.approx((0.2, 0.2))
    # 95 % of runs reach it: the slow end.
    assert short.stats.toks_per_sec_p95 == pytest.approx(40.2)
    assert (short.stats.output_tokens, short.stats.runs_completed) == (42, 2)
    assert short.stats.warmup_runs_discarded is None
    assert short.stats.prompt_tokens is None
    assert (long.prompt_preview, long.status) == ("long", "insufficient_data")
    assert long.stats is not None
    assert (long.stats.runs_completed, long.stats.toks_per_sec_mean, long.stats.output_tokens) == (1, None, None)


def test_a_suite_that_did_not_end_has_the_time_of_its_start() -> None:
    (suite,) = data("suites.json")

    first, _ = older_results({**suite, "completed_at": 0.0}, "")
    assert first.timestamp == "2026-02-25T06:13:20.500000+00:00"


def test_the_oldest_files_leave_their_cold_run_out() -> None:
    result, stats = one(data(OLDEST), OLDEST)

    assert (result.model_id, result.origin) == ("mlx-community/MiniMax-M2.5-6.5bit", "opta-lmx-older")
    assert (result.timestamp, result.status, result.backend) == ("2026-02-26", "ok", "vllm-mlx")
    assert stats.toks_per_sec_mean == pytest.approx(30.0)
    assert stats.ttft_mean_sec == pytest.approx(3.391)
    assert (stats.ttft_p50_sec, stats.toks_per_sec_p95) == pytest.approx((3.391, 29.83))
    assert (stats.runs_completed, stats.warmup_runs_discarded) == (4, 1)
    assert (stats.output_tokens, stats.output_text, stats.coherence_flag) == (None, None, None)


def test_a_recorded_answer_of_the_older_endpoint() -> None:
    result, stats = one(data("admin-benchmark.json"))

    assert (result.model_id, result.backend, result.timestamp) == ("optalmx/tiny-01", "mlx", "")
    assert (stats.runs_completed, stats.output_tokens) == (2, 15)
    assert stats.toks_per_sec_mean == pytest.approx(91.525)
    assert stats.ttft_mean_sec == pytest.approx(0.03417)


def test_a_zero_and_what_is_no_number_are_not_measured() -> None:
    runs = [{"toks_per_sec": 30.0, "ttft_ms": 0.0}, {"toks_per_sec": 40.0, "ttft_ms": "fast"}, {"ttft_ms": True}]
    _, stats = one({"model_id": "m", "results": runs})

    assert (stats.toks_per_sec_mean, stats.ttft_mean_sec, stats.runs_completed) == (35.0, None, 2)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"model_id": "m", "results": []}, "neither a TTFT nor a rate"),
        ({"model_id": "m", "results": {"run_1_cold": {"ttft_ms": 5}}}, "neither a TTFT nor a rate"),
        ({"results": [{"ttft_ms": 5}]}, "no model is named"),
        ({"model_id": "m", "runs": []}, "without runs"),
        ({"model_id": "m", "runs": 5}, "no stats, results or runs"),
    ],
)
def test_what_is_no_result_says_why(found: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        older_results(found, "")
