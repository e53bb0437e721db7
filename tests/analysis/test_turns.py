"""Figures by turn: what comes from a cache beyond a chat template's own words, and what is left out."""

from typing import Any

import pytest

from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.analysis.turns import turn_of, turn_results
from lmx_loadgen.profile.load_point import Closed, Sessions
from tests.helpers.made_lines import made, steady

USERS = Sessions(users=1)
PROFILE: dict[str, Any] = {"prompts": {}}
BASIS = Basis("usage", exact=True, prompt_exact=True)


def asked(turn: int, prompt: int, cached: int | None, outcome: str = "ok") -> Record:
    changed = {"outcome": outcome, "usage_prompt": prompt, "usage_cached": cached}
    return made(steady())._replace(prompt_class=f"turn {turn:02d}", **changed)


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
    prompts = {"shared_system": "agent.txt"} if shares_system else {}
    found = turn_results(USERS, measured, BASIS, {"prompts": prompts}, usage_exact=True)

    assert [one.cached_share for one in found] == expected
    assert [one.context_tokens for one in found] == [84, 224]


def test_failed_turns_are_counted_and_cancelled_ones_are_not() -> None:
    measured = [asked(1, 84, 0), asked(1, 84, 0, "reset"), asked(2, 200, 0, "cancelled")]
    (first,) = turn_results(USERS, measured, BASIS, PROFILE, usage_exact=True)

    assert (first.answers, first.failed) == (1, 1)


def test_a_count_that_is_an_estimate_is_no_context() -> None:
    (first,) = turn_results(USERS, [asked(1, 84, 0)], BASIS, PROFILE, usage_exact=False)

    assert (first.context_tokens, first.cached_share) == (None, None)


def test_turns_sent_as_prompts_of_their_own_are_no_chats() -> None:
    assert turn_results(Closed(concurrency=1), [asked(1, 84, 0)], BASIS, PROFILE, usage_exact=True) == []


def test_only_turns_of_chats_have_a_number() -> None:
    assert turn_of(asked(12, 1, 0)) == 12
    assert turn_of(made(steady())._replace(prompt_class="short")) is None
