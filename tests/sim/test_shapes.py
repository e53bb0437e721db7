"""Every dialect answers in the shape of the recorded server: same keys, same events, same HTTP chunks."""

from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.sim_client import Seen, ask, chat_body, events_by_chunk, held_slot, parse

KEYED: dict[str, Any] = {"models": ("one", "two"), "api_key": "k-123"}
RECORDED = Path(__file__).parent / "recorded"
KEPT = {"object", "role", "finish_reason", "type"}  # values that are part of the shape
USAGE = {"include_usage": True}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
COMPLETION = {"model": "sim-model", "prompt": "Once upon a time", "max_tokens": 6}

SHAPES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    # recorded file: (dialect, path, request body, settings)
    "lmx-chat-stream-usage": ("lmx", "chat/completions", chat_body(stream_options=USAGE), {}),
    "lmx-chat": ("lmx", "chat/completions", chat_body(stream=False), {}),
    "lmx-completions-stream": ("lmx", "completions", COMPLETION | {"stream": True}, {}),
    "lmx-completions": ("lmx", "completions", COMPLETION, {}),
    "ollama-chat-stream-usage": ("ollama", "chat/completions", chat_body(stream_options=USAGE, max_tokens=1), {}),
    "ollama-chat": ("ollama", "chat/completions", chat_body(stream=False), {}),
    "ollama-completions-stream": ("ollama", "completions", COMPLETION | {"stream": True}, {}),
    "ollama-completions": ("ollama", "completions", COMPLETION, {}),
    "ollama-chat-stream-tools": (
        "ollama",
        "chat/completions",
        chat_body(stream_options=USAGE, tools=TOOLS, max_tokens=99),
        {},
    ),
    "llamacpp-chat-stream": ("llamacpp", "chat/completions", chat_body(model="no-such-model"), {}),
    "llamacpp-chat-stream-usage": ("llamacpp", "chat/completions", chat_body(stream_options=USAGE, max_tokens=1), {}),
    "llamacpp-chat": ("llamacpp", "chat/completions", chat_body(stream=False), {}),
    "llamacpp-completions-stream": ("llamacpp", "completions", COMPLETION | {"stream": True}, {}),
    "llamacpp-completions": ("llamacpp", "completions", COMPLETION, {}),
    "mlx-lm-chat-stream-usage": ("mlx-lm", "chat/completions", chat_body(stream_options=USAGE), {}),
    "mlx-lm-chat": ("mlx-lm", "chat/completions", chat_body(stream=False), {}),
    "mlx-lm-completions-stream-usage": (
        "mlx-lm",
        "completions",
        COMPLETION | {"stream": True, "stream_options": USAGE},
        {},
    ),
    "mlx-lm-completions": ("mlx-lm", "completions", COMPLETION, {}),
    "lmx-wrong-model": ("lmx", "chat/completions", chat_body(model="no/such-model"), {}),
    "ollama-wrong-model": ("ollama", "chat/completions", chat_body(model="no-such-model"), {}),
    "mlx-lm-wrong-model": ("mlx-lm", "chat/completions", chat_body(model="no/such-model"), {}),
    "lmx-no-key": ("lmx", "chat/completions", chat_body(), KEYED),
    "llamacpp-no-key": ("llamacpp", "chat/completions", chat_body(), KEYED),
    "llamacpp-nothing-loaded": ("llamacpp", "chat/completions", chat_body(), {"models": ()}),
    "lmx-busy": ("lmx", "chat/completions", chat_body(stream=False), {"slots": 1, "queue_limit": 0}),
    "ollama-busy": ("ollama", "chat/completions", chat_body(), {"slots": 1, "queue_limit": 0}),
    "lmx-busy-completions-stream": (
        "lmx",
        "completions",
        COMPLETION | {"stream": True},
        {"slots": 1, "queue_limit": 0},
    ),
}


def shape(value: Any, key: str = "") -> Any:
    """What a value looks like without what it says."""
    if isinstance(value, dict):
        return {name: shape(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    if value is None or (key in KEPT and isinstance(value, str)) or value == "[DONE]":
        return value
    if key == "content" and value == "":
        return "empty"
    return "number" if isinstance(value, int | float) else type(value).__name__


def shapes_by_chunk(seen: Seen) -> list[Any]:
    """The shapes of the events of each HTTP chunk; chunks that look the same count once."""
    chunks = seen.chunks
    if "chunked" not in seen.headers.get("transfer-encoding", ""):
        chunks = [seen.body]
    found = [[shape(event) for event in chunk] for chunk in events_by_chunk(chunks) if chunk]
    if len(chunks) == 1:
        found = [[event] for event in found[0]]
    return [key for key, _ in groupby(found)]


def as_recorded(name: str) -> Seen:
    raw = (RECORDED / f"{name}.http").read_bytes()
    return parse(raw, [raw], "eof")


@pytest.mark.parametrize("name", SHAPES)
def test_answer_has_the_recorded_shape(name: str, sim_of: Any) -> None:
    dialect, path, body, settings = SHAPES[name]
    sim = sim_of(dialect=dialect, **settings)
    with held_slot(sim.port) if "slots" in settings else nullcontext():
        seen, wanted = ask(sim.port, body, f"/v1/{path}"), as_recorded(name)
    assert (seen.version, seen.status) == (wanted.version, wanted.status)
    for header in ("content-type", "server", "retry-after", "cache-control", "transfer-encoding"):
        assert seen.headers.get(header) == wanted.headers.get(header)
    if "event-stream" in wanted.headers["content-type"]:
        assert seen.framing == "whole"
        assert shapes_by_chunk(seen) == shapes_by_chunk(wanted)
    else:
        assert shape(seen.json) == shape(wanted.json)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("lmx-discovery", "/v1/discovery"),
        ("lmx-models", "/v1/models"),
        ("ollama-root", "/"),
    ],
)
def test_identification_is_as_recorded(name: str, path: str, sim_of: Any) -> None:
    seen, wanted = ask(sim_of(dialect=name.split("-")[0]).port, path=path), as_recorded(name)
    assert (seen.status, seen.headers["content-type"]) == (wanted.status, wanted.headers["content-type"])
    if path == "/":
        assert seen.body == wanted.body
    else:
        missing = set(wanted.json) - set(seen.json)
        assert not missing
        assert {key: type(value) for key, value in seen.json.items()} == {
            key: type(wanted.json[key]) for key in seen.json
        }


def test_nothing_loaded_in_lmx_is_503_as_recorded(sim_of: Any) -> None:
    seen = ask(sim_of(dialect="lmx", models=()).port, path="/readyz")
    wanted = as_recorded("lmx-readyz-no-models")
    assert (seen.status, seen.json) == (wanted.status, wanted.json)


def test_keys_are_refused_in_the_recorded_words(sim_of: Any) -> None:
    for name in ("lmx-no-key", "llamacpp-no-key"):
        sim = sim_of(dialect=name.split("-")[0], **KEYED)
        assert ask(sim.port, chat_body()).json == as_recorded(name).json
    sim = sim_of(dialect="lmx", admin_key="a")
    seen = ask(sim.port, path="/admin/models", headers={"X-Admin-Key": "wrong"})
    assert (seen.status, seen.json) == (403, as_recorded("lmx-no-admin-key").json)


def test_lmx_finds_bad_json_before_a_missing_key(sim_of: Any) -> None:
    seen = ask(sim_of(dialect="lmx", **KEYED).port, b'{"model": ')
    assert seen.status == 422
    assert shape(seen.json) == shape(as_recorded("lmx-malformed").json)


def test_llamacpp_streams_tool_arguments_in_pieces_as_recorded(sim_of: Any) -> None:
    seen = ask(sim_of(dialect="llamacpp").port, chat_body(tools=TOOLS, stream_options=USAGE, max_tokens=99))
    wanted = as_recorded("llamacpp-chat-stream-tools")

    def flat(answer: Seen) -> list[Any]:
        return [key for key, _ in groupby(shape(event) for event in answer.events)]

    assert flat(seen) == flat(wanted)
    deltas = [event["choices"][0]["delta"] for event in seen.events[:-3]]
    said = "".join(call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls", []))
    assert said == '{"city": "Paris"}'


def test_lmx_counts_chunks_in_a_stream_and_tokens_without(sim_of: Any) -> None:
    sim = sim_of(dialect="lmx")
    body = chat_body(stream_options=USAGE, max_tokens=7, sim={"tokens_per_chunk": 3})
    streamed = ask(sim.port, body).events[-2]["usage"]
    whole = ask(sim.port, chat_body(stream=False, max_tokens=7)).json["usage"]
    assert streamed["completion_tokens"] == 3  # 3 + 3 + 1 tokens
    assert whole["completion_tokens"] == 7
    assert streamed["prompt_tokens"] < whole["prompt_tokens"]


def test_ollama_sends_zero_usage_until_the_last_completion_chunk(sim_of: Any) -> None:
    body = COMPLETION | {"stream": True, "stream_options": USAGE}
    events = ask(sim_of(dialect="ollama").port, body, "/v1/completions").events[:-1]
    assert [event["usage"]["completion_tokens"] for event in events] == [0] * 7 + [6]
    assert events[-1]["choices"] == []
