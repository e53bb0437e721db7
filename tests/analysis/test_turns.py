"""Figures by turn: what comes from a cache beyond a chat template's own words, and what is left out."""

from dataclasses import replace

import pytest

from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.analysis.turns import turn_of, turn_results
from tests.helpers.made_lines import made, steady

BASIS = Basis("usage", exact=True, prompt_exact=True)


def asked(turn: int, prompt: int, cached: int | None, outcome: str = "ok") -> Record:
    return replace(
        made(steady()), prompt_class=f"turn {turn:02d}", outcome=outcome, usage_prompt=prompt, usage_cached=cached
    )


@pytest.mark.parametrize(
    ("first", "shares_system", "expected"),
    [
        (24, False, [0.0, 100 / 200]),  # a template's words, in both turns
        (0, False, [0.0, 124 / 224]),
        (60, False, [60 / 84, 124 / 224]),  # more than a template has: a cache across chats
        (24, True, [24 / 84, 124 / 224]),  # meant to be held across chats
        (None, False, [None, 124 / 224]),
    ],
)
def test_a_share_is_of_what_was_asked_and_not_of_a_template(
    first: int | None, shares_system: bool, expected: list[float | None]
) -> None:
    measured = [asked(1, 84, first), asked(1, 84, first), asked(2, 224, 124)]
    found = turn_results(measured, BASIS, usage_exact=True, shares_system=shares_system)

    assert [one.cached_share for one in found] == expected
    assert [one.context_tokens for one in found] == [84, 224]


def test_failed_turns_are_counted_and_cancelled_ones_are_not() -> None:
    measured = [asked(1, 84, 0), asked(1, 84, 0, "reset"), asked(2, 200, 0, "cancelled")]
    (first,) = turn_results(measured, BASIS, usage_exact=True)

    assert (first.answers, first.failed) == (1, 1)


def test_a_count_that_is_an_estimate_is_no_context() -> None:
    (first,) = turn_results([asked(1, 84, 0)], BASIS, usage_exact=False)

    assert (first.context_tokens, first.cached_share) == (None, None)


def test_only_turns_of_chats_have_a_number() -> None:
    assert turn_of(asked(12, 1, 0)) == 12
    assert turn_of(replace(made(steady()), prompt_class="short")) is None
