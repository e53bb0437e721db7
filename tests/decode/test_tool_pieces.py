"""Which pieces of a stream are one tool call, however the server numbers them."""

import json
from typing import Any

import pytest

from lmx_loadgen.decode.tool_calls import read_tool_answer
from tests.decode.streams import delta, kinds, read, stream, text


def piece(arguments: Any, name: str | None = None, id: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": id, "function": {"name": name, "arguments": arguments}, **more}


def calls(*pieces: dict[str, Any]) -> list[tuple[str, Any]]:
    body = stream(*(delta(tool_calls=[one]) for one in pieces), delta("tool_calls"))
    return [(call.name, json.loads(call.arguments)) for call in read_tool_answer(body).calls]


ONE = [("get_weather", {"location": "Sydney"})]
TWO = [*ONE, ("get_weather", {"location": "Oslo"})]
A, B, WHOLE, OTHER = '{"location": "', 'Sydney"}', '{"location": "Sydney"}', '{"location": "Oslo"}'


@pytest.mark.parametrize(
    "pieces",
    [
        # a new id on each piece, the name empty, missing, or repeated
        [piece("", "get_weather", "a", index=0), piece(A, "", "b", index=0), piece(B, "", "c", index=0)],
        [piece(A, "get_weather", "a", index=0), piece(B, None, "b", index=0)],
        [piece("", "get_weather", "a", index=0), piece(A, "get_weather", "b", index=0),
         piece(B, "get_weather", "c", index=0)],
        # a new index on each piece
        [piece(A, "get_weather", "a", index=0), piece(B, "", "", index=1)],
        # no index, and then no id
        [piece(A, "get_weather", "a"), piece(B, None, "a")],
        [piece("", "get_weather"), piece(A), piece(B)],
        # the name in pieces
        [piece(None, "get_", "a", index=0), piece(None, "weather", index=0), piece(WHOLE, index=0)],
        # the whole call twice, by one id
        [piece(WHOLE, "get_weather", "a", index=0), piece("", "get_weather", "a", index=0)],
        [piece({"location": "Sydney"}, "get_weather", "a", index=0)],
    ],
)  # fmt: skip
def test_one_call(pieces: list[dict[str, Any]]) -> None:
    assert calls(*pieces) == ONE


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(WHOLE, "get_weather", "a", index=0), piece(OTHER, "get_weather", "b", index=0)],
        [piece(WHOLE, "get_weather", "a"), piece(OTHER, "get_weather", "b")],
        [piece(WHOLE, "get_weather"), piece(OTHER, "get_weather")],
        [piece(A, "get_weather", "a", index=0), piece(B, index=0), piece("", "get_weather", "b", index=0),
         piece(OTHER, index=0)],
        [piece("", "get_weather", "a", index=0), piece("", "get_weather", "b", index=1), piece(OTHER, index=1),
         piece(WHOLE, index=0)],
    ],
)  # fmt: skip
def test_two_calls_of_one_tool(pieces: list[dict[str, Any]]) -> None:
    assert calls(*pieces) == TWO


def test_another_name_and_id_under_one_index_is_another_call() -> None:
    pieces = [piece("{}", "one", "a", index=0), piece("{}", "two", "b", index=0)]

    assert calls(*pieces) == [("one", {}), ("two", {})]


def test_two_without_index_in_one_event() -> None:
    body = stream(delta(tool_calls=[piece(WHOLE, "get_weather"), piece(OTHER, "get_weather")]), delta("tool_calls"))

    assert [(call.name, json.loads(call.arguments)) for call in read_tool_answer(body).calls] == TWO


class TestFunctionCall:
    """The API's old field."""

    body = stream(
        delta(role="assistant", content=None, function_call={"name": "get_weather", "arguments": ""}),
        delta(function_call={"arguments": A}),
        delta(function_call={"arguments": B}),
        delta("function_call"),
    )

    def test_it_is_a_call(self) -> None:
        assert [(call.name, json.loads(call.arguments)) for call in read_tool_answer(self.body).calls] == ONE

    def test_its_arguments_are_text(self) -> None:
        answer = read(self.body)

        assert (answer.outcome, text(answer, "tool"), answer.finish_reason) == ("ok", WHOLE, "function_call")

    def test_beside_the_new_field_it_says_nothing(self) -> None:
        both = delta(tool_calls=[piece(WHOLE, "get_weather")], function_call={"name": "f", "arguments": "{}"})

        assert len(read_tool_answer(stream(both)).calls) == 1
        assert text(read(stream(both)), "tool") == WHOLE


def test_arguments_that_are_an_object_are_text() -> None:
    answer = read(stream(delta(tool_calls=[piece({"location": "Sydney"}, "get_weather")]), delta("tool_calls")))

    assert (answer.outcome, text(answer, "tool")) == ("ok", WHOLE)
    assert "tool" not in kinds(read(stream(delta(tool_calls=[piece("", "f")]), delta("tool_calls"))))


def test_the_last_event_needs_no_blank_line() -> None:
    body = stream(delta("tool_calls", tool_calls=[piece(WHOLE, "get_weather")]), done=False)

    assert [call.name for call in read_tool_answer(body[:-1]).calls] == ["get_weather"]


def test_thoughts_and_parts_beside_a_call() -> None:
    chunks = delta(reasoning_details=[{"text": "hm"}]), delta(content=[{"text": "Let me see"}])
    answer = read_tool_answer(stream(*chunks, delta("stop")))

    assert (answer.reasoning, answer.content) == ("hm", "Let me see")
