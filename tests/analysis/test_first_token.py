"""Which text is the first token, and which the first that a person reads."""

import pytest

from tests.helpers.counted_lines import OTTERS, answer, counted, level_of, noted, spoken
from tests.helpers.made_lines import MS, made, request_line


@pytest.mark.parametrize("white", ["\n\n", " ", "\t", "\u00a0", "\u3000\r\n"])
def test_white_space_alone_is_no_first_token(white: str) -> None:
    reads = [(100.0, [f"content:{white}"]), *spoken()]
    level = level_of([answer(counted(15), reads), answer(counted(14))])

    assert level.metrics["ttft"].p50 == level.metrics["ttfo"].p50 == 0.5
    assert level.metrics["longest_stall"].max == pytest.approx(0.005)
    assert level.metrics["decode_tok_s"].mean == pytest.approx(200, rel=0.01)
    assert noted(level, "1 of 2 answers began with white space")


def test_white_space_before_the_first_token_stays_in_the_text() -> None:
    one = made([(100, ["content:\n", "content: "]), (200, ["content:Hi"]), (220, ["content: you"])])

    assert one.text_reads == ((1200 * MS, 3), (1220 * MS, 1))
    assert one.read_characters == (4, 4)
    assert one.characters == 8
    assert one.notes == ("leading_white_space",)


def test_white_space_within_and_after_the_text_is_text() -> None:
    one = made([(200, ["content:Hi"]), (220, ["content:\n"]), (240, ["content: "])])

    assert one.text_reads == ((1200 * MS, 1), (1220 * MS, 1), (1240 * MS, 1))
    assert one.notes == ()


def test_white_space_after_the_thoughts_is_no_first_output() -> None:
    reads = [
        (100, ["reasoning:\n"]), (200, ["reasoning:Hm"]), (300, ["content:\n\n"]), (400, ["content:Yes"])
    ]  # fmt: skip
    one = made(reads)

    assert (one.first_text_ns, one.first_visible_ns) == (1200 * MS, 1400 * MS)


def test_tool_arguments_are_a_first_token_but_not_their_white_space() -> None:
    one = made([(100, ["tool: "]), (300, ['tool:{"a":1}'])])

    assert (one.first_text_ns, one.first_visible_ns) == (1300 * MS, 1300 * MS)


def test_an_answer_of_white_space_has_no_first_token() -> None:
    one = made([(100, ["content:\n"]), (200, ["content: "])])

    assert (one.first_text_ns, one.last_text_ns, one.first_visible_ns, one.text_events) == (None, None, None, 0)


def test_white_space_in_the_first_tokens_own_read_is_no_note_of_time_lost() -> None:
    one = made([(200, ["content:\n", "content:Hi"]), (220, ["content:!"])])

    assert (one.first_text_ns, one.text_reads[0]) == (1200 * MS, (1200 * MS, 2))


def test_a_note_of_the_decoder_is_not_given_twice() -> None:
    line = request_line([(100.0, ["content:\n"]), *spoken(OTTERS)], usage=counted(15)) | {
        "notes": ["leading_white_space", "no_blank_line"]
    }
    level = level_of([line])

    assert [note for note in level.notes if "white space" in note] == [
        "1 of 1 answers began with white space, which is no first token: TTFT is to the first other text"
    ]
    assert noted(level, "1 of 1 answers lacked the empty line after their last event")
