import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.log_reader import LogContents
from lmx_loadgen.store.result import LevelResult, RunResult
from tests.helpers.made_lines import (
    MS,
    PROFILE,
    at_concurrency,
    failed_line,
    header_line,
    made_log,
    point,
    request_line,
    segment_line,
    steady,
    usage,
)
from tests.helpers.snapshots import numbers_in


def level_of(log: LogContents) -> LevelResult:
    return summarize(MeasuredRun(log)).targets[0].levels[0]


def answers(count: int, **changes: Any) -> list[dict[str, Any]]:
    """`count` answers, one second apart; the TTFT of the first is 100 ms, of the second 200 ms, and so on."""
    return [
        request_line(steady(first=100 * (place + 1)), send=1000 * (place + 1), id=place, **changes)
        for place in range(count)
    ]


def with_slots(lines: list[dict[str, Any]], slots: int) -> LogContents:
    """A log of one level at that concurrency."""
    log = made_log([at_concurrency(line, slots) for line in lines])
    return LogContents(at_concurrency(log.header, slots), log.requests, log.segments, log.end, [])


def test_warm_ups_are_in_no_statistic() -> None:
    slow = request_line(steady(first=9000), phase="warmup")
    level = level_of(made_log([slow, slow, *answers(5)]))

    assert level.metrics["ttft"].max == 0.5
    assert level.metrics["ttft"].mean == pytest.approx(0.3)
    assert level.requests.model_dump() == {
        "sent": 5,
        "ok": 5,
        "failed": 0,
        "cancelled": 0,
        "warmup": 2,
        "first_wave": 0,
        "dropped": 0,
    }
    assert level.finish_reasons == {"stop": 5}


def test_a_failed_warm_up_is_no_failed_request() -> None:
    level = level_of(made_log([failed_line(phase="warmup"), *answers(5)]))

    assert level.requests.failed == 0
    assert level.errors == []
    assert level.metrics["ttft"].p99 is not None


def test_the_first_wave_is_left_out_where_enough_others_ended_well() -> None:
    wave = [request_line(steady(first=900), first_wave=True) for _ in range(2)]
    level = level_of(with_slots(wave + answers(2), 2))

    assert level.sample == "steady"
    assert (level.metrics["ttft"].n, level.metrics["ttft"].max) == (2, 0.2)


def test_else_the_ramp_is_included_and_said_to_be() -> None:
    wave = [request_line(steady(first=900), first_wave=True) for _ in range(2)]
    level = level_of(with_slots(wave + answers(1), 2))

    assert level.sample == "all"
    assert (level.metrics["ttft"].n, level.metrics["ttft"].max) == (3, 0.9)
    assert any("the ramp is included" in note for note in level.notes)


def test_one_slot_has_no_ramp() -> None:
    first = request_line(steady(first=900), first_wave=True)
    level = level_of(made_log([first, *answers(1)]))

    assert (level.sample, level.metrics["ttft"].n) == ("steady", 2)


def test_failures_of_the_first_wave_are_not_set_against_answers_that_came_later() -> None:
    wave = [failed_line(first_wave=True) for _ in range(4)]
    level = level_of(with_slots(wave + answers(4), 4))

    assert level.sample == "steady"
    assert level.metrics["ttft"].p99 is not None
    assert level.requests.failed == 4


def test_failures_push_percentiles_out() -> None:
    # eight answers, two failures: places 0..9, p50 at 4.5 between 500 and 600 ms, p90 at 8.1 among the failures
    level = level_of(made_log([failed_line(), *answers(8), failed_line()]))
    ttft = level.metrics["ttft"]

    assert ttft.p50 == pytest.approx(0.55)
    assert (ttft.p90, ttft.p95, ttft.p99) == (None, None, None)
    assert re.findall(r"p\d+", ttft.reason or "") == ["p90", "p95", "p99"]
    assert ttft.mean == pytest.approx(0.45)
    assert level.metrics["output_tokens"].p99 == 5


def test_cancelled_requests_are_neither() -> None:
    cancelled = request_line(steady(2), outcome="cancelled", reason="the run was stopped", finish_reason=None)
    level = level_of(made_log([*answers(5), cancelled]))

    assert (level.requests.ok, level.requests.failed, level.requests.cancelled) == (5, 0, 1)
    assert level.metrics["ttft"].p99 is not None
    assert level.errors == []


def test_nothing_but_failures_is_a_result_without_numbers() -> None:
    result = summarize(
        MeasuredRun(made_log([failed_line(), failed_line(), failed_line("connect_error", None, send_ns=None)]))
    )
    level = result.targets[0].levels[0]

    assert level.sample == "none"
    assert [(error.outcome, error.status, error.reason, error.count) for error in level.errors] == [
        ("http_error", 503, "busy", 2),
        ("connect_error", None, "busy", 1),
    ]
    for name, metric in level.metrics.items():
        if name not in ("request_rate", "output_tok_s", "occupancy"):
            assert (metric.mean, metric.p50, metric.n) == (None, None, 0), name
            assert metric.reason, name
    assert level.metrics["ttft"].reason == "every request failed"
    assert level.metrics["request_rate"].mean == 0


def test_an_undefined_value_says_why() -> None:
    whole = [request_line([(200, ["content:a", "content:b"])], id=place) for place in range(3)]

    assert level_of(made_log(whole)).metrics["tpot"].reason.endswith("one read")
    mixed = level_of(made_log(whole + answers(2))).metrics["tpot"]
    assert (mixed.n, mixed.reason) == (2, "3 of the answers have no value: all text arrived in one read")


def test_gaps_are_pooled_and_their_interval_is_not() -> None:
    # four gaps of 20 ms in each of two blocks of answers, of 40 ms in a third: mean (2·20 + 40) ÷ 3 = 26.67 ms, n 120;
    # by blocks: 20, 20, 40, standard error 6.67, t(0.975, 2) = 4.3027
    lines = [
        request_line(steady(step=step), block=block, id=10 * block + place)
        for block, step in enumerate((20, 20, 40))
        for place in range(10)
    ]
    gap = level_of(made_log(lines)).metrics["chunk_gap"]

    assert (gap.n, gap.mean) == (120, pytest.approx(0.02667, abs=1e-4))
    assert gap.ci95 == pytest.approx((0, 0.02667 + 4.3027 * 0.006667), abs=1e-4)  # no time is below zero


@pytest.mark.parametrize(
    ("dialect", "basis", "exact"), [("openai", "usage", True), ("lmx", "events", False), ("nobody", "events", False)]
)
def test_the_dialect_says_whether_usage_is_a_count(dialect: str, basis: str, exact: bool) -> None:
    level = level_of(made_log(answers(5, usage=usage(30, 20)), dialect=dialect))

    assert (level.token_basis, level.token_basis_exact) == (basis, exact)
    assert any("no reliable token count" in note for note in level.notes) is not exact
    # the three counts stand side by side whichever is used
    assert level.tokens.model_dump() == {
        "usage": {"prompt": 150, "output": 100},
        "events": {"prompt": None, "output": 25},
        "tokenizer": None,
    }


def test_a_sum_with_a_part_missing_is_unknown() -> None:
    level = level_of(made_log([*answers(1, usage=usage(30, 20)), *answers(2)]))

    assert level.tokens.usage.output is None
    assert level.token_basis == "events"


def test_shared_reads_are_noted() -> None:
    shared = [request_line([(100, ["content:a", "content:b"]), (120, ["content:c", "content:d"])]) for _ in range(3)]

    assert any("held several events" in note for note in level_of(made_log(shared)).notes)
    assert not any("held several events" in note for note in level_of(made_log(answers(3))).notes)


def test_another_model_than_asked_for_is_told() -> None:
    target = summarize(MeasuredRun(made_log(answers(2, model="other")))).targets[0]

    assert target.models_answered == ["other"]
    assert target.notes == ["asked for m, answered as other"]
    assert summarize(MeasuredRun(made_log(answers(2)))).targets[0].notes == []


def test_a_level_cut_short_is_not_complete() -> None:
    whole = made_log(answers(2))
    stopped = made_log(answers(2), [segment_line(0, None, 2000, stopped="interrupted")])
    missing = made_log(answers(2), [])

    assert [level_of(log).complete for log in (whole, stopped, missing)] == [True, False, False]


def test_a_killed_run_is_summed_up_from_what_there_is() -> None:
    log = made_log(answers(3), [])
    result = summarize(MeasuredRun(LogContents(log.header, log.requests, [], None, ["the last line is torn"])))

    assert (result.complete, result.ended_at) == (False, None)
    assert result.reason == "the run was cut off before it could end"
    assert "the last line is torn" in result.notes
    assert result.targets[0].levels[0].metrics["ttft"].n == 3
    assert result.targets[0].levels[0].window.seconds is None


def test_a_run_that_never_sent_anything_has_no_levels() -> None:
    target = summarize(MeasuredRun(made_log([], []))).targets[0]

    assert (target.levels, target.benchmark) == ([], None)


def test_the_end_is_told_in_wall_clock_time() -> None:
    assert (
        summarize(MeasuredRun(made_log(answers(1)))).ended_at == "2023-11-14T22:13:26.000Z"
    )  # six seconds after the anchor


def test_blocks_of_a_level_are_one_level() -> None:
    lines = answers(3) + [line | {"block": 1} for line in answers(3)]
    segments = [segment_line(0, 3000, 4000), segment_line(0, 2000, 4000, block=1)]
    level = level_of(made_log(lines, segments, blocks=2))

    assert level.requests.sent == 6
    assert (level.window.seconds, level.window.segments) == (5, 2)


# The benchmark plan's own result


def test_the_benchmark_is_of_the_lowest_level() -> None:
    lines = answers(3, usage=usage(30, 20)) + [at_concurrency(line, 8) for line in answers(9)]
    header = header_line()
    header["plan"].append(header["plan"][0] | {"load_point": point(8)})
    log = made_log([request_line(steady(), phase="warmup"), *lines])
    found = summarize(MeasuredRun(LogContents(header, log.requests, log.segments, log.end, []))).targets[0].benchmark

    assert found is not None
    assert found.stats is not None
    assert (found.model_id, found.backend, found.status) == ("m", "openai", "ok")
    assert (found.hardware, found.prompt_preview) == ("Apple M2 Ultra, 192 GB", "Explain transformers")
    assert found.timestamp == "2023-11-14T22:13:20.000Z"
    assert found.stats.ttft_p50_sec == pytest.approx(0.2)
    assert found.stats.ttft_mean_sec == pytest.approx(0.2)
    assert (found.stats.prompt_tokens, found.stats.output_tokens) == (30, 20)
    assert (found.stats.runs_completed, found.stats.warmup_runs_discarded) == (3, 1)
    assert found.stats.output_text == "w0 w1 w2 w3 w4 "
    assert (found.stats.completed_naturally, found.stats.coherence_flag) == (True, "ok")
    assert (found.stats.tool_call, found.stats.skills) == (None, [])


@pytest.mark.parametrize("count", [0, 1])
def test_under_two_runs_is_insufficient_and_never_zeros(count: int) -> None:
    found = summarize(MeasuredRun(made_log([failed_line(), failed_line(), *answers(count)]))).targets[0].benchmark

    assert found is not None
    assert found.stats is not None
    assert (found.status, found.stats.runs_completed) == ("insufficient_data", count)
    figures = found.stats.model_dump(exclude={"runs_completed", "warmup_runs_discarded", "skills"})
    about_the_text = {"output_text", "output_token_count", "completed_naturally", "repetition_ratio", "coherence_flag"}
    assert all(value is None for name, value in figures.items() if name not in about_the_text)
    assert found.stats.output_text == ("w0 w1 w2 w3 w4 " if count else None)


@pytest.mark.parametrize(("product", "version"), [("opta-lmx", "1.2"), ("ollama", None)])
def test_only_opta_lmx_has_an_lmx_version(product: str, version: str | None) -> None:
    header = header_line()
    header["targets"][0]["server"]["product"] = product
    log = made_log(answers(2))
    found = summarize(MeasuredRun(LogContents(header, log.requests, log.segments, log.end, []))).targets[0].benchmark

    assert found is not None
    assert found.lmx_version == version


@pytest.mark.parametrize(
    ("finish", "output", "limit", "dialect", "natural", "flag"),
    [
        ("length", 20, 20, "openai", False, "truncated"),
        ("stop", 20, 200, "openai", True, "ok"),
        ("stop", 20, 20, "openai", False, "truncated"),  # it says stop, but that was the limit
        ("stop", 40, 200, "lmx", True, "ok"),  # five chunks of 200 tokens at most: surely not the limit
        ("stop", 40, 8, "lmx", None, "ok"),  # five chunks may have been eight tokens
        ("stop", 20, None, "openai", None, "ok"),
    ],
)
def test_an_answer_that_ended_by_itself_is_told_from_one_that_was_cut(
    finish: str, output: int, limit: int | None, dialect: str, natural: bool | None, flag: str
) -> None:
    lines = answers(2, finish_reason=finish, usage=usage(30, output), max_tokens=limit)
    found = summarize(MeasuredRun(made_log(lines, dialect=dialect))).targets[0].benchmark

    assert found is not None
    assert found.stats is not None
    assert (found.stats.completed_naturally, found.stats.coherence_flag) == (natural, flag)


# Whatever the log says


NS = st.integers(0, 10_000 * MS)
KINDS = st.sampled_from(["role", "content", "reasoning", "tool", "usage", "finish", "error", "ping", "done", "other"])
OUTCOMES = st.sampled_from(["ok", "ok", "ok", "empty", "http_error", "reset", "cancelled", "connect_error"])
COUNTS = st.none() | st.integers(0, 5000) | st.just(-1) | st.just("5")


@st.composite
def any_request(draw: st.DrawFn) -> dict[str, Any]:
    arrivals = sorted(draw(st.lists(NS, max_size=8)))
    return request_line([]) | {
        "load_point": point(2),
        "block": draw(st.integers(0, 2)),
        "phase": draw(st.sampled_from(["warmup", "measured", "measured"])),
        "first_wave": draw(st.booleans()),
        "intended_ns": draw(NS),
        "send_ns": draw(st.none() | NS),
        "end_ns": draw(NS),
        "arrivals": [[at, 10] for at in arrivals],
        "events": draw(
            st.lists(st.tuples(st.integers(0, max(0, len(arrivals))), KINDS, st.text(max_size=3)).map(list))
        ),
        "outcome": draw(OUTCOMES),
        "reason": draw(st.none() | st.text(max_size=5)),
        "usage": usage(draw(COUNTS), draw(COUNTS), draw(COUNTS)),
        "finish_reason": draw(st.none() | st.sampled_from(["stop", "length"])),
        "max_tokens": draw(st.none() | st.integers(0, 300)),
        "tokenizer_tokens": draw(
            st.none() | st.fixed_dictionaries({"prompt": st.integers(0, 9), "output": st.integers(0, 9)})
        ),
    }


@st.composite
def any_segment(draw: st.DrawFn) -> dict[str, Any]:
    line = segment_line(None, None, 0)
    marks = {name: draw(st.none() | NS) for name in ("ramp_end_ns", "drain_start_ns")}
    return line | marks | {"block": draw(st.integers(0, 2)), "end_ns": draw(NS)}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(any_request(), max_size=12),
    st.lists(any_segment(), max_size=3, unique_by=lambda line: line["block"]),
    st.fixed_dictionaries({name: st.none() | st.floats(0.001, 10) for name in ("ttft", "tpot", "e2e")}),
)
def test_any_log_has_a_result_of_numbers(
    requests: list[dict[str, Any]], segments: list[dict[str, Any]], slo: dict[str, float | None]
) -> None:
    log = made_log(requests, segments, blocks=3, profile=PROFILE | {"slo": slo})
    result = summarize(MeasuredRun(log))

    text = result.model_dump_json(by_alias=True)
    assert RunResult.model_validate_json(text) == result  # which refuses NaN and infinity
    json.loads(text, parse_constant=pytest.fail)
    for level in result.targets[0].levels:
        counts = level.requests
        assert counts.sent == counts.ok + counts.failed + counts.cancelled
        assert sum(error.count for error in level.errors) == counts.failed
        assert list(level.metrics) == list(METRICS)
        for name, metric in level.metrics.items():
            assert metric.mean is not None or metric.reason, name


def test_the_same_log_gives_the_same_bytes() -> None:
    lines = [*answers(30, usage=usage(30, 20)), failed_line(), failed_line("reset")]

    def made() -> str:
        log = made_log(json.loads(json.dumps(lines)))
        return summarize(MeasuredRun(log)).model_dump_json(by_alias=True)

    assert made() == made()


def test_nothing_of_the_log_is_changed_by_reading_it() -> None:
    log = made_log([*answers(3), failed_line()])
    before = json.dumps([log.header, log.requests, log.segments])
    summarize(MeasuredRun(log))

    assert json.dumps([log.header, log.requests, log.segments]) == before


def test_requests_that_were_sent_again_are_told() -> None:
    lines = answers(4)
    lines[1]["reconnected"] = lines[2]["reconnected"] = True
    (level,) = summarize(MeasuredRun(made_log(lines))).targets[0].levels

    (note,) = [note for note in level.notes if note.startswith("sent again")]
    assert numbers_in(note) == [2, 4]
    (level,) = summarize(MeasuredRun(made_log(answers(4)))).targets[0].levels
    assert not any("sent again" in note for note in level.notes)
