"""A chat: what is sent turn by turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.profile.prompt import Message, Prompt, Tool

# Stands in a request's body where a live chat has the server's own answer to that turn.
_ANSWER = "@@answer-{turn:03d}-of-this-chat@@"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat with all its messages, answers included; `number` counts the chats of a file from 1. `tools` are on offer
    in each of its turns.

    A turn is everything up to a message that the server has to answer: one after which an answer stands, or the last.
    """

    number: int
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()

    @property
    def ends(self) -> list[int]:
        """Of each turn, how many messages are sent with it."""
        last = len(self.messages)
        return [
            place + 1
            for place, message in enumerate(self.messages)
            if message["role"] != "assistant"
            and (place + 1 == last or self.messages[place + 1]["role"] == "assistant")
            and any(one["role"] != "system" for one in self.messages[: place + 1])
        ]

    def turns(self, *, live: bool = False) -> list[Prompt]:
        """What is sent turn by turn: with the chat's own answers as history or, `live`, with places for the server's.
        Tool calls and their results stay as they stand."""
        ends = self.ends
        messages = list(self.messages)
        if live:
            for turn, end in enumerate(ends, 1):
                if end < len(messages) and _is_plain_answer(messages[end]):
                    messages[end] = {**messages[end], "content": answer_place(turn)}
        return [
            Prompt(f"turn {turn:02d}-chat{self.number}", tuple(messages[:end]), f"turn {turn:02d}", self.tools)
            for turn, end in enumerate(ends, 1)
        ]


def answer_place(turn: int) -> str:
    """What stands for the answer to a turn, counted from 1, until it is known."""
    return _ANSWER.format(turn=turn)


def _is_plain_answer(message: Message) -> bool:
    return message["role"] == "assistant" and isinstance(message.get("content"), str) and not message.get("tool_calls")


def with_system(messages: Sequence[Message], text: str) -> list[Message]:
    """The messages with this system message in place of their own."""
    own: dict[str, Any] = {"role": "system", "content": text}
    return [own, *(message for message in messages if message["role"] not in ("system", "developer"))]
