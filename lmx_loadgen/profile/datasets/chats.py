"""Chats from a file: JSON Lines with `messages`, ShareGPT, or what `record` has stored; and those built in."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.conversation import Conversation
from lmx_loadgen.profile.datasets.forms import messages_in
from lmx_loadgen.profile.datasets.opening import readable
from lmx_loadgen.profile.datasets.rows import Row, rows_of
from lmx_loadgen.profile.prompt import Message
from lmx_loadgen.profile.words import words_of

_MOST_CHATS, _MOST_TURNS = 10_000, 20_000
_MOST_CHARACTERS = 10_000_000


def read_chats(path: Path) -> tuple[Conversation, ...]:
    """The chats of a file, in its order. Raises ProfileError."""
    with readable(path, "chats file"):
        found = [(row.where, _messages(row)) for row in _merged(rows_of(path))]
    chats: list[Conversation] = []
    turns = 0
    for where, messages in found:
        chat = Conversation(len(chats) + 1, tuple(messages))
        turns += len(chat.ends)
        if not chat.ends:
            raise ProfileError(f"{where}: nothing in it is said by a human")
        if len(chats) >= _MOST_CHATS or turns > _MOST_TURNS:
            raise ProfileError(f"{path} holds over {_MOST_CHATS:,} chats or {_MOST_TURNS:,} turns: take a part of it")
        chats.append(chat)
    if not chats:
        raise ProfileError(f"the chats file {path} holds no chat")
    return tuple(chats)


def built_in_chats() -> tuple[Conversation, ...]:
    """The chats that come with the tool."""
    return _built_in()


@cache
def _built_in() -> tuple[Conversation, ...]:
    text = resources.files("lmx_loadgen.profile").joinpath("chats.yaml").read_text(encoding="utf-8")
    chats = []
    for number, said in enumerate(yaml.safe_load(text), 1):
        roles = ("user", "assistant")
        messages = [{"role": roles[place % 2], "content": words.strip()} for place, words in enumerate(said)]
        chats.append(Conversation(number, tuple(messages)))
    return tuple(chats)


def _merged(rows: Iterable[Row]) -> Iterator[Row]:
    """Lines of a recording put together, chat by chat, each where it began; other rows as they are."""
    chats: dict[str, list[Any]] = {}
    found: list[Row] = []
    for row in rows:
        value = row.value
        if isinstance(value, dict) and ("recording" in value or "note" in value) and "messages" not in value:
            continue
        if isinstance(value, dict) and isinstance(value.get("chat"), str) and isinstance(value.get("messages"), list):
            if value["chat"] not in chats:
                chats[value["chat"]] = []
                found.append(row._replace(value=chats[value["chat"]]))
            chats[value["chat"]] += value["messages"]
        else:
            found.append(row)
    return iter(found)


def _messages(row: Row) -> list[Message]:
    value = row.value
    if isinstance(value, list):
        value = [_with_text(message) for message in value]
    return messages_in(value, row.where)


def _with_text(message: Any) -> Any:
    """A message of a recording without texts, with as many characters of other words. Equal ones stay equal."""
    if not isinstance(message, dict) or "characters" not in message or "content" in message:
        return message
    characters = message["characters"]
    if type(characters) is not int or not 0 <= characters <= _MOST_CHARACTERS:
        return message  # which is then refused
    return {"role": message.get("role"), "content": words_of(characters, str(message.get("mark"))) or "-"}
