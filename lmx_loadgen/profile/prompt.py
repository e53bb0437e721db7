"""One thing to ask."""

from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to ask. `kind` is short, medium, long, or given (by the user)."""

    id: str
    messages: tuple[Message, ...]
    kind: str = "given"


def asked(id: str, text: str, kind: str = "given") -> Prompt:
    """A text as the only message of a user."""
    return Prompt(id, ({"role": "user", "content": text},), kind)
