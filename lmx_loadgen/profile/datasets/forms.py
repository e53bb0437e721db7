"""The forms in which an entry of a file says what to ask: text, messages, ShareGPT, and their relatives."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.prompt import Message, Prompt, Tool

FORMS = (
    'a prompt (text), {"prompt": text}, {"messages": [{"role", "content"}]}, or ShareGPT\'s '
    '{"conversations": [{"from", "value"}]}'
)
# What an entry, or a table, is read by where nobody names a column.
COLUMNS = ("messages", "conversations", "conversation", "prompt", "text", "question", "instruction")
_SHAREGPT_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "function_call"), "assistant"),
    **dict.fromkeys(("tool", "observation", "function_response"), "tool"),
    "system": "system",
}


def prompt_in(id: str, entry: Any, where: str, column: str | None = None) -> Prompt:
    """The prompt of one entry in any of the forms in use; answers at its end are left out, since they are for the
    server to give. Raises ProfileError."""
    messages = messages_in(entry, where, column)
    end = len(messages)
    while end and messages[end - 1]["role"] == "assistant":
        end -= 1
    if not end:
        raise ProfileError(f"{where}: no message of a user")
    return Prompt(id, tuple(messages[:end]), tools=tools_in(entry, where))


def tools_in(entry: Any, where: str) -> tuple[Tool, ...]:
    """The tools that an entry has beside its messages. Raises ProfileError."""
    body = entry.get("body") if isinstance(entry, dict) else None
    found = (body if isinstance(body, dict) else entry).get("tools") if isinstance(entry, dict) else None
    if found is None or found == []:
        return ()
    if not isinstance(found, list) or not all(isinstance(tool, dict) for tool in found):
        raise ProfileError(f'{where}: "tools" must be an array of objects, as in OpenAI\'s API')
    return tuple(found)


def messages_in(entry: Any, where: str, column: str | None = None) -> list[Message]:
    """All messages of one entry, answers included. `column` names what of it to read. Raises ProfileError."""
    if column is not None:
        entry = _of_column(entry, column, where)
    elif isinstance(entry, dict):
        entry = _told(entry)
    if isinstance(entry, str) and entry.strip():
        return [{"role": "user", "content": entry}]
    if isinstance(entry, list) and entry and all(map(_is_turn, entry)):
        return _from_sharegpt(entry, where)
    if isinstance(entry, list) and entry and all(map(is_message, entry)):
        if not any(message.get("content") for message in entry):
            raise ProfileError(f"{where}: no message has a content")
        return list(entry)
    raise ProfileError(f"{where}: needs {FORMS}")


def _of_column(entry: Any, column: str, where: str) -> Any:
    if not isinstance(entry, dict) or column not in entry:
        names = ", ".join(map(str, entry)) if isinstance(entry, dict) else "no object"
        raise ProfileError(f"{where}: has no {column!r}, which --column names (it has: {names[:200]})")
    return entry[column]


def _told(entry: Mapping[str, Any]) -> Any:
    """What an object asks: by the first of its known keys, also inside a line of OpenAI's batch files."""
    if isinstance(entry.get("body"), dict) and "messages" in entry["body"]:
        return entry["body"]["messages"]
    name = next((name for name in COLUMNS if name in entry), None)
    if name == "instruction" and isinstance(entry.get("input"), str) and entry["input"].strip():
        return f"{entry[name]}\n\n{entry['input']}"
    return None if name is None else entry[name]


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and "from" in turn and "role" not in turn


def _from_sharegpt(turns: Sequence[Mapping[str, Any]], where: str) -> list[Message]:
    messages: list[Message] = []
    for turn in turns:
        role = _SHAREGPT_ROLES.get(str(turn.get("from")))
        if role is None or not isinstance(turn.get("value"), str):
            raise ProfileError(
                f'{where}: each of "conversations" needs "from" (human, gpt, tool or system) and "value" (text)'
            )
        messages.append({"role": role, "content": turn["value"]})
    if not any(message["role"] == "user" for message in messages):
        raise ProfileError(f"{where}: no message of a user")
    return messages


def is_message(message: Any) -> bool:
    """A role, and a content: text, parts, or none beside tool calls."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        return False
    content = message.get("content")
    return isinstance(content, str | list) or (content is None and bool(message.get("tool_calls")))


def without_half_characters(value: Any) -> Any:
    """The same with a replacement character for each half of a surrogate pair, which no request can carry."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [without_half_characters(part) for part in value]
    if isinstance(value, dict):
        return {without_half_characters(key): without_half_characters(part) for key, part in value.items()}
    return value
