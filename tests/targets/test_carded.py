"""What a run makes of a dialect card: how it asks, and what it believes."""

from typing import Any

import pytest

from lmx_loadgen.decode.chat import StreamRules
from lmx_loadgen.profile.models import Request
from lmx_loadgen.store.cards import DialectCard, card_in
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target, request_body
from lmx_loadgen.targets.carded import rules_by, with_card

SYSTEM = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
EXACT = StreamRules()


def card(**changes: Any) -> DialectCard:
    known = {
        "tool_version": "1",
        "probed_at": "now",
        "url": "http://h/v1",
        "dialect": "openai",
        "product": None,
        "version": "1",
        "model": "m",
        "requests": 1,
        "seconds": 1.0,
        "stream": {},
        "usage": {},
        "fields": {},
        "cache": {},
        "long_prompts": {"status": "unknown"},
        "at_once": {"sent": 8},
        "errors": {},
        "tool_calls": {"status": "none"},
    }
    return DialectCard.model_validate(known | changes)


def carded(dialect: str = "openai", **fields: str) -> Target:
    facts = {name.replace("_role", " role"): {"status": status} for name, status in fields.items()}
    return with_card(Target("box", DIALECTS[dialect], "http://h/v1", "m", {}), card(fields=facts))


def test_refused_fields_are_left_out_or_renamed() -> None:
    target = carded(stream_options="refused", seed="refused", max_tokens="refused", max_completion_tokens="honored")
    body = request_body(target, "chat", SYSTEM, Request(max_tokens=7))

    assert not {"stream_options", "seed", "max_tokens"} & set(body)
    assert body["max_completion_tokens"] == 7
    assert body["messages"] == SYSTEM


def test_a_limit_that_is_refused_under_both_names_keeps_its_own() -> None:
    target = carded(max_tokens="refused", max_completion_tokens="refused")

    assert "max_tokens" in request_body(target, "chat", SYSTEM, Request())


def test_a_refused_system_role_is_merged() -> None:
    (message,) = request_body(carded(system_role="refused"), "chat", SYSTEM, Request())["messages"]

    assert message == {"role": "user", "content": "s\n\nu"}


def test_what_a_stranger_honors_is_sent_to_it_and_what_it_ignores_is_not() -> None:
    body = request_body(carded(ignore_eos="honored", seed="ignored"), "chat", SYSTEM, Request(ignore_eos=True))

    assert body["ignore_eos"] is True
    assert "seed" not in body
    known = request_body(carded("ollama", ignore_eos="honored"), "chat", SYSTEM, Request(ignore_eos=True))
    assert "ignore_eos" not in known


def test_a_stranger_that_only_honors_min_tokens_is_sent_those() -> None:
    stranger = carded(ignore_eos="ignored", min_tokens="honored")
    body = request_body(stranger, "chat", SYSTEM, Request(ignore_eos=True, max_tokens=7))

    assert body["min_tokens"] == 7
    assert "ignore_eos" not in body
    assert "min_tokens" not in request_body(stranger, "chat", SYSTEM, Request())


@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        (None, EXACT),
        ({"usage": {"exact": True}, "stream": {"tells_limit": True}}, EXACT),
        ({"usage": {"exact": None}}, EXACT),
        ({"usage": {"exact": False}}, StreamRules(usage_prompt_exact=False, usage_output_exact=False)),
        ({"stream": {"tells_limit": False}}, StreamRules(finish_reason_exact=False)),
        ({"usage": 7, "stream": []}, EXACT),
    ],
)
def test_only_what_was_seen_to_be_inexact_is_not_believed(facts: Any, rules: StreamRules) -> None:
    assert rules_by(EXACT, facts) == rules


def test_a_card_makes_nothing_exact() -> None:
    rules = rules_by(DIALECTS["lmx"].rules, {"usage": {"exact": True}, "stream": {"tells_limit": True}})

    assert rules == DIALECTS["lmx"].rules


def test_a_card_of_another_form_is_none() -> None:
    assert card_in(None) is card_in({"usage": 1}) is None
    assert card_in(card().model_dump(mode="json")) == card()
