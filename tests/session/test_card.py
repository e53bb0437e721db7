"""A server's dialect card, from its own answers: what each kind of server is known to do is what its card says."""

from typing import Any

import anyio
import pytest

from lmx_loadgen.errors import NothingMeasured
from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.session.card.probe import AT_ONCE, probe_card
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.cards import DialectCard
from lmx_loadgen.targets.prepare import Access, prepare
from lmx_loadgen.wire.tls import tls_context

pytestmark = [pytest.mark.slow]

KNOWN = {"ttft_ms": 20.0, "step_ms": 4.0, "slots": 3, "prefix_cache": True, "stop_after": 40, "context": 1024}
# What every one of these does, unless the table says otherwise: SERVERS' own ways.
EVERYWHERE: dict[str, Any] = {
    "role_chunk": "none",
    "role_in_every_chunk": True,
    "tokens_per_chunk": 1.0,
    "done": True,
    "tells_limit": True,
    "told": "asked",
    "exact": True,
    "ignored": set(),
    "found": True,
    "long": "refused",
    "served": 3,
    "wrong model": (404, "error.message"),
    "bad JSON": (400, "error.message"),
    "calls": "pieces",
}
OPENING_ROLE = {"role_chunk": "with_text", "role_in_every_chunk": False}
TABLE: dict[str, dict[str, Any]] = {
    "openai": {**OPENING_ROLE, "long": "unknown"},
    "lmx": {
        "role_chunk": "early",
        "role_in_every_chunk": False,
        "tells_limit": False,
        "exact": False,
        "ignored": {"seed", "max_completion_tokens", "ignore_eos", "min_tokens"},
        "long": "unknown",
        "bad JSON": (422, "detail[]"),
        "calls": "whole",
    },
    "ollama": {"ignored": {"ignore_eos", "min_tokens"}, "long": "cut", "calls": "whole"},
    "lmstudio": {"wrong model": (200, "served")},
    "llamacpp": {**OPENING_ROLE, "wrong model": (200, "served")},
    "mlx-lm": {"long": "unknown", "wrong model": (404, "error"), "bad JSON": (400, "error"), "calls": "whole"},
    "vllm": OPENING_ROLE,
}


def card_of(url: str, env: dict[str, str] | None = None) -> DialectCard:
    target = anyio.run(prepare, TargetSpec(name="box", url=url), Access(env or {}))
    return probe_card(target, tls_context(), lambda words: None)


def simulated(dialect: str, env: dict[str, str] | None = None, **more: Any) -> DialectCard:
    with start(SimSettings(dialect=dialect, **{**KNOWN, **more})) as sim:
        return card_of(sim.url, env)


def in_short(card: DialectCard) -> dict[str, Any]:
    stream = card.stream.model_dump(exclude={"reasoning"})
    return {
        **stream,
        "told": card.usage.told,
        "exact": card.usage.exact,
        "ignored": {name for name, fact in card.fields.items() if fact.status != "honored"},
        "found": card.cache.found,
        "long": card.long_prompts.status,
        "served": card.at_once.served,
        **{name: (error.status, error.shape) for name, error in card.errors.items()},
        "calls": card.tool_calls.status,
    }


@pytest.mark.parametrize("dialect", TABLE)
def test_the_card_of_each_dialect(dialect: str) -> None:
    card = simulated(dialect)

    assert in_short(card) == EVERYWHERE | TABLE[dialect]
    assert card.requests <= 18 + AT_ONCE
    # The second way to keep an answer going is only tried where the first has no effect.
    forcing = {"ignore_eos"} if card.fields["ignore_eos"].status == "honored" else {"ignore_eos", "min_tokens"}
    assert set(card.fields) == forcing | {
        *("max_tokens", "max_completion_tokens", "seed", "stream_options", "system role", "temperature")
    }


def test_an_administrator_is_told_that_opta_lmx_cuts_long_prompts() -> None:
    card = simulated("lmx", {"BOX_ADMIN_KEY": "an-admin-key"}, admin_key="an-admin-key")

    assert (card.long_prompts.status, card.long_prompts.context) == ("cut", 1024)


def test_a_cache_that_answers_repeats_is_told_by_how_much() -> None:
    cache = simulated("vllm").cache

    assert cache.cold_sec is not None
    assert cache.repeat_sec is not None
    assert cache.cold_sec > 2 * cache.repeat_sec
    assert simulated("vllm", prefix_cache=False).cache.found is False


def test_several_tokens_a_chunk_are_no_chunk_a_token() -> None:
    card = simulated("lmx", tokens_per_chunk=4)

    assert (card.stream.tokens_per_chunk, card.usage.exact) == (4.0, False)
    assert card.fields["max_tokens"].status == "honored"


@pytest.mark.parametrize("field", ["stream_options", "max_tokens", "system"])
def test_a_field_that_is_refused(field: str) -> None:
    card = simulated("openai", refuses=(field,))

    fact = card.fields["system role" if field == "system" else field]
    assert fact.status == "refused"
    assert fact.words
    assert card.stream.tokens_per_chunk == 1.0
    assert card.usage.told == ("never" if field == "stream_options" else "asked")


def test_a_queue_that_is_full_refuses_and_says_so() -> None:
    at_once = simulated("vllm", slots=2, queue_limit=1).at_once

    assert (at_once.served, at_once.refused) == (2, AT_ONCE - 3)
    assert "overloaded" in str(at_once.words)


def test_reasoning_and_a_call_in_the_text() -> None:
    assert simulated("openai", faults={"reasoning_content": 1.0}).stream.reasoning == "reasoning_content"
    call = '<tool_call>{"name": "get_weather", "arguments": {"location": "Sydney"}}</tool_call>'
    assert simulated("openai", text=call).tool_calls.status == "text"


def test_a_server_that_answers_nothing_has_no_card() -> None:
    with pytest.raises(NothingMeasured, match="no answer to a plain request"):
        simulated("vllm", faults={"http_500": 1.0})


def test_keys_in_what_a_server_sends_back_are_not_on_the_card() -> None:
    key = "a-secret-key-of-mine"
    card = simulated("openai", {"BOX_API_KEY": key}, api_key=key, models=(f"m-{key}",))

    assert key not in card.model_dump_json()
