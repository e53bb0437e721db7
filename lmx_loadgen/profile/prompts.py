"""What is asked: built-in prompts or the user's, each made new by a nonce so that no cache answers it.

A prefix cache matches from the first token on. A nonce anywhere but at the very start leaves the prefix before it
cached: measured on llama.cpp, a nonce at the end of the prompt brings the second TTFT from 2.9 s down to 0.15 s.
So the nonce stands as the first characters of the first message that the user wrote, whatever its role, its random part
first, its length always the same. No message is added: many templates refuse a system role.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.models import Prompts
from lmx_loadgen.system import folders

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


def prompt_book(settings: Prompts, base_dir: Path) -> PromptBook:
    """The prompts the settings ask for. Raises ProfileError for a prompts file that cannot be used."""
    warmup = tuple(_built_in()["warmup"])
    if settings.text is not None and settings.file is not None:
        raise ProfileError("prompts.text and prompts.file (--prompt and --prompts) exclude each other: give one")
    if settings.text is not None:
        return PromptBook((_asked("prompt", settings.text),), warmup)
    if settings.file is not None:
        return PromptBook(tuple(_from_file(base_dir / folders.expanded(Path(settings.file)))), warmup)
    book = _built_in()
    return PromptBook(tuple(prompt for length in settings.lengths for prompt in book[length]), warmup)


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
        kind: [_asked(f"{kind}-{place:02d}", asked.strip(), kind) for place, asked in enumerate(texts, 1)]
        for kind, texts in yaml.safe_load(text).items()
    }


def _asked(id: str, text: str, kind: str = "given") -> Prompt:
    return Prompt(id, ({"role": "user", "content": text},), kind)


def _from_file(path: Path) -> list[Prompt]:
    """The prompts of a file: JSON Lines, a JSON array, or text with one a line. Raises ProfileError."""
    text = read_prompts_text(path, "prompts file")
    readers = {".jsonl": _from_jsonl, ".ndjson": _from_jsonl, ".json": _from_json}
    reader = readers.get(path.suffix.lower())
    prompts = list(reader(path, text) if reader is not None else _from_lines(text))
    if not prompts:
        raise ProfileError(f"the prompts file {path} holds no prompt")
    return prompts


def read_prompts_text(path: Path, what: str) -> str:
    """The text of a file with prompts, which is called `what`. Raises ProfileError."""
    try:
        if path.stat().st_size > _MAX_FILE:
            raise ProfileError(f"the {what} {path} is larger than 50 MB")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ProfileError(f"cannot read the {what} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ProfileError(f"the {what} {path} is not UTF-8 text") from None
    except ValueError:
        raise ProfileError(f"the {what} {str(path)!r} is not a path: it holds a NUL character") from None


def _from_lines(text: str) -> Iterator[Prompt]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _asked(f"line-{number}", line.strip())


def _from_jsonl(path: Path, text: str) -> Iterator[Prompt]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise ProfileError(f"{where}: not JSON") from None
        yield prompt_in(f"line-{number}", entry, where)


def _from_json(path: Path, text: str) -> Iterator[Prompt]:
    """One array of prompts, or one conversation."""
    try:
        data = json.loads(text)
    except RecursionError:
        raise ProfileError(f"{path}: nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ProfileError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}); a file of one object a line is called .jsonl"
        ) from None
    if isinstance(data, dict) or (isinstance(data, list) and data and _is_message(data[0])):
        data = [data]
    if not isinstance(data, list):
        raise ProfileError(f"{path}: needs an array of prompts, of conversations, or of messages")
    for number, entry in enumerate(data, 1):
        yield prompt_in(f"entry-{number}", entry, f"{path}, entry {number}")


_FORMS = (
    'a prompt (text), {"prompt": text}, {"messages": [{"role", "content"}]}, or ShareGPT\'s '
    '{"conversations": [{"from", "value"}]}'
)


def prompt_in(id: str, entry: Any, where: str) -> Prompt:
    """One prompt in any of the forms in use. Raises ProfileError."""
    entry = _without_half_characters(entry)
    if isinstance(entry, str) and entry.strip():
        return _asked(id, entry)
    if isinstance(entry, dict):
        if isinstance(entry.get("prompt"), str) and entry["prompt"].strip():
            return _asked(id, entry["prompt"])
        if isinstance(entry.get("conversations"), list):
            return Prompt(id, _from_sharegpt(entry["conversations"], where))
        entry = entry.get("messages")
    if isinstance(entry, list) and entry and all(_is_message(message) for message in entry):
        if not any(message.get("content") for message in entry):
            raise ProfileError(f"{where}: no message has a content")
        return Prompt(id, tuple(entry))
    raise ProfileError(f"{where}: needs {_FORMS}")


_SHAREGPT_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


def _from_sharegpt(turns: list[Any], where: str) -> tuple[Message, ...]:
    """The conversation up to the last thing that the user said: what follows is for the server to say."""
    messages: list[Message] = []
    for turn in turns:
        role = _SHAREGPT_ROLES.get(str(turn.get("from"))) if isinstance(turn, dict) else None
        if role is None or not isinstance(turn.get("value"), str):
            raise ProfileError(
                f'{where}: each of "conversations" needs "from" (human, gpt or system) and "value" (text)'
            )
        messages.append({"role": role, "content": turn["value"]})
    while messages and messages[-1]["role"] != "user":
        messages.pop()
    if not messages:
        raise ProfileError(f"{where}: it has no message of a human")
    return tuple(messages)


def _without_half_characters(value: Any) -> Any:
    """The same with a replacement character for each half of a surrogate pair, which no request can carry."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_without_half_characters(part) for part in value]
    if isinstance(value, dict):
        return {_without_half_characters(key): _without_half_characters(part) for key, part in value.items()}
    return value


def _is_message(message: Any) -> bool:
    """A role, and a content: text, parts, or none beside tool calls."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        return False
    content = message.get("content")
    return isinstance(content, str | list) or (content is None and bool(message.get("tool_calls")))
