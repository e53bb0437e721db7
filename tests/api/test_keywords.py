"""What the keywords of `run` ask for, and what is said of wrong ones."""

from pathlib import Path
from typing import Any

import pytest

import lmx_loadgen
from lmx_loadgen.api.keywords import AROUND, OPTIONS, PROFILE_KEYS, Keywords, arguments
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.loading import load_profile


def test_the_typed_keywords_are_the_profiles_keys_and_the_options() -> None:
    assert set(Keywords.__annotations__) == {*PROFILE_KEYS, *OPTIONS, *AROUND}


def test_keywords_win_over_the_profile() -> None:
    asked = arguments(
        ["lmx", "box=http://127.0.0.1:9"],
        {
            "profile": "plan",
            "model": {"box": "m"},
            "concurrency": (4, 1),
            "duration": "30s",
            "prompts": Path("asked.txt"),
            "slo_ttft": "2s",
            "first_token_timeout": "1m",
            "include_skills": ["search"],
            "stability": False,
            "extra": {"top_k": 1},
            "seed": None,
        },
    )
    profile = asked.profile

    assert [(spec.name, spec.url, spec.model) for spec in profile.targets] == [
        ("lmx", None, None),
        ("box", "http://127.0.0.1:9", "m"),
    ]
    assert (profile.load.concurrency, profile.load.duration, profile.load.requests) == ([1, 4], 30.0, None)
    assert (profile.prompts.file, profile.slo.ttft, profile.timeouts.first_token) == ("asked.txt", 2.0, 60.0)
    assert ([skill.name for skill in profile.checks.include_skills], profile.checks.stability) == (["search"], False)
    assert (profile.request.extra, profile.request.seed) == ({"top_k": 1}, None)
    assert profile.request.max_tokens == load_profile("plan").request.max_tokens


def test_without_a_target_it_is_the_simulator() -> None:
    assert [spec.name for spec in arguments([], {}).profile.targets] == ["sim"]


def test_options_are_as_the_command_line_has_them() -> None:
    asked = arguments(["lmx", "ollama"], {"out": "there", "max_duration": "5m", "until_conclusive": True})

    assert (asked.options.out, asked.options.max_duration, asked.options.until_conclusive) == (
        Path("there"),
        300.0,
        True,
    )
    assert (asked.calibrate, asked.chooses_workers, asked.options.workers) == (True, False, 1)
    assert arguments([], {"workers": 2, "calibrate": False}).options.workers == 2


def test_an_unknown_keyword_names_what_is_allowed() -> None:
    unknown: dict[str, Any] = {"concurency": 4}
    with pytest.raises(TypeError) as raised:
        lmx_loadgen.run("sim", **unknown)

    assert str(raised.value).startswith(
        "run() got an unexpected keyword argument 'concurency'; did you mean 'concurrency'?"
    )
    assert all(name in str(raised.value) for name in Keywords.__annotations__)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_tokens": 0}, "max_tokens: "),
        ({"slo_ttft": 2}, "slo_ttft: needs a unit"),
        ({"concurrency": [1, 1]}, "concurrency: must not name a level twice"),
        ({"max_duration": "soon"}, "max_duration: must be a number of seconds"),
        ({"prompts": ["How are you?"]}, "prompts: "),
    ],
)
def test_a_wrong_value_is_named_by_its_keyword(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as raised:
        arguments(["sim"], given)
    assert str(raised.value).startswith(said)
