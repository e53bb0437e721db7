"""What every target is asked besides its load, how much of it fits into a run, and how it is asked."""

import re
from pathlib import Path

import pytest

from lmx_loadgen.profile.models import Load, Profile, Prompts, Request, TargetSpec
from lmx_loadgen.profile.prompts import PromptBook, prompt_book
from lmx_loadgen.session.checks.budget import SHARE, check_budget
from lmx_loadgen.session.checks.needle_text import DEPTHS, MORE_DEPTHS, WORDS_AFTER, needle_text
from lmx_loadgen.session.checks.questions import CheckQuestions, Question
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.plan import estimate_s, make_plan
from lmx_loadgen.session.plan_description import plan_description

CODE = re.compile(r"\b[A-Z]{2}-\d{4}\b")


def book(**prompts: object) -> PromptBook:
    return prompt_book(Prompts.model_validate(prompts), Path.cwd())


def text_of(question: Question) -> str:
    (message,) = question.messages
    return str(message["content"])


@pytest.mark.parametrize("depth", DEPTHS + MORE_DEPTHS)
@pytest.mark.parametrize("characters", [100, 20_000])
def test_a_text_has_one_code_with_200_words_after_it_or_more(depth: float, characters: int) -> None:
    found = needle_text("a seed", depth, characters)
    before, after = found.text.split(found.code)

    assert CODE.findall(found.text) == [found.code]
    assert len(after.split()) > WORDS_AFTER
    assert len(before.split()) > 10
    assert len(found.text) >= characters
    assert needle_text("a seed", depth, characters) == found
    assert needle_text("another", depth, characters) != found


def test_texts_are_as_long_as_the_longest_prompt_of_the_run() -> None:
    asked = CheckQuestions(Request(), book(text="word " * 5000), "key").needle()

    assert all(25_000 <= len(text_of(question)) <= 26_500 for question in asked)


def test_texts_come_again_under_another_nonce_and_with_another_end() -> None:
    questions = CheckQuestions(Request(), book(), "key")
    needles, again = questions.needle(), questions.caching()

    assert [one.kind for one in again] == ["new_nonce", "same_nonce"] * len(DEPTHS)
    for first, second, third in zip(needles, again[::2], again[1::2], strict=True):
        assert text_of(first).partition(" ")[2] == text_of(second).partition(" ")[2]
        assert first.nonce != second.nonce == third.nonce
        assert text_of(second)[:2000] == text_of(third)[:2000]
        assert text_of(second)[-40:] != text_of(third)[-40:]
        assert all(text_of(one).startswith(f"{one.nonce} ") for one in (first, second, third))
        assert all(CODE.findall(text_of(one)) == [first.expects] for one in (first, second, third))


def test_settings_are_asked_for_twice_in_the_same_words_and_drawn_again_where_anything_is_drawn() -> None:
    plain = CheckQuestions(Request(max_tokens=500), book(), "key").settings()
    drawn = CheckQuestions(Request(max_tokens=500, temperature=0.8, seed=7), book(), "key").settings()

    assert [one.name for one in plain] == [
        f"{name}-{n}" for n in range(3) for name in ("first", "again", "short", "short-again")
    ]
    assert [one.name for one in drawn][4::5] == ["other-seed-0", "other-seed-1", "other-seed-2"]
    first, again, short, _ = plain[:4]
    assert (first.messages, first.settings) == (again.messages, again.settings)
    assert short.messages != first.messages
    assert (short.settings.max_tokens, first.settings.max_tokens) == (4, 32)
    assert (drawn[0].settings.seed, drawn[4].settings.seed) == (7, 8)
    assert drawn[0].messages == drawn[4].messages
    assert len({text_of(one).partition(" ")[2] for one in plain}) == 3


def test_every_run_has_texts_and_nonces_of_its_own() -> None:
    one, other = (CheckQuestions(Request(), book(), key).needle() for key in ("a run", "another"))

    assert not {text_of(question) for question in one} & {text_of(question) for question in other}
    assert not {question.nonce for question in one} & {question.nonce for question in other}


# What fits


def profile(targets: int, **load: object) -> Profile:
    names = [TargetSpec(name=name) for name in "abcd"[:targets]]
    request = Request(max_tokens=int(str(load.pop("max_tokens", 200))))
    return Profile(targets=names, load=Load.model_validate(load), request=request)


@pytest.mark.parametrize(
    ("load", "targets", "groups"),
    [
        ({}, 2, ("needle", "caching", "settings", "more_needles")),
        ({}, 1, ("needle",)),
        ({"concurrency": [1, 4], "requests": 12, "max_tokens": 64}, 2, ("needle", "caching")),
        ({"requests": 4, "max_tokens": 16}, 2, ()),
        ({"requests": 300}, 3, ("needle", "caching", "settings", "more_needles")),
    ],
)
def test_checks_take_a_tenth_of_the_planned_time_at_most(load: dict[str, object], targets: int, groups: object) -> None:
    asked = profile(targets, **load)
    plan = make_plan(asked, [spec.name for spec in asked.targets])
    budget = check_budget(asked, plan)

    assert budget.groups == groups
    assert budget.seconds <= max(0.0, budget.limit_s)
    assert budget.limit_s * targets <= SHARE * estimate_s(asked, plan)


@pytest.mark.parametrize(
    ("load", "line"),
    [
        ({}, "  checks: 31 short requests per target, about 32 s (caches, prompt, settings)"),
        ({"requests": 4, "max_tokens": 16}, "  checks: 3 short requests per target, about 3 s (caches)"),
    ],
)
def test_the_plan_says_what_is_asked(load: dict[str, object], line: str) -> None:
    asked = profile(2, **load)
    plan = make_plan(asked, [spec.name for spec in asked.targets])

    def described_plan(options: Options) -> list[str]:
        return plan_description(asked, plan, options)

    lines = described_plan(Options())
    silent = described_plan(Options(probe=False))

    assert [one for one in lines if one not in silent] == [line]
    assert len(line) <= 80
