"""Did the model call the tool? Judged from the answer as it came, also where the server left the call in the text.

Models write calls in their own ways, and servers that do not know a model's way pass it on as text:

- `tool_calls`: the API's own field, put together by the server;
- `tool_call tag`: `<tool_call>{"name": …, "arguments": {…}}</tool_call>` (Qwen, Hermes), or `<function=…>` inside it
  (Qwen's coder models);
- `mistral`: `[TOOL_CALLS]name{…}` or `[TOOL_CALLS]name[ARGS]{…}` (newer Mistral), also without the first tag, as
  servers show it that leave special tokens out;
- `minimax`: `<invoke name="…"><parameter name="…">…</parameter></invoke>` (MiniMax);
- `json`: a bare JSON object with a name and arguments (Llama, older Mistral in its list).
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lmx_loadgen.decode.reasoning import thought_end
from lmx_loadgen.profile.json_schema import has_pattern
from lmx_loadgen.store.result import ToolCallBenchmark

_LOOK_AT = 20_000
_MOST_TRIES = 200
_SHOWN = 4_000
_THOUGHTS = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_FUNCTION_PARAMETER = re.compile(r"<parameter=([^>\s]+)>(.*?)</parameter>", re.DOTALL)
# An answer that is nothing but a call, whose JSON does not hold: its beginning, and what stands for the arguments.
_BROKEN = re.compile(
    r"""\s{0,9}(?:```(?:json)?\s{0,9})?\[?\s{0,9}\{[^{}]{0,200}?"(?:name|function)"\s{0,9}:\s{0,9}"([^"]{0,200})"\s{0,9},"""
    r"""\s{0,9}"(?:arguments|parameters)"\s{0,9}:(.*)""",
    re.DOTALL,
)
_MISTRAL_TAG = "[TOOL_CALLS]"
_MISTRAL = re.compile(r"\s{0,9}([\w.:/-]{1,200})\s{0,9}(?:\[CALL_ID\][\w-]{0,100})?(\[ARGS\])?\s{0,9}")
_INVOKE = re.compile(r"""<invoke\s+name\s*=\s*["']?([^"'>]+)["']?\s*>(.*?)(?:</invoke>|\Z)""", re.DOTALL)
_PARAMETER = re.compile(r"""<parameter\s+name\s*=\s*["']?([^"'>]+)["']?\s*>(.*?)</parameter>""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it was found. `arguments` is the text that should be a JSON object."""

    name: str
    arguments: str
    form: str


def judge(
    asked: Mapping[str, Any], answer: Mapping[str, Any] | None, error: str | None, latency_ns: int | None
) -> ToolCallBenchmark:
    """The plan's figures of one tool call.

    Args:
        asked: `prompt`, `expect` (a tool's name) and `tools`, as they were sent.
        answer: `content` and `tool_calls` (`name`, `arguments`), as they came; None where none came.
    """
    tools = _tools(asked)
    call = next(iter(_calls(answer, tools)), None) if answer is not None else None
    arguments = None if call is None else _object(call.arguments)
    expected = str(asked.get("expect", ""))
    return ToolCallBenchmark(
        tool_definition=next((tool for tool in asked.get("tools", []) if _name(tool) == expected), {}),
        expected_tool_name=expected,
        prompt_used=str(asked.get("prompt", "")),
        call_produced=call is not None,
        tool_name_correct=call is not None and call.name == expected,
        params_valid_json=arguments is not None,
        params_match_schema=call is not None and arguments is not None and _fits(arguments, tools.get(call.name)),
        raw_tool_call=None if call is None else {"name": call.name[:200], "arguments": call.arguments[:_SHOWN]},
        latency_sec=None if latency_ns is None else latency_ns / 1e9,
        form=None if call is None else call.form,
        error=error,
    )


def _tools(asked: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The schema of each tool's parameters by its name."""
    return {_name(tool): tool["function"].get("parameters") or {} for tool in asked.get("tools", []) if _name(tool)}


def _name(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return str(function.get("name", "")) if isinstance(function, Mapping) else ""


def _calls(answer: Mapping[str, Any], tools: Mapping[str, Mapping[str, Any]]) -> Iterator[Call]:
    """Every call, the server's own first. What a model only thinks about calling is none."""
    for call in answer.get("tool_calls") or []:
        yield Call(str(call.get("name", "")), str(call.get("arguments", "")), "tool_calls")
    text = str(answer.get("content") or "")[:_LOOK_AT]
    text = _THOUGHTS.sub("", text[thought_end(text) :])
    for form in (_tag_calls, _mistral_calls, _minimax_calls, _json_calls):
        yield from form(text, tools)


def _tag_calls(text: str, tools: Mapping[str, Mapping[str, Any]]) -> Iterator[Call]:
    for inside in _TAGGED.findall(text):
        written = _FUNCTION.findall(inside)
        if written:
            for name, body in written:
                yield Call(name, _typed(_FUNCTION_PARAMETER.findall(body), tools.get(name)), "tool_call tag")
            continue
        found = list(_named_objects(inside, bare=True))
        if found:
            yield from (Call(name, arguments, "tool_call tag") for name, arguments in found)
        else:  # a call was meant, and is no JSON
            name = re.search(r'"name"\s*:\s*"([^"]*)"', inside)
            yield Call(name[1] if name else "", inside.strip(), "tool_call tag")


def _mistral_calls(text: str, tools: Mapping[str, Mapping[str, Any]]) -> Iterator[Call]:
    bare, *tagged = text.split(_MISTRAL_TAG)
    if (call := _mistral_call(bare)) is not None and call[2].startswith("{") and (call[1] or call[0] in tools):
        yield Call(call[0], _first_object(call[2]), "mistral")
    for part in tagged:
        if (call := _mistral_call(part)) is not None:
            yield Call(call[0], _first_object(call[2]), "mistral")


def _mistral_call(text: str) -> tuple[str, bool, str] | None:
    """(name, whether arguments are announced, what follows); None where no name stands at the head."""
    found = _MISTRAL.match(text)
    return None if found is None else (found[1], found[2] is not None, text[found.end() :])


def _first_object(text: str) -> str:
    """The JSON object that a text begins with; all of it where that is broken."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return text.strip()
    return text[:end]


def _minimax_calls(text: str, tools: Mapping[str, Mapping[str, Any]]) -> Iterator[Call]:
    for name, body in _INVOKE.findall(text):
        yield Call(name.strip(), _typed(_PARAMETER.findall(body), tools.get(name.strip())), "minimax")


def _json_calls(text: str, tools: Mapping[str, Mapping[str, Any]]) -> Iterator[Call]:
    found = [Call(name, arguments, "json") for name, arguments in _named_objects(text)]
    if not found and (broken := _BROKEN.match(text)) is not None:
        found = [Call(broken[1], broken[2].strip(), "json")]
    yield from found


def _named_objects(text: str, *, bare: bool = False) -> Iterator[tuple[str, str]]:
    """Every JSON object in a text that has a name and arguments: (name, arguments as JSON text); with `bare`, those
    that have only a name too, whose arguments are none."""
    reader, place = json.JSONDecoder(), 0
    for _ in range(_MOST_TRIES):
        place = text.find("{", place)
        if place < 0:
            return
        try:
            value, end = reader.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
            continue
        found = _named(value, bare=bare)
        if found is not None:
            yield found
        place = end


def _named(value: Any, *, bare: bool) -> tuple[str, str] | None:
    inner = value.get("function")
    function = inner if isinstance(inner, dict) else value
    name = function.get("name", inner)
    none: dict[str, Any] | None = {} if bare else None
    arguments = next((function[key] for key in ("arguments", "parameters") if key in function), none)
    if not isinstance(name, str) or arguments is None:
        return None
    return name, arguments if isinstance(arguments, str) else json.dumps(arguments)


def _typed(parameters: Sequence[tuple[str, str]], schema: Mapping[str, Any] | None) -> str:
    """Parameters written as XML have no types: a string where the schema wants one, else what JSON makes of them."""
    properties = (schema or {}).get("properties")
    values = {}
    for name, text in parameters:
        wanted = properties.get(name.strip()) if isinstance(properties, Mapping) else None
        is_text = isinstance(wanted, Mapping) and wanted.get("type") == "string"
        values[name.strip()] = text.strip() if is_text else _value(text.strip())
    return json.dumps(values)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _object(text: str) -> dict[str, Any] | None:
    value = _value(text)
    return value if isinstance(value, dict) else None


def _fits(arguments: Mapping[str, Any], schema: Mapping[str, Any] | None) -> bool:
    """Whether the arguments are what the called tool takes; of a tool that nobody offered they are not."""
    if schema is None or has_pattern(schema):
        return False
    import jsonschema
    from referencing.exceptions import Unresolvable

    try:
        return bool(_validator(json.dumps(schema)).is_valid(arguments))
    except (jsonschema.SchemaError, Unresolvable, RecursionError, TypeError, ValueError):
        return False


@lru_cache(maxsize=16)
def _validator(schema: str) -> Any:
    """What checks arguments by a schema, itself checked: that takes longer than all else, and tools come again. Raises
    SchemaError."""
    import jsonschema
    from referencing import Registry

    read = json.loads(schema)
    kind = jsonschema.validators.validator_for(read, default=jsonschema.Draft202012Validator)
    kind.check_schema(read)
    # An empty registry: a schema that refers to an address is not fetched.
    return kind(read, registry=Registry())
