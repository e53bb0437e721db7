"""One thing to ask."""

from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]
Tool = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to ask. `kind` is short, medium, long, given (by the user), or the turn of a chat. `tools` are those on
    offer, in the form of OpenAI's API."""

    id: str
    messages: tuple[Message, ...]
    kind: str = "given"
    tools: tuple[Tool, ...] = ()


def asked(id: str, text: str, kind: str = "given") -> Prompt:
    """A text as the only message of a user."""
    return Prompt(id, ({"role": "user", "content": text},), kind)
