"""A recording of requests to send again at the times it has: JSON Lines with `at_s` and a prompt."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.profile.prompts import Prompt, PromptBook, prompt_book, prompt_in, read_prompts_text
from lmx_loadgen.system import folders
from lmx_loadgen.system.clock import NS

_MOST = 1_000_000
_LONGEST_S = 7 * 86_400
_ID_KEY = "prompt_id"


@dataclass(frozen=True, slots=True)
class Trace:
    """When each request is due, in ns since the first one, in order, and the place of its prompt in the book."""

    offsets_ns: list[int]
    places: list[int]


def asked_prompts(profile: Profile, base_dir: Path) -> tuple[PromptBook, Trace | None]:
    """The prompts of a run, and when they are due where it replays a recording, whose prompts are then the only ones.
    Relative paths begin at `base_dir`. Raises ProfileError."""
    book = prompt_book(profile.prompts, base_dir=base_dir)
    if profile.load.replay is None:
        return book, None
    trace, book = read_trace(base_dir / folders.expanded(Path(profile.load.replay)), book)
    return book, trace


def read_trace(path: Path, book: PromptBook) -> tuple[Trace, PromptBook]:
    """A recording, and the book of the prompts that it has. `prompt_id` names one of `book`. Raises ProfileError."""
    known = {prompt.id: prompt for prompt in book.measured}
    entries = sorted(_entries(path, known), key=lambda entry: entry[0])
    if not entries:
        raise ProfileError(f"the replay file {path} holds no request")
    prompts = list({prompt.id: prompt for _, prompt in entries}.values())
    place_of = {prompt.id: place for place, prompt in enumerate(prompts)}
    first_s = entries[0][0]
    if entries[-1][0] - first_s > _LONGEST_S:
        raise ProfileError(f"the replay file {path} spans over seven days; `at_s` is in seconds")
    trace = Trace([round((at_s - first_s) * NS) for at_s, _ in entries], [place_of[prompt.id] for _, prompt in entries])
    return trace, PromptBook(tuple(prompts), book.warmup)


def _entries(path: Path, known: Mapping[str, Prompt]) -> list[tuple[float, Prompt]]:
    found = []
    for number, line in enumerate(read_prompts_text(path, "replay file").split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise ProfileError(f"{where}: not JSON") from None
        if not isinstance(entry, dict):
            raise ProfileError(f'{where}: needs an object with "at_s" and a prompt')
        found.append((_at_s(entry, where), _prompt_of(entry, number, known, where)))
        if len(found) > _MOST:
            raise ProfileError(f"the replay file {path} holds over {_MOST:,} requests")
    return found


def _at_s(entry: Mapping[str, Any], where: str) -> float:
    at_s = entry.get("at_s")
    if isinstance(at_s, bool) or not isinstance(at_s, int | float) or not math.isfinite(at_s) or at_s < 0:
        raise ProfileError(f'{where}: "at_s" must be a number of seconds, zero or more')
    return float(at_s)


def _prompt_of(entry: Mapping[str, Any], number: int, known: Mapping[str, Prompt], where: str) -> Prompt:
    if _ID_KEY not in entry:
        return prompt_in(f"line-{number}", dict(entry), where)
    named = known.get(str(entry[_ID_KEY]))
    if named is None:
        some = ", ".join(list(known)[:5])
        raise ProfileError(f"{where}: there is no prompt {str(entry[_ID_KEY])[:60]!r} (there are {some}, …)")
    return named
