"""Tool calls out of an answer: the pieces of a stream put together, call by call."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.decode.fields import from_json, text_of
from lmx_loadgen.decode.reasoning import Thoughts, content_parts
from lmx_loadgen.decode.sse import Decoder, decode

_MOST_CALLS = 50
_WHOLE_UP_TO = 16 * 1024  # looked at again for each piece with a name


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
    answer, calls, thoughts = ToolAnswer(), _Calls(), Thoughts()
    for choice in _choices(body):
        delta = choice.get("delta")
        if not delta and not (answer.content or answer.reasoning or calls.found):
            delta = choice.get("message")
        if isinstance(delta, dict):
            parts = content_parts(delta.get("content"))
            answer.content += "".join(text for kind, text in parts if kind == "content")
            answer.reasoning += thoughts.in_fields(delta)
            answer.reasoning += "".join(text for kind, text in parts if kind == "reasoning")
            for place, piece in enumerate(pieces_of_calls(delta)):
                calls.take(place, piece)
        if isinstance(choice.get("finish_reason"), str):
            answer.finish_reason = choice["finish_reason"]
    answer.calls = calls.found
    return answer


def pieces_of_calls(delta: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pieces of tool calls in a delta, each with a `function`; the API's old `function_call` is one such piece."""
    pieces = delta.get("tool_calls")
    if isinstance(pieces, list) and pieces:
        return [piece for piece in pieces if isinstance(piece, dict) and isinstance(piece.get("function"), dict)]
    old = delta.get("function_call")
    return [{"index": 0, "function": old}] if isinstance(old, dict) else []


def arguments_of(piece: Mapping[str, Any]) -> str:
    """The arguments in a piece of a call, or its part of them; some servers send an object where the API has a text."""
    arguments = piece["function"].get("arguments")
    return json.dumps(arguments) if isinstance(arguments, dict | list) else text_of(arguments)


class _Calls:
    """Puts pieces together. A piece without a name goes on with a call, whatever its id: that of its index, else that
    of its id, else the last one. One with a name may begin another: servers that send every call whole give all of them
    index 0, or none."""

    def __init__(self) -> None:
        self.found: list[ToolCall] = []
        self._at: dict[int, ToolCall] = {}

    def take(self, place: int, piece: Mapping[str, Any]) -> None:
        """Take the piece that stands at this place among those of its event."""
        index, id = piece.get("index"), text_of(piece.get("id"))
        name, arguments = text_of(piece["function"].get("name")), arguments_of(piece)
        call = self._at.get(index) if isinstance(index, int) else self._without_index(place, id)
        if call is None and not name and self.found:
            call = self.found[-1]
        if call is None or (name and _is_another(call, id, name, arguments)):
            if len(self.found) >= _MOST_CALLS:
                return
            call = ToolCall()
            self.found.append(call)
        if isinstance(index, int):
            self._at[index] = call
        call.id = call.id or id
        if name != call.name and not call.arguments:  # some repeat the name in every piece
            call.name += name
        call.arguments += arguments

    def _without_index(self, place: int, id: str) -> ToolCall | None:
        by_id = next((call for call in self.found if id and call.id == id), None)
        return by_id if by_id is not None or place or not self.found else self.found[-1]


def _is_another(call: ToolCall, id: str, name: str, arguments: str) -> bool:
    """Whether a piece with a name begins another call than the one it would go on with."""
    if id and id == call.id:
        return False
    if name != call.name and id and call.id:
        return True
    return _is_whole(call.arguments) and bool(arguments or (id and call.id) or name != call.name)


def _is_whole(arguments: str) -> bool:
    if not arguments.rstrip().endswith("}") or len(arguments) > _WHOLE_UP_TO:
        return False
    try:
        return isinstance(from_json(arguments), dict)
    except ValueError:
        return False


def _choices(body: bytes) -> Iterator[dict[str, Any]]:
    """The first choice of every event, or of the one object that the body is."""
    decoder = Decoder()
    texts = [item.data for item in decode(body, decoder) if not item.comment]
    texts += [item.data for item in decoder.pending()][:1]
    for text in texts or [body.decode("utf-8", "replace")]:
        try:
            chunk = from_json(text)
        except ValueError:
            continue
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            yield choices[0]
