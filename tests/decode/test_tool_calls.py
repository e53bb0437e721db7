import json
from typing import Any

import pytest

from lmx_loadgen.decode.tool_calls import read_tool_answer
from tests.helpers.recorded import recorded


def events(*deltas: dict[str, Any], finish: str | None = "tool_calls") -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def piece(index: int | None, arguments: Any = None, name: str | None = None, id: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"function": {"name": name, "arguments": arguments}, "id": id}
    return made if index is None else made | {"index": index}


def found(body: bytes) -> list[tuple[str, str]]:
    return [(call.name, call.arguments) for call in read_tool_answer(body).calls]


def test_pieces_are_put_together_by_index() -> None:
    body = events(
        {"role": "assistant", "tool_calls": [piece(0, "", "get_weather", "a")]},
        {"tool_calls": [piece(1, '{"z":', "set_timer", "b"), piece(0, '{"loc')]},
        {"tool_calls": [piece(0, 'ation": "Sydney"}')]},
        {"tool_calls": [piece(1, "1}")]},
    )

    assert found(body) == [("get_weather", '{"location": "Sydney"}'), ("set_timer", '{"z":1}')]


def test_whole_calls_that_all_have_index_0_are_told_apart_by_their_ids() -> None:
    body = events({"tool_calls": [piece(0, "{}", "one", "a")]}, {"tool_calls": [piece(0, "{}", "two", "b")]})

    assert found(body) == [("one", "{}"), ("two", "{}")]


def test_a_name_that_comes_with_every_piece_is_one_name() -> None:
    body = events({"tool_calls": [piece(0, '{"a"', "f", "i")]}, {"tool_calls": [piece(0, ":1}", "f", "i")]})

    assert found(body) == [("f", '{"a":1}')]


def test_arguments_may_be_an_object_and_an_index_may_be_missing() -> None:
    assert found(events({"tool_calls": [piece(None, {"a": 1}, "f")]})) == [("f", '{"a": 1}')]


def test_text_and_thoughts_stand_beside_the_calls() -> None:
    answer = read_tool_answer(
        events({"reasoning_content": "hm"}, {"content": "Let me "}, {"content": "see"}, finish="stop")
    )

    assert (answer.content, answer.reasoning, answer.finish_reason, answer.calls) == ("Let me see", "hm", "stop", [])


def test_one_json_object_is_an_answer_too() -> None:
    message = {"content": None, "tool_calls": [piece(None, "{}", "f", "x")]}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "tool_calls"}]}).encode()

    assert found(body) == [("f", "{}")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"data: {\n\n",
        b'data: [1]\n\ndata: {}\n\ndata: {"choices": []}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [null, {}, {"function": 3}, {"index": "x", "function": {}}]}}]}'
        b"\n\n",
        b'data: {"choices": [{"delta": "no", "finish_reason": 7}]}\n\n',
    ],
)
def test_nonsense_has_no_call_by_name(body: bytes) -> None:
    assert [name for name, _ in found(body) if name] == []


def test_endless_calls_are_bounded() -> None:
    assert len(found(events({"tool_calls": [piece(index, "{}", "f") for index in range(1000)]}))) == 50


@pytest.mark.parametrize(
    ("stream", "calls"),
    [
        ("llama-server-tools/chat-stream-tools-required", [("get_weather", {"city": "Paris"})]),
        ("ollama/v1-chat-stream-tools", [("get_weather", {"city": "Paris"})]),
        ("opta-lmx/chat-stream-tools", []),
        ("mlx_lm/chat-stream-tools", []),
    ],
)
def test_recorded_streams(stream: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    assert [(name, json.loads(text)) for name, text in found(recorded(stream).body)] == calls
