"""Results of others: Opta-LMX's recorded answers, and whatever else a file may hold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis.plan_importer import results_in
from lmx_loadgen.store.result import BenchmarkResult
from tests.helpers.paths import DATA

OPTA_LMX = DATA / "opta-lmx"


def data(name: str) -> Any:
    return json.loads((OPTA_LMX / name).read_text(encoding="utf-8"))


def one(found: Any) -> BenchmarkResult:
    taken = results_in(found)
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


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "no stats, results or runs"),
        ({"detail": "model_not_loaded"}, "no stats, results or runs"),
        ({"model_id": "m", "summary": {"avg_ttft_ms": 5}}, "no stats, results or runs"),
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
        "model_id",
        "timestamp",
        "completed_at",
        "time_to_first_token_ms",
        "ttft_ms",
        "tokens_per_second",
        "toks_per_sec",
        "tokens_generated",
        "prompt_name",
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
