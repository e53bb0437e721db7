"""What is asked: built-in prompts or the user's, each made new by a nonce so that no cache answers it.

A prefix cache matches from the first token on. A nonce anywhere but at the very start leaves the prefix before it
cached: measured on llama.cpp, a nonce at the end of the prompt brings the second TTFT from 2.9 s down to 0.15 s.
So the nonce stands as the first characters of the first message that the user wrote, whatever its role, its random part
first, its length always the same. No message is added: many templates refuse a system role.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.conversation import with_system
from lmx_loadgen.profile.datasets.chats import built_in_chats, read_chats
from lmx_loadgen.profile.datasets.opening import readable
from lmx_loadgen.profile.datasets.sample import read_dataset
from lmx_loadgen.profile.models import Prompts
from lmx_loadgen.profile.prompt import Message, Prompt, asked
from lmx_loadgen.system import folders


@dataclass(frozen=True, slots=True)
class PromptBook:
    """The prompts of a run; warm-ups have their own, which are never measured. Where those that are measured were drawn
    from a file, `drawn_from` is how many it holds. With chats, the measured ones are their turns: `chats` has the
    places of each one's, and `shared_system` is the system message of all."""

    measured: tuple[Prompt, ...]
    warmup: tuple[Prompt, ...]
    drawn_from: int | None = None
    chats: tuple[tuple[int, ...], ...] = ()
    shared_system: str | None = None

    @property
    def has_system(self) -> bool:
        """Whether any prompt has a message of the system."""
        prompts = (*self.measured, *self.warmup)
        return any(message.get("role") == "system" for prompt in prompts for message in prompt.messages)


def with_nonce(messages: Sequence[Message], nonce: str) -> list[Message]:
    """The messages with `nonce` and a space as the very first characters of the first one that has a content, which is
    nearly always the first. No message is added."""
    place = next((at for at, message in enumerate(messages) if message.get("content") is not None), None)
    if place is None:
        return list(messages)
    content = messages[place]["content"]
    if isinstance(content, str):
        content = f"{nonce} {content}"
    else:
        text = next((at for at, part in enumerate(content) if _has_text(part)), None)
        if text is None:  # images alone
            content = [{"type": "text", "text": nonce}, *content]
        else:
            part = {**content[text], "text": f"{nonce} {content[text]['text']}"}
            content = [*content[:text], part, *content[text + 1 :]]
    return [*messages[:place], {**messages[place], "content": content}, *messages[place + 1 :]]


def _has_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def prompt_book(settings: Prompts, base_dir: Path, seed: int | None = None) -> PromptBook:
    """The prompts the settings ask for; the seed draws those of a file that has more of them. Raises ProfileError for a
    prompts file that cannot be used."""
    warmup = tuple(_built_in()["warmup"])
    if settings.text is not None and settings.file is not None:
        raise ProfileError("prompts.text and prompts.file (--prompt and --prompts) exclude each other: give one")
    if settings.text is not None:
        return PromptBook((asked("prompt", settings.text),), warmup)
    if settings.file is not None:
        file = base_dir / folders.expanded(Path(settings.file))
        found = read_dataset(file, column=settings.column, sample=settings.sample, seed=seed or 0)
        return PromptBook(found.prompts, warmup, found.of if found.of > len(found.prompts) else None)
    book = _built_in()
    return PromptBook(tuple(prompt for length in settings.lengths for prompt in book[length]), warmup)


def chat_book(settings: Prompts, base_dir: Path, seed: int | None = None, users: int = 1) -> PromptBook:
    """The turns of the chats that the settings name, else of those built in; the seed draws those of a file that has
    more of them. Raises ProfileError, also where there are more `users` than chats."""
    file = None if settings.chats is None else base_dir / folders.expanded(Path(settings.chats))
    chats, of = built_in_chats(), 0
    if file is not None:
        found = read_chats(file, column=settings.column, sample=settings.sample, seed=seed or 0)
        chats, of = found.chats, found.of
    if users > len(chats):
        has = f"{file} has {len(chats)}" if file is not None else f"there are {len(chats)} built-in chats"
        raise ProfileError(
            f"--users {users}: each needs a chat of its own, and {has}; ask for fewer users, or give more with --chats"
        )
    turns: list[Prompt] = []
    places = []
    for chat in chats:
        of_chat = chat.turns(live=settings.answers == "live")
        places.append(tuple(range(len(turns), len(turns) + len(of_chat))))
        turns += of_chat
    system = _shared_system(settings, base_dir)
    if system is not None:
        turns = [replace(turn, messages=tuple(with_system(turn.messages, system))) for turn in turns]
    drawn_from = of if of > len(chats) else None
    return PromptBook(tuple(turns), tuple(_built_in()["warmup"]), drawn_from, tuple(places), system)


def _shared_system(settings: Prompts, base_dir: Path) -> str | None:
    if settings.shared_system is None:
        return None
    path = base_dir / folders.expanded(Path(settings.shared_system))
    with readable(path, "system message"):
        text = path.read_text(encoding="utf-8-sig").strip()
    if not text:
        raise ProfileError(f"the system message {path} is empty")
    return text


def order_of(book: PromptBook, seed: int, numbers: int) -> list[int]:
    """For each request number below `numbers`, the place of its prompt in `book.measured`: kinds take turns, each
    kind's prompts in a seeded shuffle.

    The same number gives the same prompt in every block and for every target.
    """
    by_kind: dict[str, list[int]] = {}
    for place, prompt in enumerate(book.measured):
        by_kind.setdefault(prompt.kind, []).append(place)
    kinds = sorted(by_kind, reverse=True)
    streams = [_shuffled(by_kind[kind], f"{seed}/{kind}") for kind in kinds]
    return [next(streams[number % len(kinds)]) for number in range(numbers)]


def _shuffled(places: Sequence[int], seed: str) -> Iterator[int]:
    """The places over and over, each time in another order."""
    for turn in count():
        order = list(range(len(places)))
        random.Random(f"{seed}/{turn}").shuffle(order)
        yield from (places[place] for place in order)


@cache
def _built_in() -> dict[str, list[Prompt]]:
    text = resources.files("lmx_loadgen.profile").joinpath("prompts.yaml").read_text(encoding="utf-8")
    return {
        kind: [asked(f"{kind}-{place:02d}", text.strip(), kind) for place, text in enumerate(texts, 1)]
        for kind, texts in yaml.safe_load(text).items()
    }
