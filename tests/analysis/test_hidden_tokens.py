"""Tokens that nobody saw: hidden reasoning, text held back, a usage that cannot be what came."""

import pytest

from tests.helpers.counted_lines import OTTERS, answer, counted, level_of, noted, spoken, with_running

HIDDEN_NOTE = "TTFT includes about 400 reasoning tokens that were not streamed"


def test_hidden_reasoning_is_not_in_the_decode_window() -> None:
    # 414 − 400 = 14, one of them the end of turn: 13 tokens, 12 of them in 60 ms
    level = level_of([answer(counted(414, 400), max_tokens=512) for _ in range(2)])

    assert (level.token_basis, level.token_basis_exact) == ("usage", True)
    assert level.metrics["decode_tok_s"].mean == pytest.approx(200)
    assert level.metrics["tpot"].mean == pytest.approx(0.005)
    assert level.metrics["output_tokens"].mean == 14
    assert level.metrics["output_tok_s"].mean == pytest.approx(2 * 13 / 5)
    assert noted(level, HIDDEN_NOTE)


def test_a_wait_for_hidden_reasoning_is_no_speed_of_the_prompt() -> None:
    prompt = level_of([answer(counted(414, 400))]).metrics["prompt_tok_s"]

    assert prompt.mean is None
    assert prompt.reason is not None
    assert "not streamed" in prompt.reason


@pytest.mark.parametrize("nonsense", [500, -1, True, "400", 3.5, 15])
def test_nonsense_about_hidden_tokens_is_ignored(nonsense: object) -> None:
    level = level_of([answer(counted(14, nonsense))])

    assert level.metrics["decode_tok_s"].mean == pytest.approx(200)
    assert level.metrics["output_tokens"].mean == 14
    assert not noted(level, "not streamed")


def test_details_that_leave_fewer_tokens_than_came_are_ignored() -> None:
    # thoughts in the content that no tag marks: 20 tokens came in 13 events, though 10 are said to be reasoning
    level = level_of([answer(counted(20, 10), finish_reason="length")])

    assert level.metrics["output_tokens"].mean == 20


def test_reasoning_that_was_streamed_stays_in_the_count() -> None:
    reads = spoken(OTTERS[:8], kind="reasoning") + spoken(OTTERS[8:], first=540)
    level = level_of([answer(counted(13, 8), reads)])

    assert level.metrics["output_tokens"].mean == 13
    assert level.metrics["decode_tok_s"].mean == pytest.approx(200)
    assert not noted(level, "not streamed")


def test_a_summary_of_far_more_reasoning_is_no_exact_count() -> None:
    reads = spoken(["Thinking", " about", " otters"], kind="reasoning") + spoken(OTTERS * 9, first=700)
    level = level_of([answer(counted(420, 300), reads)])

    assert (level.token_basis, level.token_basis_exact) == ("events", False)


@pytest.mark.parametrize("usage", [counted(414), counted(414, 0), counted(80), counted(414, 403)])
def test_a_usage_far_over_what_came_is_no_exact_count(usage: dict[str, object]) -> None:
    level = level_of([answer(usage, max_tokens=512) for _ in range(2)])

    assert (level.token_basis, level.token_basis_exact) == ("events", False)
    assert level.metrics["decode_tok_s"].mean == pytest.approx(200)  # chunks
    assert level.metrics["prompt_tok_s"].mean is None
    assert noted(level, "2 of 2 answers have a usage far over the text that arrived")


def test_one_such_answer_of_several_is_left_out() -> None:
    level = level_of([answer(counted(414)), *(answer(counted(14)) for _ in range(3))])

    assert (level.token_basis, level.token_basis_exact) == ("usage", True)
    assert level.metrics["output_tokens"].n == 3
    assert level.metrics["decode_tok_s"].max == pytest.approx(200)
    assert level.metrics["output_tok_s"].mean == pytest.approx(4 * 13 / 5)
    assert noted(level, "1 of 4 answers has a usage far over the text that arrived")


@pytest.mark.parametrize(
    ("words", "tokens"),
    [
        (["🦦", "🌊", "🐚", "🦀"] * 10, 120),  # three tokens each, by their bytes
        (["你", "好", "海", "獭"] * 20, 160),  # two tokens each
        (["1 4 1 5 ", "9 2 6 5 "] * 10, 160),  # a token for each digit and each blank
        ([" while they sleep", " so none drifts"] * 10, 60),  # three words a chunk
        (["Yes"], 12),  # an answer of a word, with a template's tokens around it
        ([" unwahrscheinlich", "e Zusammenhänge"] * 12, 180),  # long words in small pieces
    ],
)
def test_real_text_of_many_tokens_keeps_its_count(words: list[str], tokens: int) -> None:
    level = level_of([answer(counted(tokens), spoken(words), finish_reason="length")])

    assert (level.token_basis, level.token_basis_exact) == ("usage", True)
    assert level.metrics["output_tokens"].mean == tokens


def test_text_held_back_by_a_parser_is_not_in_the_decode_window() -> None:
    # 60 tokens had been made when the first text came; one a chunk then, 72 at the last and an end of turn
    reads = with_running(spoken(), range(60, 73))
    level = level_of([answer(counted(73), reads)])

    assert (level.token_basis, level.token_basis_exact) == ("usage", True)
    assert level.metrics["decode_tok_s"].mean == pytest.approx(200)
    assert level.metrics["output_tok_s"].mean == pytest.approx(13 / 5, rel=0.01)
    assert level.metrics["prompt_tok_s"].mean is None
    assert noted(level, "TTFT includes about 59 tokens that were not streamed")


def test_a_running_count_tells_what_each_chunk_holds() -> None:
    # chunks of 1, 4, 2 and 5 tokens: 11 in 60 ms, however long their text is
    reads = with_running(spoken(["A", "bb", "a very long piece of text", "c"], step=20), [1, 5, 7, 12])
    level = level_of([answer(counted(12), reads, finish_reason="length")])

    assert level.metrics["tpot"].mean == pytest.approx(0.060 / 11)
    assert not noted(level, "not streamed")


def test_a_gap_of_hidden_tokens_in_midst_of_an_answer_is_generation_all_the_same() -> None:
    # "Sea otters", 40 tokens in silence (a tool's name, say), then the rest: 12 + 40 tokens in 12 steps and 200 ms
    reads = spoken(OTTERS[:2]) + spoken(OTTERS[2:], first=710)
    level = level_of([answer(counted(54), with_running(reads, [1, 2, *range(43, 54)]))])

    assert level.metrics["tpot"].mean == pytest.approx(0.260 / 52)


@pytest.mark.parametrize(
    "counts",
    [
        [1] * 13,  # of the chunk, not of all until then
        [0] * 13,
        [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1],
        [5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8],  # fewer than events came
        [100 + place for place in range(13)],  # more than the whole
    ],
)
def test_a_running_count_that_cannot_be_one_is_ignored(counts: list[int]) -> None:
    level = level_of([answer(counted(14), with_running(spoken(), counts))])

    assert level.metrics["decode_tok_s"].mean == pytest.approx(200)
    assert level.metrics["output_tokens"].mean == 14
    assert not noted(level, "not streamed")


def test_a_usage_at_the_end_alone_is_no_running_count() -> None:
    reads = [*spoken(), (580.0, ["finish:stop", "usage:14", "done"])]

    assert level_of([answer(counted(14), reads)]).metrics["decode_tok_s"].mean == pytest.approx(200)


def test_the_usage_of_the_whole_in_the_last_texts_read_is_not_its_running_count() -> None:
    # one a chunk up to 72 with the last text, 73 with the end of turn
    reads = with_running(spoken(), range(60, 73))
    reads[-1][1].extend(["finish:stop", "usage:73", "done"])
    level = level_of([answer(counted(73), reads)])

    assert level.metrics["tpot"].mean == pytest.approx(0.005)
