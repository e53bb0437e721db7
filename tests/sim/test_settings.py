"""Settings travel unchanged, and refuse what makes no sense; pieces join back to the text they were cut from."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmx_loadgen.errors import InputError
from lmx_loadgen.sim import DIALECT_NAMES
from lmx_loadgen.sim.dialects import DIALECTS
from lmx_loadgen.sim.settings import SimSettings, check_orders
from lmx_loadgen.sim.text import ANSWER, PrefixCache, count_prompt, prompt_text, split_pieces


def test_settings_survive_the_journey_to_the_child() -> None:
    settings = SimSettings(models=("a", "b"), dialect="ollama", slots=3, faults={"http_500": 0.1}, api_key="k")
    assert SimSettings.from_json(settings.to_json()) == settings
    assert SimSettings.from_json("{}") == SimSettings()


def test_every_dialect_has_its_file() -> None:
    assert {name: dialect.name for name, dialect in DIALECTS.items()} == {name: name for name in DIALECT_NAMES}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"colour": 1}, "unknown simulator setting 'colour'; known are: "),
        ({"port": "80"}, "'port' must be int, not '80'"),
        ({"slots": True}, "'slots' must be int or NoneType"),
        ({"dialect": "gopher"}, "'dialect' must be one of openai, lmx"),
        ({"engine": "steam"}, "'engine' must be one of batch, independent"),
        ({"slots": 0}, "'slots' must be at least 1"),
        ({"step_ms": -1}, "'step_ms' must be at least 0"),
        ({"prefill_tok_s": 0}, "'prefill_tok_s' must be positive"),
        ({"faults": {"http_500": 2}}, "share of fault 'http_500' must be a number from 0 to 1"),
        ({"faults": {"http_500": 0.7, "http_503": 0.7}}, "together must not exceed 1"),
        ({"models": "one"}, "'models' must be tuple"),
        ({"models": ["one", 2]}, "must hold strings"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        SimSettings.from_json(json.dumps(fields))


@pytest.mark.parametrize("text", ["", "[]", "{", "7"])
def test_settings_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="the simulator settings"):
        SimSettings.from_json(text)


@pytest.mark.parametrize("orders", [[], {"fault": 3}, {"after": -1}, {"tokens_per_chunk": 0}, {"burst": 1}])
def test_orders_that_make_no_sense_are_refused(orders: Any) -> None:
    with pytest.raises(InputError, match='"sim"'):
        check_orders(orders)


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_pieces_join_back_to_the_text(text: str) -> None:
    pieces = split_pieces(text)
    assert "".join(pieces) == text
    assert all(pieces)


def test_the_prose_is_a_few_hundred_tokens_that_read_on_in_a_circle() -> None:
    assert 200 < len(ANSWER) < 500
    assert ANSWER[0] == " The"
    assert "".join(ANSWER + ANSWER[:3]).endswith("the light. The lighthouse stood")


def test_prompts_are_counted_the_same_every_time() -> None:
    body: dict[str, object] = {
        "messages": [
            {"role": "system", "content": "abcd" * 5},
            {"role": "user", "content": [{"type": "text", "text": "x" * 19}, {"type": "image_url"}]},
            {"role": "user", "content": None},
            "no message",
        ]
    }
    text = prompt_text(body)
    assert text == "abcd" * 5 + "\n" + "x" * 19 + "\n\n"
    assert count_prompt(body, text) == 11 + 16
    assert count_prompt({"prompt": ""}, "") == 1


def test_the_cache_knows_beginnings_only() -> None:
    cache = PrefixCache()
    text = "".join(f"{i:08d}" for i in range(100))
    assert cache.cached_tokens(text) == 0
    assert cache.cached_tokens(text) == 200
    assert cache.cached_tokens(text[:640] + "otherwise") == 160
    assert cache.cached_tokens("otherwise" + text) == 0
