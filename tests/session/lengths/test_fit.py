"""A text of a wanted number of tokens is found by few counts, whatever the vocabulary makes of words."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.session.lengths.filler import filler
from lmx_loadgen.session.lengths.fit import Measured, expected, fit


class Vocabulary:
    """Counts a text of words and tail: each word has between one token and `most`, each word of the tail one."""

    def __init__(self, seed: int, most: int, template: int) -> None:
        chance = random.Random(seed)
        self.sums = [template]
        for _ in range(40_000):
            self.sums.append(self.sums[-1] + chance.randint(1, most))
        self.counts = 0

    def __call__(self, words: int, tail: int) -> int:
        self.counts += 1
        return self.sums[words] + tail


@given(seed=st.integers(0, 1000), most=st.integers(1, 3), template=st.integers(10, 60), wanted=st.integers(70, 16_384))
def test_the_length_is_met_exactly(seed: int, most: int, template: int, wanted: int) -> None:
    count = Vocabulary(seed, most, template)
    found = fit(count, wanted, [Measured(0, 0, template)], 24)

    assert found is not None
    assert found.tokens == wanted == count(found.words, found.tail)


def test_where_a_word_is_a_token_two_short_texts_and_one_whole_one_are_enough() -> None:
    count = Vocabulary(1, 1, 38)
    known = [Measured(words, 0, count(words, 0)) for words in (16, 96)]
    found = fit(count, 16_384, known, 8)

    assert found == Measured(16_384 - 38, 0, 16_384)
    assert count.counts == 3


def test_a_count_by_characters_is_met_too() -> None:
    def count(words: int, tail: int) -> int:
        return (len(filler(words, tail)) + 17 + 3) // 4 + 4

    for wanted in (64, 128, 500, 2048, 4096):
        known = [Measured(words, 0, count(words, 0)) for words in (16, 96)]
        found = fit(count, wanted, known, 8)
        assert found is not None
        assert found.tokens == wanted


def test_a_count_that_fails_gives_nothing() -> None:
    assert fit(lambda words, tail: None, 500, [Measured(0, 0, 10)], 8) is None


def test_a_length_that_no_text_has_ends_with_the_nearest() -> None:
    found = fit(lambda words, tail: 10 + 2 * words + 2 * tail, 501, [Measured(0, 0, 10)], 24)

    assert found is not None
    assert abs(found.tokens - 501) == 1


@pytest.mark.parametrize(("words", "tokens"), [(1000, 1038), (16, None)])
def test_what_a_longer_text_should_have_is_told_by_two_shorter_ones(words: int, tokens: int | None) -> None:
    assert expected([Measured(16, 0, 54), Measured(96, 0, 134)], words) == tokens


def test_a_longer_filler_begins_with_every_shorter_one() -> None:
    longest = filler(3000)

    assert all(longest.startswith(filler(words)) for words in (0, 1, 999, 1000, 1001, 2500))
    assert filler(5, 2) == filler(5) + " a a"
