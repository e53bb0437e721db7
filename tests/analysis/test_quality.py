import pytest

from lmx_loadgen.analysis.quality import classify_coherence, compute_repetition_ratio

PROSE = "A transformer reads all the words of a sentence at once, and weighs each against the others."


def test_the_ratio_counts_repeats_of_five_grams() -> None:
    # eight words make four 5-grams: "a b c d e", "b c d e a", "c d e a b", "d e a b c": none twice
    assert compute_repetition_ratio("a b c d e a b c") == 0
    # ten words make six 5-grams; "a b c d e" is there twice, the four between once: 1 of 6
    assert compute_repetition_ratio("a b c d e a b c d e") == pytest.approx(1 / 6)
    # nine times the same word make five equal 5-grams: 4 of 5
    assert compute_repetition_ratio("no " * 9) == pytest.approx(4 / 5)


def test_case_and_white_space_do_not_hide_a_repeat() -> None:
    assert compute_repetition_ratio("A b\nc  d e a B c\td E") == pytest.approx(1 / 6)


@pytest.mark.parametrize("text", ["", "one two three four", "   "])
def test_under_five_words_there_is_no_ratio(text: str) -> None:
    assert compute_repetition_ratio(text) == 0


@pytest.mark.parametrize(
    ("text", "natural", "count", "flag"),
    [
        (PROSE, True, 20, "ok"),
        (PROSE, False, 200, "truncated"),
        (PROSE, False, 199, "ok"),
        (PROSE, True, 200, "ok"),
        ("no " * 100, False, 200, "repetitive"),  # repetition is judged first
        ("x" * 21, True, 21, "garbled"),
        ("x" * 20, True, 20, "ok"),
        ("x" * 30 + ".", True, 20, "ok"),
        ("xxxxxxxxxx xxxxxxxxxxxxxx", True, 20, "ok"),
        ("x" * 30, False, 200, "truncated"),  # and truncation before garbling
        ("", True, 0, "ok"),
    ],
)
def test_coherence(text: str, natural: bool, count: int, flag: str) -> None:
    assert classify_coherence(text, natural, count, 200) == flag


def test_a_ratio_of_just_thirty_percent_is_no_loop() -> None:
    # fourteen words make ten 5-grams; the first seven words again give 3 repeats: 3 of 10, not over 0.3
    text = "a b c d e f g a b c d e f g"
    assert compute_repetition_ratio(text) == pytest.approx(0.3)
    assert classify_coherence(text, True, 14, 200) == "ok"
