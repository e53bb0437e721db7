"""Models, keys, lengths, and the rest of what a request may ask for."""

from typing import Any

import httpx
import pytest

from tests.helpers.sim_client import ask, chat_body

TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
KEYED: dict[str, Any] = {"models": ("one", "two"), "api_key": "k-123"}
WITH_KEY = {"Authorization": "Bearer k-123"}
NAMES = ["openai", "lmx", "ollama", "lmstudio", "llamacpp", "mlx-lm", "vllm"]

WHO = {  # what tells each server from the others
    "openai": ("/health", lambda seen: seen.json["server"] == "lmx-loadgen-sim"),
    "lmx": ("/.well-known/opta-lmx", lambda seen: seen.json["service"] == "opta-lmx"),
    "ollama": ("/api/version", lambda seen: seen.json["version"]),
    "lmstudio": ("/api/v0/models", lambda seen: seen.json["data"][0]["state"] == "loaded"),
    "llamacpp": ("/props", lambda seen: seen.json["total_slots"] == 1),
    "mlx-lm": ("/health", lambda seen: seen.json == {"status": "ok"} and seen.version == "HTTP/1.0"),
    "vllm": ("/version", lambda seen: seen.json["version"]),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_client_can_find_out_who_answers(name: str, sim_of: Any) -> None:
    port = sim_of(dialect=name).port
    path, says_so = WHO[name]
    assert says_so(ask(port, path=path))
    strangers = {other: path for other, (path, _) in WHO.items() if other != name and path != "/health"}
    if name == "lmstudio":  # answers 200 to everything
        assert all("error" in ask(port, path=path).json for path in strangers.values())
    else:
        assert {ask(port, path=path).status for path in strangers.values()} == {404}


@pytest.mark.parametrize("name", NAMES)
def test_models_are_listed(name: str, sim_of: Any) -> None:
    listed = ask(sim_of(dialect=name, **KEYED).port, path="/v1/models", headers=WITH_KEY).json
    assert [model["id"] for model in listed["data"]] == ["one", "two"]


def test_only_loaded_models_are_listed_unless_the_server_loads_on_demand(sim_of: Any) -> None:
    def ids(dialect: str) -> list[str]:
        sim = sim_of(dialect=dialect, models=("one",), installed=("two",))
        return [model["id"] for model in ask(sim.port, path="/v1/models").json["data"]]

    assert (ids("lmx"), ids("ollama"), ids("lmstudio")) == (["one"], ["one", "two"], ["one", "two"])


def test_a_wrong_model_is_served_by_llamacpp_and_lmstudio_under_its_true_name(sim_of: Any) -> None:
    for name in ("llamacpp", "lmstudio"):
        seen = ask(sim_of(dialect=name).port, chat_body(model="no-such-model"))
        assert seen.status == 200
        assert {event["model"] for event in seen.events[:-1]} == {"sim-model"}


def test_lmx_resolves_auto(sim_of: Any) -> None:
    seen = ask(sim_of(dialect="lmx").port, chat_body(model="auto"))
    assert seen.events[0]["model"] == "sim-model"
    assert ask(sim_of(dialect="lmx", models=()).port, chat_body(model="auto")).status == 404


def test_lmx_loads_and_unloads_for_admins_only(sim_of: Any) -> None:
    port = sim_of(dialect="lmx", models=(), installed=("a-model",), admin_key="secret").port
    load, key = {"model_id": "a-model"}, {"X-Admin-Key": "secret"}
    assert ask(port, load, "/admin/models/load").status == 403
    assert ask(port, load, "/admin/models/load", headers=key).json["success"] is True
    assert ask(port, path="/readyz").status == 200
    assert ask(port, chat_body(model="a-model")).status == 200
    assert ask(port, path="/admin/models/a-model/performance", headers=key).json["model_id"] == "a-model"
    assert ask(port, load, "/admin/models/unload", headers=key).json["success"] is True
    assert ask(port, path="/readyz").status == 503


def test_ollama_loads_on_demand(sim_of: Any) -> None:
    port = sim_of(dialect="ollama", models=(), installed=("late:latest",)).port
    assert ask(port, path="/api/ps").json == {"models": []}
    assert ask(port, chat_body(model="late")).status == 200
    assert [model["name"] for model in ask(port, path="/api/ps").json["models"]] == ["late:latest"]


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_asked_for_and_taken(name: str, sim_of: Any) -> None:
    port = sim_of(dialect=name, **KEYED).port
    wrong = ask(port, chat_body(model="one"), headers={"Authorization": "Bearer no"})
    assert wrong.status == 401
    assert b"k-123" not in wrong.raw
    assert ask(port, path="/v1/models").status == 401
    assert ask(port, chat_body(model="one"), headers=WITH_KEY).status == 200


def test_lmx_takes_either_key_header_and_discovery_none(sim_of: Any) -> None:
    port = sim_of(dialect="lmx", **KEYED).port
    assert ask(port, chat_body(model="one"), headers={"X-Api-Key": "k-123"}).status == 200
    said = ask(port, path="/v1/discovery")
    assert said.json["auth"]["inference_key_required"] is True


def test_the_answer_stops_at_max_tokens_or_by_itself(sim_of: Any) -> None:
    port = sim_of(dialect="vllm", stop_after=5).port

    def end(**fields: Any) -> tuple[int, str]:
        whole = ask(port, chat_body(stream=False, **fields)).json
        return whole["usage"]["completion_tokens"], whole["choices"][0]["finish_reason"]

    assert end(max_tokens=3) == (3, "length")
    assert end(max_tokens=50) == (5, "stop")
    assert end(max_tokens=8, ignore_eos=True) == (8, "length")
    assert end(max_tokens=8, min_tokens=8) == (8, "length")
    assert end(max_tokens=None, max_completion_tokens=4) == (4, "length")


def test_the_same_prompt_gets_the_same_answer_and_another_seed_another(sim_of: Any) -> None:
    def said(seed: int, prompt: str) -> str:
        body = chat_body(messages=[{"role": "user", "content": prompt}], max_tokens=30)
        return ask(sim_of(seed=seed, stop_after=15, stop_spread=0.5).port, body).text

    assert said(1, "tides") == said(1, "tides")
    assert len({said(seed, prompt) for seed in (1, 2) for prompt in ("tides", "lamps", "ships")}) > 2


def test_a_fixed_text_is_said_whole(sim_of: Any) -> None:
    text = "<script>alert(1)</script> & “quotes”\n\tü 🙂  end "
    ports = {name: sim_of(dialect=name).port for name in NAMES}
    assert ask(sim_of(text=text).port, chat_body(max_tokens=100)).text == text
    for port in ports.values():
        streamed = ask(port, chat_body(max_tokens=100, sim={"text": text}))
        assert streamed.text == text
        whole = ask(port, chat_body(max_tokens=100, stream=False, sim={"text": text})).json["choices"][0]
        assert (whole["message"]["content"], whole["finish_reason"]) == (text, "stop")


def test_a_prefix_seen_before_is_cached(sim_of: Any) -> None:
    port = sim_of(dialect="vllm", prefix_cache=True).port
    words = " ".join(f"word{i}" for i in range(200))

    def cached(text: str) -> int:
        body = chat_body(messages=[{"role": "user", "content": text}], stream_options={"include_usage": True})
        usage = ask(port, body).events[-2]["usage"]
        return usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)

    assert cached(words) == 0
    assert cached(words) > 300
    assert 200 < cached(words + " and a new end") <= len(words) // 4
    assert cached("a new beginning " + words) == 0


def test_tools_are_called_unless_the_request_says_no(sim_of: Any) -> None:
    port = sim_of(dialect="openai").port
    whole = ask(port, chat_body(tools=TOOLS, stream=False, max_tokens=50)).json["choices"][0]
    assert whole["message"]["tool_calls"][0]["function"] == {"name": "add", "arguments": "{}"}
    assert whole["finish_reason"] == "tool_calls"
    refused = ask(port, chat_body(tools=TOOLS, tool_choice="none", stream=False)).json["choices"][0]
    assert refused["message"]["content"]


def test_requests_that_make_no_sense_are_refused(sim_of: Any) -> None:
    port = sim_of(dialect="openai").port
    assert ask(port, b"{nonsense").status == 400
    assert ask(port, b"[" * 100_000).status == 400
    assert ask(port, {"model": "sim-model"}).status == 400
    assert ask(port, chat_body(max_tokens="many")).status == 400
    assert ask(port, chat_body(), method="GET").status == 405
    assert ask(port, path="/nowhere").status == 404
    assert ask(port, chat_body(sim={"fault": "no-such-fault"})).status == 400
    assert ask(port, chat_body(sim={"colour": "red"})).status == 400
    assert ask(port, chat_body(model="\ud800 surrogate")).status == 404


def test_one_connection_serves_many_requests_also_pipelined(sim_of: Any) -> None:
    sim = sim_of(dialect="openai")
    with httpx.Client(base_url=sim.base_url) as client:
        answers = [client.post("/chat/completions", json=chat_body(stream=False)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len({answer.json()["id"] for answer in answers}) == 3
    assert len({answer.extensions["network_stream"] for answer in answers}) == 1


def test_a_large_body_in_pieces_is_read_whole(sim_of: Any) -> None:
    body = chat_body(messages=[{"role": "user", "content": "x" * 3_000_000}], stream=False)
    assert ask(sim_of(dialect="openai").port, body).json["usage"]["prompt_tokens"] == 750_004
