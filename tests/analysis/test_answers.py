from typing import Any

import pytest

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.result import LevelResult, QualityResult, ServerWord, StabilityResult
from tests.helpers.made_lines import (
    MS,
    at_concurrency,
    header_line,
    made_log,
    request_line,
    segment_line,
    steady,
    usage,
)
from tests.helpers.snapshots import numbers_in

LOOP = " ".join(["and then it said that"] * 20)


def answer(text: str, at: float = 1000, **changes: Any) -> dict[str, Any]:
    """An answer of that text in pieces of a word each."""
    words = text.split(" ")
    reads = [(100.0 + 20 * place, [f"content:{word} "]) for place, word in enumerate(words)]
    return request_line(reads, send=at, **changes)


def level_of(lines: list[dict[str, Any]], concurrency: int = 1, **changes: Any) -> LevelResult:
    header = at_concurrency(header_line(**changes), concurrency)
    lines = [line if line["phase"] == "stability" else at_concurrency(line, concurrency) for line in lines]
    log = made_log(lines, segments=[at_concurrency(segment_line(0, 50_000, 60_000), concurrency)])
    log.header.update(header)
    return summarize(MeasuredRun(log)).targets[0].levels[0]


def quality(*lines: dict[str, Any], **changes: Any) -> QualityResult:
    found = level_of(list(lines), **changes).quality
    assert found is not None
    return found


def test_every_measured_answer_is_judged() -> None:
    found = quality(
        answer("A transformer reads all the words at once, and weighs them.", usage=usage(20, 12)),
        answer(LOOP, usage=usage(20, 100)),
        answer("It goes on and on, until", usage=usage(20, 200), finish_reason="length"),
        answer("x" * 30, usage=usage(20, 9)) | {"events": [[0, "content", "x" * 30]]},
        answer("Not counted. It is a warm-up.", phase="warmup", usage=usage(20, 9)),
    )

    assert found.answers == 4
    assert found.flags == {"ok": 1, "repetitive": 1, "truncated": 1, "garbled": 1}
    assert (found.natural, found.limited, found.unknown) == (3, 1, 0)


def test_of_opta_lmx_which_never_says_length_the_number_of_tokens_tells() -> None:
    """Its counts are of chunks: as many as tokens were allowed is surely the limit, half of them surely not."""
    found = quality(
        answer("ten words make ten chunks here and no more, yes", max_tokens=10),
        answer("ten words make ten chunks here and no more, yes", max_tokens=16),
        answer("ten words make ten chunks here and no more, yes", max_tokens=200),
        dialect="lmx",
    )

    assert (found.natural, found.limited, found.unknown) == (1, 1, 1)
    assert found.flags == {"ok": 2, "truncated": 1}


def test_no_answer_has_no_quality() -> None:
    failed = request_line([], outcome="reset", finish_reason=None)

    assert level_of([failed]).quality is None


# Stability


def stability(alone: str, *among: str) -> StabilityResult:
    lines = [answer("Measured. Well."), answer(alone, phase="stability")]
    lines += [at_concurrency(answer(text, phase="stability"), len(among)) for text in among]
    found = level_of(lines, concurrency=len(among)).quality
    assert found is not None
    assert found.stability is not None
    return found.stability


def test_the_same_answers_are_stable() -> None:
    found = stability("a b c", "a b c", "a b c", "a b c")

    assert (found.answers, found.same) == (3, 3)
    assert found.first_differing_token is None
    assert numbers_in(found.sentence) == [1, 3]  # alone, and three at once


def test_the_first_difference_of_any_answer_is_given() -> None:
    found = stability("one two three four", "one two three four", "one two thrice four", "one two three four five")

    assert (found.answers, found.same) == (3, 1)
    assert found.first_differing_character == len("one two thr") + 1
    assert found.first_differing_token == 3
    assert numbers_in(found.sentence) == [2, 3, 3, 1, 3]  # how many of how many differ, at which loads, where first


def test_a_longer_answer_differs_after_the_end_of_the_shorter() -> None:
    found = stability("one two", "one two three", "one two")

    assert found.first_differing_character == len("one two ") + 1
    assert found.first_differing_token == 3


def test_without_an_answer_given_alone_there_is_no_stability() -> None:
    among = at_concurrency(answer("a", phase="stability"), 4)
    found = level_of([answer("Measured. Well."), among], concurrency=4).quality

    assert found is not None
    assert found.stability is None


# The server's own word


def word(timings: Any, *, tokens: int = 5) -> ServerWord | None:
    lines = [request_line(steady(tokens), usage=usage(20, tokens), server_timings=timings) for _ in range(3)]
    return level_of(lines).server_word


def test_llama_cpps_timings_stand_beside_what_the_client_saw() -> None:
    found = word({"prompt_ms": 180.0, "predicted_ms": 100.0, "predicted_n": 5, "predicted_per_second": 50.0})

    assert found is not None
    assert (found.source, found.answers) == ("llama.cpp's timings", 3)
    assert (found.prompt_sec, found.toks_per_sec) == (0.18, 50.0)
    assert found.client_ttft_sec == pytest.approx(0.2)
    assert found.client_toks_per_sec == pytest.approx(50.0)


def test_ollamas_and_lm_studios_own_words() -> None:
    ollama = word(
        {"load_duration": 5 * MS, "prompt_eval_duration": 95 * MS, "eval_count": 6, "eval_duration": 100 * MS}
    )
    lm_studio = word(
        {"tokens_per_second": 42.5, "time_to_first_token": 0.11, "generation_time": 1.0, "stop_reason": "x"}
    )

    assert ollama is not None
    assert (ollama.prompt_sec, ollama.toks_per_sec) == (pytest.approx(0.1), 60.0)
    assert lm_studio is not None
    assert (lm_studio.source, lm_studio.prompt_sec, lm_studio.toks_per_sec) == ("LM Studio's stats", 0.11, 42.5)


def test_a_rate_over_a_single_token_is_none() -> None:
    found = word({"prompt_ms": 180.0, "predicted_ms": 0.001, "predicted_n": 1, "predicted_per_second": 1e6})

    assert found is not None
    assert found.toks_per_sec is None
    assert found.prompt_sec == 0.18


@pytest.mark.parametrize(
    "timings",
    [
        None,
        {},
        [],
        {"predicted_ms": "x", "prompt_ms": -1},
        {"eval_duration": True},
        {"tokens_per_second": float("inf")},
    ],
)
def test_nonsense_says_nothing(timings: Any) -> None:
    found = word(timings)

    assert found is None or (found.toks_per_sec, found.prompt_sec) == (None, None)
