"""What is said of how answers came and ended: codes of the log, limits that are ignored, ends that nobody named."""

from typing import Any

import pytest

from lmx_loadgen.analysis.comparison.compare import comparisons_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.result import LevelResult, ServerWord
from tests.helpers.counted_lines import OTTERS, answer, counted, level_of, noted, spoken
from tests.helpers.made_lines import at_concurrency, made_log, request_line, segment_line
from tests.helpers.made_sessions import Made, session

# Codes


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("held_open", "were followed by a connection that stayed open"),
        ("no_finish_reason", "ended without a finish reason"),
        ("no_blank_line", "lacked the empty line after their last event"),
        ("something_new", "noted: something new"),
    ],
)
def test_a_code_becomes_a_sentence_with_its_count(code: str, words: str) -> None:
    lines = [answer(counted(14), notes=[code]) for _ in range(3)] + [answer(counted(14)) for _ in range(45)]

    assert noted(level_of(lines), f"3 of 48 answers {words}")


@pytest.mark.parametrize("nonsense", [None, "held_open", [1, None], {"held_open": 1}])
def test_nonsense_for_codes_is_passed_over(nonsense: Any) -> None:
    assert level_of([answer(counted(14), notes=nonsense)]).notes == []


def test_failed_and_warm_up_answers_are_not_counted() -> None:
    beside = [
        answer(counted(14), notes=["held_open"], phase="warmup"),
        answer(counted(14), notes=["held_open"], outcome="stream_error"),
    ]
    level = level_of([*beside, answer(counted(14))])

    assert not noted(level, "stayed open")


# The limit


def quality_of(level: LevelResult) -> tuple[int, int, int, dict[str, int]]:
    found = level.quality
    assert found is not None
    return found.natural, found.limited, found.unknown, dict(found.flags)


@pytest.mark.parametrize("finish", ["stop", "eos", None])
def test_an_answer_longer_than_the_limit_ended_by_itself(finish: str | None) -> None:
    lines = [answer(counted(14), max_tokens=10, finish_reason=finish)]
    lines += [answer(counted(14), max_tokens=200) for _ in range(3)]
    level = level_of(lines)

    assert quality_of(level) == (4, 0, 0, {"ok": 4})
    assert noted(level, "1 of 4 answers is longer than max_tokens: the server ignores the limit")


def test_one_that_stops_just_at_the_limit_was_ended_by_it() -> None:
    level = level_of([answer(counted(13), max_tokens=13)])

    assert quality_of(level) == (0, 1, 0, {"truncated": 1})
    assert not noted(level, "ignores the limit")


def test_text_events_beyond_the_limit_are_tokens_beyond_it() -> None:
    level = level_of([answer(None, max_tokens=10), answer(None, max_tokens=10)], dialect="lmx")

    assert quality_of(level)[:2] == (2, 0)
    assert noted(level, "2 of 2 answers are longer than max_tokens")


def test_a_tokenizer_of_ours_does_not_prove_that_the_limit_was_ignored() -> None:
    counts = {"prompt": 30, "output": 15}
    level = level_of([answer(None, max_tokens=14, tokenizer_tokens=counts)], dialect="lmx")

    assert quality_of(level)[:2] == (0, 1)
    assert not noted(level, "ignores the limit")


def test_hidden_reasoning_is_not_beyond_a_limit_of_what_is_shown() -> None:
    assert not noted(level_of([answer(counted(414, 400), max_tokens=200)]), "ignores the limit")


# An end that nobody named


def test_a_missing_finish_reason_is_unknown() -> None:
    level = level_of([answer(counted(14), finish_reason=None) for _ in range(2)] + [answer(counted(14))])

    assert level.finish_reasons == {"stop": 1, "unknown": 2}
    assert level.metrics["decode_tok_s"].n == 3


def test_without_a_finish_reason_chunks_near_the_limit_tell_nothing() -> None:
    level = level_of([answer(None, finish_reason=None, max_tokens=20)])

    assert quality_of(level)[:3] == (0, 0, 1)


# Stability


def stable(among: int) -> bool:
    beside = answer(counted(14), phase="stability")
    lines = [at_concurrency(answer(counted(14)), 4), beside, *[at_concurrency(beside, 4)] * among]
    log = made_log(lines, segments=[at_concurrency(segment_line(0, 5000, 6000), 4)])
    log.header.update(at_concurrency(log.header, 4))
    found = summarize(MeasuredRun(log)).targets[0].levels[0].quality
    assert found is not None
    return found.stability is not None


def test_a_single_answer_is_not_compared_with_answers_at_once() -> None:
    assert [stable(among) for among in (0, 1, 2, 4)] == [False, False, True, True]


# The server's own figure


def word(**timings: Any) -> ServerWord | None:
    lines = [request_line(spoken(OTTERS), usage=counted(13), server_timings=timings) for _ in range(3)]
    return level_of(lines).server_word


@pytest.mark.parametrize(
    ("timings", "rate"),
    [
        # as recorded from a real server: 15 steps in 161.058 ms
        ({"predicted_n": 16, "predicted_ms": 161.058, "predicted_per_second": 93.13415043027977}, 93.134),
        ({"predicted_n": 16, "predicted_ms": 161.058}, 93.134),
        ({"predicted_n": 16, "predicted_ms": 161.058, "predicted_per_second": 0.0}, 93.134),
        ({"predicted_n": 16, "predicted_ms": 161.058, "predicted_per_second": "fast"}, 93.134),
        ({"predicted_n": 16, "predicted_ms": 161.058, "predicted_per_second": float("nan")}, 93.134),
        ({"predicted_n": 16, "predicted_ms": 161.058, "predicted_per_second": -5}, 93.134),
        ({"predicted_per_second": 93.134}, 93.134),
        ({"predicted_n": 1, "predicted_ms": 0.001, "predicted_per_second": 0.0}, None),
        ({"predicted_n": 16, "predicted_ms": 0}, None),
        ({"predicted_ms": 161.058}, None),
    ],
)
def test_llama_cpps_own_rate_is_the_one_it_states_or_of_the_steps_after_the_first(
    timings: dict[str, Any], rate: float | None
) -> None:
    found = word(**timings)

    assert found is not None
    assert found.toks_per_sec == (None if rate is None else pytest.approx(rate, abs=0.001))


# Compared


def compared(change: Any) -> Comparison:
    (found,) = comparisons_of(MeasuredRun(session({"a": Made(), "b": Made(change=change)}, blocks=4, requests=12)))
    return found


def without_usage(line: dict[str, Any], number: int) -> dict[str, Any]:
    return line | ({"usage": None} if number % 12 == 3 else {})


def test_one_answer_without_usage_leaves_a_comparison_on_its_basis() -> None:
    found = compared(without_usage)
    status = {line.key: line.status for line in found.audit}

    assert found.levels[0].token_basis == "usage"
    assert (status["token_basis"], status["prompt_tokens"], status["output_length"]) == ("passed",) * 3
    assert found.levels[0].metrics["decode_tok_s_p50"].ratio == pytest.approx(1, abs=0.02)
    assert found.levels[0].metrics["output_tok_s"].ratio == pytest.approx(1, abs=0.02)


def test_reasoning_that_is_only_counted_is_reasoning() -> None:
    def thinks(line: dict[str, Any], number: int) -> dict[str, Any]:
        return line | {"usage": counted(410, 400)}

    found = compared(thinks)

    assert found.levels[0].token_basis == "usage"
    assert next(line.status for line in found.audit if line.key == "reasoning") == "failed"
