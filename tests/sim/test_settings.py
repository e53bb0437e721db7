"""Settings travel unchanged, and refuse what makes no sense; pieces join back to the text they were cut from."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmx_loadgen.errors import InputError
from lmx_loadgen.sim import DIALECT_NAMES
from lmx_loadgen.sim.dialects import DIALECTS
from lmx_loadgen.sim.orders import check_orders
from lmx_loadgen.sim.settings import SimSettings
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
        ({"colour": 1}, "setting colour: unknown key (allowed: host, port, dialect, "),
        ({"slot": 1}, "setting slot: unknown key; did you mean 'slots'? (allowed: "),
        ({"port": "80"}, "setting port: input should be a valid integer, got '80'"),
        ({"port": 80_000}, "setting port: input should be less than or equal to 65535, got 80000"),
        ({"slots": True}, "setting slots: input should be a valid integer, got True"),
        ({"slots": 0}, "setting slots: input should be greater than or equal to 1, got 0"),
        ({"burst": 1}, "setting burst: input should be a valid boolean, got 1"),
        ({"dialect": "gopher"}, "setting dialect: input should be 'openai', 'lmx', "),
        ({"engine": "steam"}, "setting engine: input should be 'batch' or 'independent', got 'steam'"),
        ({"refuses": ["tools"]}, "setting refuses.0: input should be 'system', "),
        ({"step_ms": -1}, "setting step_ms: input should be greater than or equal to 0, got -1"),
        ({"prefill_tok_s": 0}, "setting prefill_tok_s: input should be greater than 0, got 0"),
        ({"faults": {"http_500": 2}}, "setting faults.http_500: input should be less than or equal to 1, got 2"),
        ({"faults": {"http_500": 0.7, "http_503": 0.7}}, "faults: the shares of all faults together must not exceed 1"),
        ({"faults": {"surprise": 0.5}}, "setting faults.surprise: unknown fault (known: "),
        ({"models": "one"}, "setting models: input should be a valid tuple, got 'one'"),
        ({"models": ["one", 2]}, "setting models.1: input should be a valid string, got 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refusal:
        SimSettings.from_json(json.dumps(fields))

    assert said in str(refusal.value)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(InputError) as refusal:
        SimSettings.from_json('{"slots": 0, "jitter": "much", "colour": 1}')

    places = [words.partition(":")[0] for words in str(refusal.value).split("; ")]
    assert sorted(places) == [f"simulator setting {name}" for name in ("colour", "jitter", "slots")]


@pytest.mark.parametrize("name", ["api_key", "admin_key"])
def test_a_key_that_is_a_number_is_not_shown(name: str) -> None:
    with pytest.raises(InputError) as refusal:
        SimSettings.from_json(json.dumps({name: 8675309}))

    assert str(refusal.value) == f"simulator setting {name}: must be text; write a key of digits alone in double quotes"


@pytest.mark.parametrize("text", ["", "[]", "{", "7"])
def test_settings_that_are_no_json_object_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="the simulator settings"):
        SimSettings.from_json(text)


@pytest.mark.parametrize(
    "orders",
    [[], {"fault": 3}, {"fault": "surprise"}, {"after": -1}, {"tokens_per_chunk": 0}, {"burst": 1}, {"colour": 1}],
)
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
