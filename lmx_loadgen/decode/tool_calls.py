"""Tool calls out of an answer: the pieces of a stream put together, call by call."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pydantic_core

from lmx_loadgen.decode.sse import decode

_MOST_CALLS = 50


@dataclass(slots=True)
class ToolCall:
    """One call as the server gave it. `arguments` is the text that should be a JSON object."""

    name: str = ""
    arguments: str = ""
    id: str = ""


@dataclass(slots=True)
class ToolAnswer:
    """What an answer says beside its calls; `finish_reason` is None where it has none."""

    content: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    calls: list[ToolCall] = field(default_factory=list)


def read_tool_answer(body: bytes) -> ToolAnswer:
    """The answer of a chat completion, streamed or in one JSON object. Never raises, whatever the bytes are."""
    answer, calls = ToolAnswer(), _Calls()
    for choice in _choices(body):
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict):
            answer.content += _text(delta.get("content"))
            answer.reasoning += _text(delta.get("reasoning_content") or delta.get("reasoning"))
            calls.take(delta.get("tool_calls"))
        if isinstance(choice.get("finish_reason"), str):
            answer.finish_reason = choice["finish_reason"]
    answer.calls = calls.found
    return answer


class _Calls:
    """Pieces belong to the call of their `index`. A piece with another id than that call's begins a new one: some
    servers send every call whole, and all of them with index 0."""

    def __init__(self) -> None:
        self.found: list[ToolCall] = []
        self._at: dict[int, ToolCall] = {}

    def take(self, pieces: Any) -> None:
        for place, piece in enumerate(pieces if isinstance(pieces, list) else []):
            function = piece.get("function") if isinstance(piece, dict) else None
            if isinstance(function, dict):
                index = piece.get("index")
                self._add(index if isinstance(index, int) else place, _text(piece.get("id")), function)

    def _add(self, index: int, id: str, function: dict[str, Any]) -> None:
        call = self._at.get(index)
        if call is None or (id and call.id and id != call.id):
            if len(self.found) >= _MOST_CALLS:
                return
            call = self._at[index] = ToolCall()
            self.found.append(call)
        call.id = call.id or id
        name = _text(function.get("name"))
        if name != call.name and not call.arguments:  # some repeat the name in every piece
            call.name += name
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            call.arguments += _text(arguments)
        elif arguments is not None:  # an object where the API has a text
            call.arguments += json.dumps(arguments)


def _choices(body: bytes) -> Iterator[dict[str, Any]]:
    """The first choice of every event, or of the one object that the body is."""
    texts = [item.data for item in decode(body) if not item.comment] or [body.decode("utf-8", "replace")]
    for text in texts:
        try:
            chunk = pydantic_core.from_json(text)
        except ValueError:
            continue
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            yield choices[0]


def _text(value: Any) -> str:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""
