import pytest

from lmx_loadgen.analysis.tokens import (
    Basis,
    choose_basis,
    output_tokens,
    prompt_tokens,
    read_tokens,
    visible_tokens,
)
from tests.helpers.made_lines import made, steady, usage

USAGE = Basis("usage", True, True)
EVENTS = Basis("events", False, False)


def test_a_tokenizer_beats_usage_when_it_counted_every_answer() -> None:
    counted = made(steady(), usage=usage(10, 6), tokenizer_tokens={"prompt": 11, "output": 7})
    basis = choose_basis([counted, counted], usage_output_exact=True, usage_prompt_exact=True)

    assert basis == Basis("tokenizer", True, True)
    assert (output_tokens(counted, basis), prompt_tokens(counted, basis)) == (7, 11)


def test_one_answer_the_tokenizer_did_not_count_sends_all_back_to_usage() -> None:
    counted = made(steady(), usage=usage(10, 6), tokenizer_tokens={"prompt": 11, "output": 7})
    not_counted = made(steady(), usage=usage(10, 6))

    assert choose_basis([counted, not_counted], usage_output_exact=True, usage_prompt_exact=True) == USAGE


@pytest.mark.parametrize("bad", [None, {}, usage(10, -1), usage(10, "6"), usage(10, 0)])
def test_answers_mostly_without_a_sane_usage_make_it_events(bad: object) -> None:
    good, without = made(steady(), usage=usage(10, 6)), made(steady(), usage=bad)
    usage_only = Basis("usage", True, False)

    assert choose_basis([good, without, without], usage_output_exact=True, usage_prompt_exact=False) == EVENTS
    assert choose_basis([good, without], usage_output_exact=True, usage_prompt_exact=False) == usage_only
    assert output_tokens(without, usage_only) is None


def test_usage_that_is_no_count_of_tokens_is_not_used() -> None:
    answers = [made(steady(), usage=usage(10, 6))]

    assert choose_basis(answers, usage_output_exact=False, usage_prompt_exact=False) == EVENTS
    assert prompt_tokens(answers[0], EVENTS) is None


def test_no_answers_have_no_exact_basis() -> None:
    assert choose_basis([], usage_output_exact=True, usage_prompt_exact=True).exact is False


def test_a_reads_tokens_are_its_share_of_the_characters() -> None:
    # 12 tokens over 4 characters, whatever events they came in
    one = made([(200, ["content:a", "content:b"]), (220, ["content:c"]), (240, ["content:d"])], usage=usage(1, 12))

    assert read_tokens(one, USAGE) == (6, 3, 3)
    assert read_tokens(one, EVENTS) == (2, 1, 1)
    assert read_tokens(one, Basis("characters", False, False)) == (2, 1, 1)
    assert read_tokens(made([]), USAGE) is None


@pytest.mark.parametrize(
    ("finish", "output", "visible"),
    [("stop", 6, 5), ("tool_calls", 6, 5), ("length", 6, 6), ("stop", 7, 7), ("stop", 5, 5)],
)
def test_an_end_of_turn_token_without_text_is_left_out(finish: str, output: int, visible: int) -> None:
    one = made(steady(tokens=5), usage=usage(1, output), finish_reason=finish)

    assert visible_tokens(one, USAGE) == visible
    assert output_tokens(one, USAGE) == output
