"""Answers without a usage, or with one that cannot be a count, among others that have one."""

from typing import Any

import pytest

from tests.helpers.counted_lines import OTTERS, answer, counted, level_of, noted, spoken
from tests.helpers.made_lines import MS, request_line

# four chunks of three tokens each, 20 ms apart, all of one length
CHUNKS = ["abc ", "def ", "ghi ", "jkl "]


def chunked(usage: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    return request_line(spoken(CHUNKS, first=200, step=20), usage=usage, finish_reason="length", **changes)


@pytest.mark.parametrize("missing", [None, {}, counted(0), counted("12"), counted(3)])
def test_a_few_answers_without_usage_are_left_out(missing: dict[str, Any] | None) -> None:
    # 45 answers of 12 tokens and three that do not say: 9 tokens in 60 ms
    level = level_of([chunked(counted(12)) for _ in range(45)] + [chunked(missing) for _ in range(3)])

    assert (level.token_basis, level.token_basis_exact) == ("usage", True)
    assert level.metrics["decode_tok_s"].mean == pytest.approx(150)
    assert level.metrics["decode_tok_s"].n == level.metrics["output_tokens"].n == 45
    assert level.metrics["ttft"].n == 48
    assert level.metrics["decode_tok_s"].reason == "3 of the answers have no value: no exact count of its tokens"
    assert level.metrics["output_tok_s"].mean == pytest.approx(48 * 12 / 5)
    impossible = missing in (counted(0), counted(3))
    said = "3 of 48 answers have a usage below" if impossible else "3 of 48 answers without usage"
    assert noted(level, said)


def test_fewer_than_half_with_a_usage_are_counted_by_events() -> None:
    level = level_of([chunked(counted(12)) for _ in range(3)] + [chunked(None) for _ in range(4)])

    assert (level.token_basis, level.token_basis_exact) == ("events", False)
    assert level.metrics["decode_tok_s"].mean == pytest.approx(50)
    assert level.metrics["output_tok_s"].mean == pytest.approx(7 * 4 / 5)


def test_prompts_without_a_count_are_left_out_too() -> None:
    lines = [chunked(counted(12, prompt=200)) for _ in range(3)] + [chunked(counted(12, prompt=None))]
    prompt = level_of(lines).metrics["prompt_tok_s"]

    assert (prompt.n, prompt.mean) == (3, pytest.approx(1000))
    assert prompt.reason is not None
    assert "no exact count" in prompt.reason


def test_prompts_mostly_without_a_count_have_no_speed() -> None:
    lines = [chunked(counted(12, prompt=200))] + [chunked(counted(12, prompt=None)) for _ in range(3)]

    assert level_of(lines).metrics["prompt_tok_s"].n == 0


# An impossible usage


@pytest.mark.parametrize("output", [12, 1, 5])
def test_fewer_tokens_than_text_events_is_no_count(output: int) -> None:
    level = level_of([answer(counted(output), finish_reason="length") for _ in range(2)])

    assert (level.token_basis, level.token_basis_exact) == ("events", False)
    assert level.metrics["output_tokens"].mean == 13
    assert level.metrics["decode_tok_s"].mean == pytest.approx(200)
    assert noted(level, "2 of 2 answers have a usage below their number of text events")


def test_a_chunk_that_was_split_into_thought_and_answer_is_one_event_of_the_server() -> None:
    reads = [(500.0, ["reasoning:<think>Hm</think>", "content:Sea"]), *spoken(OTTERS[1:], first=505)]
    level = level_of([answer(counted(13), reads, finish_reason="length")])

    assert (level.token_basis, level.token_basis_exact) == ("usage", True)
    assert level.metrics["output_tokens"].mean == 13


def test_a_cancelled_answer_is_estimated_like_the_others() -> None:
    stopped = request_line(
        spoken(CHUNKS[:2], first=200, step=20), outcome="cancelled", finish_reason=None, end_ns=1300 * MS
    )
    level = level_of([chunked(counted(12)) for _ in range(3)] + [stopped])

    assert level.metrics["output_tok_s"].mean == pytest.approx((3 * 12 + 2 * 3) / 5)
    assert not noted(level, "without usage")
