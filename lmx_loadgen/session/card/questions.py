"""What a probe asks: the texts, the limits of the answers, and the bodies of the requests."""

import secrets
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.targets.base import Target

# Also a small model goes on for longer than any limit here; one in five lists of numbers ended early.
LONG_STORY = "Write a long story about the sea, with many details."
SHORT = "Answer with the one word: yes."
STORY = "Invent the first sentence of a story."
# Longer than what chat templates put there by themselves.
SYSTEM = "You are a clerk who answers in plain English. " * 6
# Tokens of the answers: of the first, of one that should end by itself, of stories, of concurrent ones.
LIMIT, NATURAL_LIMIT, STORY_LIMIT, LOAD_LIMIT = 24, 64, 12, 48
FEW = 5
# Events after which an answer surely has more tokens than a few.
ENOUGH = 4 * FEW + 4
CACHED_WORDS = 400
_WORDS = ("time", "year", "people", "way", "day", "man", "thing", "woman")

Messages = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Questions:
    """Requests with the fields that a target takes."""

    target: Target

    def body(self, messages: Messages, limit: int = LIMIT) -> dict[str, Any]:
        """A streamed one."""
        fields = {"max_tokens": limit, "temperature": 0, "stream_options": {"include_usage": True}}
        taken = {name: value for name, value in fields.items() if name not in self.target.left_out}
        return {"messages": messages, **{self.target.renamed.get(name, name): value for name, value in taken.items()}}

    def whole(self, messages: Messages, limit: int) -> dict[str, Any]:
        """The same, not streamed."""
        body = {**self.body(messages, limit), "stream": False}
        body.pop("stream_options", None)
        return body


def new(text: str) -> Messages:
    """One message that no cache has seen."""
    return [{"role": "user", "content": f"{secrets.token_hex(8)} {text}"}]


def words(count: int) -> str:
    """So many words, each of a token at least."""
    return " ".join(_WORDS[place % len(_WORDS)] for place in range(count))
