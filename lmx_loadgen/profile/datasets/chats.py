"""Chats from a file: JSON Lines with `messages`, ShareGPT, or what `record` has stored; and those built in."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import accumulate
from pathlib import Path

import yaml

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.conversation import Conversation
from lmx_loadgen.profile.datasets.forms import messages_in, tools_in
from lmx_loadgen.profile.datasets.opening import readable
from lmx_loadgen.profile.datasets.recording import merged
from lmx_loadgen.profile.datasets.rows import IS_TABLE, Row, rows_of
from lmx_loadgen.profile.datasets.sample import MOST_PROMPTS, Counted, drawn

_MOST_TURNS = 20_000
# Each turn is sent with everything before it, and its body is made before the run.
_MOST_SENT = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Chats:
    """Chats of a file, in its order; `of` is how many it holds."""

    chats: tuple[Conversation, ...]
    of: int


def read_chats(path: Path, *, column: str | None = None, sample: int | None = None, seed: int = 0) -> Chats:
    """The chats of a file; of more than `sample`, as many drawn by the seed. Raises ProfileError."""
    with readable(path, "chats file"):
        counted = Counted(_chats(path, column))
        kept = drawn(counted, sample or MOST_PROMPTS, seed, path)
    if not kept:
        raise ProfileError(f"the chats file {path} holds no chat")
    _check_size(kept, path)
    return Chats(tuple(kept), counted.seen)


def _chats(path: Path, column: str | None) -> Iterator[tuple[Conversation, Row]]:
    in_entry = None if path.suffix.lower() in IS_TABLE else column
    for number, row in enumerate(merged(rows_of(path, column)), 1):
        messages = messages_in(row.value, row.where, in_entry)
        chat = Conversation(number, tuple(messages), tools_in(row.value, row.where))
        if not chat.ends:
            raise ProfileError(f"{row.where}: no message of a user")
        yield chat, row


def _check_size(chats: list[Conversation], path: Path) -> None:
    turns = sum(len(chat.ends) for chat in chats)
    if turns > _MOST_TURNS:
        raise ProfileError(f"the chats of {path} have {turns:,} turns, over {_MOST_TURNS:,}: draw fewer with --sample")
    sent = 0
    for chat in chats:
        until = [0, *accumulate(len(str(message)) for message in chat.messages)]
        sent += sum(until[end] for end in chat.ends)
    if sent > _MOST_SENT:
        raise ProfileError(
            f"the turns of {path} take over {_MOST_SENT // 2**20} MB, each with all before it: draw fewer chats with "
            "--sample"
        )


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
