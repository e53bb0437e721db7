"""Results of others: Opta-LMX's recorded answers, its older shapes, and whatever else a file may hold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis.plan_importer import results_in
from lmx_loadgen.store.result import BenchmarkResult
from tests.helpers.paths import DATA

OPTA_LMX = DATA / "opta-lmx"
OLDEST = "minimax-m2.5-6.5bit-2026-02-26.json"


def data(name: str) -> Any:
    return json.loads((OPTA_LMX / name).read_text(encoding="utf-8"))


def one(found: Any, file_name: str = "") -> BenchmarkResult:
    taken = results_in(found, file_name)
    assert taken.faults == []
    (result,) = taken.results
    return result


def fault(found: Any) -> str:
    taken = results_in(found)
    assert taken.results == []
    (words,) = taken.faults
    return words


def plan(**stats: Any) -> dict[str, Any]:
    """Opta-LMX's recorded result, with other figures."""
    (recorded,) = data("admin-benchmark-results.json")
    return {**recorded, "stats": {**recorded["stats"], **stats}}


# The plan's shape


def test_a_recorded_answer_is_taken_as_it_is() -> None:
    (recorded,) = data("admin-benchmark-results.json")
    result = one(data("admin-benchmark-results.json"))

    assert result.model_dump(exclude={"origin"}) == recorded
    assert result.origin == "opta-lmx"


def test_its_unknown_keys_are_left_out_and_its_preview_is_cut() -> None:
    result = one({**plan(new=1), "prompt_preview": "x" * 500, "newer": {"a": 1}, "lmx_version": ""})

    assert result.prompt_preview == "x" * 100
    assert result.lmx_version is None


def test_what_this_tool_exported_is_not_said_to_be_opta_lmx_s() -> None:
    assert one({**plan(), "backend": "ollama"}).origin == "lmx-loadgen"
    assert one({**plan(), "backend": "ollama", "origin": "opta-lmx-older"}).origin == "opta-lmx-older"
    assert one({**plan(), "origin": "\x1b[2J"}).origin == "opta-lmx"


@pytest.mark.parametrize("runs", [0, 1])
def test_figures_of_fewer_than_two_runs_are_no_figures(runs: int) -> None:
    zeros = plan(runs_completed=runs, toks_per_sec_mean=0.0, ttft_mean_sec=0.0, output_text="Hi." * runs)
    result = one({**zeros, "status": "ok"})

    assert result.status == "insufficient_data"
    assert result.stats is not None
    assert result.stats.toks_per_sec_mean is None
    assert result.stats.ttft_p95_sec is None
    assert result.stats.output_text == ("Hi." if runs else None)
    assert result.stats.runs_completed == runs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stats": None, "status": 7}, "status"),
        ({"stats": []}, "stats"),
        ({"model_id": ""}, "model_id: empty"),
        ({"model_id": ["a"]}, "model_id"),
        ({"backend": None}, "backend"),
        (plan(ttft_mean_sec=-1.0), "stats.ttft_mean_sec: -1 is no measurement"),
        (plan(toks_per_sec_p50=float("nan")), "stats.toks_per_sec_p50"),
        (plan(prompt_tokens=10**40), "stats.prompt_tokens"),
        (plan(coherence_flag="great"), "stats.coherence_flag"),
        (plan(skills=[5]), "stats.skills.0"),
        (plan(tool_call={"raw_tool_call": {}}), "stats.tool_call"),
    ],
)
def test_a_damaged_result_is_none_and_says_where(change: dict[str, Any], words: str) -> None:
    assert words in fault({**plan(), **change})


def test_of_a_list_the_good_are_taken_and_the_others_named_by_their_place() -> None:
    taken = results_in([plan(), 5, {**plan(), "model_id": ""}])

    assert len(taken.results) == 1
    assert taken.faults == ["entry 2: not a JSON object", "entry 3: model_id: empty"]


def test_a_run_of_this_tool_is_not_imported() -> None:
    run = json.loads((DATA / "runs" / "failed" / "result.json").read_text(encoding="utf-8"))

    assert "a run of lmx-loadgen" in fault(run)


# Suites


def test_a_suite_gives_a_result_for_each_prompt() -> None:
    taken = results_in(data("suites.json"))
    short, long = taken.results

    assert taken.faults == []
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
    assert long.stats.toks_per_sec_mean is None


# `results` and `summary`


def test_the_oldest_shape_leaves_its_cold_run_out() -> None:
    result = one(data(OLDEST), OLDEST)
    stats = result.stats

    assert (result.model_id, result.origin) == ("mlx-community/MiniMax-M2.5-6.5bit", "opta-lmx-older")
    assert (result.timestamp, result.status, result.backend) == ("2026-02-26", "ok", "vllm-mlx")
    assert stats is not None
    assert stats.toks_per_sec_mean == pytest.approx(30.0)
    assert stats.ttft_mean_sec == pytest.approx(3.391)
    assert (stats.ttft_p50_sec, stats.toks_per_sec_p95) == pytest.approx((3.391, 29.83))
    assert (stats.runs_completed, stats.warmup_runs_discarded) == (4, 1)
    assert (stats.output_tokens, stats.output_text, stats.coherence_flag) == (None, None, None)


def test_a_recorded_answer_of_the_older_endpoint() -> None:
    result = one(data("admin-benchmark.json"))

    assert (result.model_id, result.backend, result.timestamp) == ("optalmx/tiny-01", "mlx", "")
    assert result.stats is not None
    assert (result.stats.runs_completed, result.stats.output_tokens) == (2, 15)
    assert result.stats.toks_per_sec_mean == pytest.approx(91.525)
    assert result.stats.ttft_mean_sec == pytest.approx(0.03417)


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ({"avg_tokens_per_second": 30.0, "avg_ttft_ms": 500}, (30.0, 0.5, None)),
        ({"toks_per_sec_mean": 30.0, "ttft_mean_sec": 0.5, "ttft_p50_sec": 0.4}, (30.0, 0.5, 0.4)),
        ({"tps": {"mean": 30}, "ttft_ms": {"avg": 500, "p50": 400}}, (30.0, 0.5, 0.4)),
        ({"tok_s": 30.0, "median_ttft_ms": 400}, (30.0, None, 0.4)),
        ({"mean_tps": 30.0, "avg_ttft_ms": 0.0}, (30.0, None, None)),
        ({"mean_tps": 30.0, "avg_ttft_ms": "fast"}, (30.0, None, None)),
    ],
)
def test_a_summary_alone_is_read_under_its_usual_names(
    summary: dict[str, Any], expected: tuple[float | None, ...]
) -> None:
    stats = one({"name": "m", "summary": {"runs": 5, **summary}}).stats

    assert stats is not None
    assert (stats.toks_per_sec_mean, stats.ttft_mean_sec, stats.ttft_p50_sec) == expected
    assert (stats.runs_completed, stats.toks_per_sec_p95, stats.output_tokens) == (5, None, None)


def test_a_number_of_runs_that_is_not_told_is_not_zero() -> None:
    result = one({"model": "m", "summary": {"avg_ttft_ms": 500}})

    assert result.stats is not None
    assert result.stats.runs_completed is None
    assert result.status == "ok"


def test_runs_in_a_list_are_cold_by_their_flag_or_name() -> None:
    runs = [{"cold": True, "tps": 1}, {"name": "Warm-up", "tps": 2}, {"label": "warm", "tps": 30}, {"tps": 40}, {}]
    stats = one({"model": "m", "results": runs}).stats

    assert stats is not None
    assert (stats.toks_per_sec_mean, stats.runs_completed, stats.warmup_runs_discarded) == (35.0, 2, 2)


def test_where_no_run_is_marked_as_the_cold_one_no_percentile_is_made_of_them() -> None:
    runs = [{"tps": 10.0}, {"tps": 30.0}, {"tps": 30.0}]
    stats = one({"model": "m", "results": runs, "summary": {"warm_avg_tps": 30.0}}).stats

    assert stats is not None
    assert (stats.toks_per_sec_mean, stats.toks_per_sec_p50, stats.runs_completed) == (30.0, None, None)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "neither a model nor a figure"),
        ({"detail": "model_not_loaded"}, "neither a model nor a figure"),
        ({"model": "m", "results": [], "summary": {}}, "neither a TTFT nor a rate"),
        ({"summary": {"avg_ttft_ms": 5}}, "no model is named"),
        ({"model_id": "m", "runs": []}, "without runs"),
        ([], "an empty list"),
        ("text", "not a JSON object"),
    ],
)
def test_what_is_no_result_says_why(found: Any, words: str) -> None:
    assert words in fault(found)


KEYS = st.sampled_from(
    [
        "stats",
        "runs",
        "results",
        "summary",
        "model_id",
        "model",
        "name",
        "timestamp",
        "completed_at",
        "ttft_ms",
        "avg_ttft_ms",
        "tps",
        "toks_per_sec",
        "tokens_generated",
        "prompt_name",
        "cold",
        "status",
        "backend",
        "hardware",
        "lmx_version",
        "prompt_preview",
        "runs_completed",
        "tool_call",
        "skills",
        "warmup_runs_discarded",
        "origin",
        "output_text",
        "prompt",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=30,
)


@given(VALUES)
def test_no_json_breaks_the_reader_and_what_it_takes_round_trips(found: Any) -> None:
    taken = results_in(found, "x-2026-01-02.json")

    assert taken.results or taken.faults
    for result in taken.results:
        assert result.model_id
        assert BenchmarkResult.model_validate_json(result.model_dump_json()) == result


@given(st.dictionaries(st.sampled_from(sorted(plan()["stats"])), VALUES), st.dictionaries(KEYS, VALUES, max_size=3))
def test_whatever_stands_in_a_field_of_the_plan_it_is_taken_rightly_or_refused(
    stats: dict[str, Any], top: dict[str, Any]
) -> None:
    taken = results_in({**plan(**stats), **top})

    for result in taken.results:
        again = results_in(json.loads(result.model_dump_json())).results
        assert [one.model_dump() for one in again] == [result.model_dump()]
    assert len(taken.faults) + len(taken.results) == 1 or "runs" in top or "stats" in top
