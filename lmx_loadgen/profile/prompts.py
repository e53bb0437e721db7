"""What is asked: built-in prompts or the user's, each made new by a nonce so that no cache answers it.

A prefix cache matches from the first token on. A nonce anywhere but at the very start leaves the prefix before it
cached: measured on llama.cpp, a nonce at the end of the prompt brings the second TTFT from 2.9 s down to 0.15 s.
So the nonce stands as the first characters of a system message, its random part first, its length always the same.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.models import Prompts

Message = dict[str, Any]

_MAX_FILE = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to ask. `kind` is short, medium, long, or given (by the user)."""

    id: str
    messages: tuple[Message, ...]
    kind: str = "given"


@dataclass(frozen=True, slots=True)
class PromptBook:
    """The prompts of a run; warm-ups have their own, which are never measured."""

    measured: tuple[Prompt, ...]
    warmup: tuple[Prompt, ...]


def with_nonce(messages: Sequence[Message], nonce: str) -> list[Message]:
    """The messages with `nonce` as the very first characters of a system message."""
    first = messages[0] if messages else {}
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        return [{**first, "content": f"{nonce} {first['content']}"}, *messages[1:]]
    return [{"role": "system", "content": f"{nonce} You are a helpful assistant."}, *messages]


def prompt_book(settings: Prompts, base_dir: Path) -> PromptBook:
    """The prompts the settings ask for. Raises ProfileError for a prompts file that cannot be used."""
    warmup = tuple(_built_in()["warmup"])
    if settings.text is not None and settings.file is not None:
        raise ProfileError("prompts.text and prompts.file (--prompt and --prompts) exclude each other: give one")
    if settings.text is not None:
        return PromptBook((_asked("prompt", settings.text),), warmup)
    if settings.file is not None:
        return PromptBook(tuple(_from_file(base_dir / settings.file)), warmup)
    book = _built_in()
    return PromptBook(tuple(prompt for length in settings.lengths for prompt in book[length]), warmup)


def choose(book: PromptBook, seed: int, number: int) -> Prompt:
    """The prompt of the level's request `number`: kinds take turns, each kind's prompts in a seeded shuffle.

    The same number gives the same prompt in every block and for every target.
    """
    kinds = sorted({prompt.kind for prompt in book.measured}, reverse=True)
    of_kind = [prompt for prompt in book.measured if prompt.kind == kinds[number % len(kinds)]]
    turn, place = divmod(number // len(kinds), len(of_kind))
    order = list(range(len(of_kind)))
    random.Random(f"{seed}/{kinds[number % len(kinds)]}/{turn}").shuffle(order)
    return of_kind[order[place]]


@cache
def _built_in() -> dict[str, list[Prompt]]:
    text = resources.files("lmx_loadgen.profile").joinpath("prompts.yaml").read_text(encoding="utf-8")
    return {
        kind: [_asked(f"{kind}-{place:02d}", asked.strip(), kind) for place, asked in enumerate(texts, 1)]
        for kind, texts in yaml.safe_load(text).items()
    }


def _asked(id: str, text: str, kind: str = "given") -> Prompt:
    return Prompt(id, ({"role": "user", "content": text},), kind)


def _from_file(path: Path) -> list[Prompt]:
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ProfileError(f"the prompts file {path} is larger than 50 MB")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProfileError(f"cannot read the prompts file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ProfileError(f"the prompts file {path} is not UTF-8 text") from None
    as_json = path.suffix.lower() in (".jsonl", ".ndjson")
    prompts = list(_from_jsonl(path, text) if as_json else _from_lines(text))
    if not prompts:
        raise ProfileError(f"the prompts file {path} holds no prompt")
    return prompts


def _from_lines(text: str) -> Iterator[Prompt]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _asked(f"line-{number}", line.strip())


def _from_jsonl(path: Path, text: str) -> Iterator[Prompt]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise ProfileError(f"{path}, line {number}: not JSON") from None
        messages = entry.get("messages") if isinstance(entry, dict) else None
        asked = entry.get("prompt") if isinstance(entry, dict) else None
        if isinstance(asked, str) and asked.strip():
            yield _asked(f"line-{number}", asked)
        elif isinstance(messages, list) and messages and all(_is_message(message) for message in messages):
            yield Prompt(f"line-{number}", tuple(messages))
        else:
            raise ProfileError(
                f'{path}, line {number}: needs "prompt" (text) or "messages" (a list of {{"role", "content"}})'
            )


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("content"), str | list)
    )
