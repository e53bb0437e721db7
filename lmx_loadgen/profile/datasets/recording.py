"""The lines of a recording put together to chats, with words in the place of texts that were not stored."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from lmx_loadgen.profile.datasets.rows import Row
from lmx_loadgen.profile.words import words_of

_MOST_CHARACTERS, _MOST_TOOLS = 10_000_000, 1000


def merged(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows as they are, and after them what lines of a recording are together: a row for each chat, where it began."""
    chats: dict[str, Row] = {}
    for row in rows:
        line = row.value if isinstance(row.value, dict) else {}
        name, messages = line.get("chat"), line.get("messages")
        if messages is None and ("recording" in line or "note" in line):
            continue
        if not isinstance(name, str) or not isinstance(messages, list):
            yield row
            continue
        so_far = chats.get(name, row._replace(value={"messages": []}, size=0))
        chats[name] = so_far._replace(value=_joined(so_far.value, line), size=so_far.size + row.size)
    yield from chats.values()


def _joined(chat: dict[str, Any], line: dict[str, Any]) -> dict[str, Any]:
    """A chat and what a line adds to it; its tools are those of its first request that has any."""
    chat["messages"] += map(_with_text, line["messages"])
    if line.get("tools"):
        chat.setdefault("tools", _with_words(line["tools"]))
    return chat


def _with_text(message: Any) -> Any:
    """A message of a recording without texts, with as many characters of other words. Equal ones stay equal. A tool's
    result comes from the user, since the call that it answers was not stored."""
    if not isinstance(message, dict) or "characters" not in message or "content" in message:
        return message
    characters, role = message["characters"], message.get("role")
    if type(characters) is not int or not 0 <= characters <= _MOST_CHARACTERS:
        return message  # which is then refused
    role = "user" if role in ("tool", "function") else role
    return {"role": role, "content": words_of(characters, str(message.get("mark"))) or "-"}


def _with_words(tools: Any) -> Any:
    """Tools of which only the number and the length were stored, with as many characters of other words."""
    if not isinstance(tools, dict):
        return tools
    number, characters = tools.get("number"), tools.get("characters")
    if type(number) is not int or type(characters) is not int or not 0 < number <= _MOST_TOOLS:
        return tools  # which is then refused
    each = min(characters, _MOST_CHARACTERS) // number
    return [_tool(place, each) for place in range(1, number + 1)]


def _tool(place: int, characters: int) -> dict[str, Any]:
    """A tool that is about so long."""
    function: dict[str, Any] = {"name": f"tool_{place}", "description": "", "parameters": {"type": "object"}}
    made = {"type": "function", "function": function}
    function["description"] = words_of(max(0, characters - len(json.dumps(made))), f"tool {place}")
    return made
