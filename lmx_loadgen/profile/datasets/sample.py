"""A seeded sample of a file of any length, in memory for the sample alone."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.datasets.forms import prompt_in
from lmx_loadgen.profile.datasets.opening import readable
from lmx_loadgen.profile.datasets.rows import IS_TABLE, Row, rows_of
from lmx_loadgen.profile.prompt import Prompt

Entry = TypeVar("Entry")

# No more prompts than this are kept of a file, where nobody says how many.
MOST_PROMPTS = 10_000
_MOST_KEPT = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Dataset:
    """Prompts of a file, in its order; `of` is how many it holds."""

    prompts: tuple[Prompt, ...]
    of: int


def read_dataset(path: Path, *, column: str | None = None, sample: int | None = None, seed: int = 0) -> Dataset:
    """The prompts of a file; of more than `sample`, as many drawn by the seed. Every entry is read, also those that are
    not drawn. Raises ProfileError."""
    with readable(path, "prompts file") as known:
        return _read(path, (known.st_mtime_ns, known.st_size), column, sample, seed)


@lru_cache(maxsize=2)
def _read(path: Path, state: tuple[int, int], column: str | None, sample: int | None, seed: int) -> Dataset:
    """A run looks at its files before it asks which servers to measure, and again when it begins: reading a million
    lines once is enough, as long as the file is as it was."""
    counted = Counted(_prompts(path, column))
    kept = drawn(counted, sample or MOST_PROMPTS, seed, path)
    if not kept:
        raise ProfileError(f"the prompts file {path} holds no prompt")
    return Dataset(tuple(kept), counted.seen)


def _prompts(path: Path, column: str | None) -> Iterator[tuple[Prompt, Row]]:
    in_entry = None if path.suffix.lower() in IS_TABLE else column
    for row in rows_of(path, column):
        yield prompt_in(row.id, row.value, row.where, in_entry), row


class Counted(Generic[Entry]):
    """Entries of a file and how many bytes they take, counted as they pass."""

    def __init__(self, entries: Iterable[tuple[Entry, Row]]) -> None:
        self._entries = entries
        self.seen = 0

    def __iter__(self) -> Iterator[tuple[Entry, int]]:
        for entry, row in self._entries:
            self.seen += 1
            yield entry, row.size


def drawn(entries: Iterable[tuple[Entry, int]], most: int, seed: int, path: Path) -> list[Entry]:
    """At most so many entries, each as likely as any other (reservoir sampling: J. S. Vitter's algorithm R, ACM TOMS
    11:1, 1985), in their own order. Raises ProfileError where they take too much memory."""
    chance = random.Random(f"{seed}/sample")
    kept: list[tuple[int, Entry, int]] = []
    size = 0
    for place, (entry, bytes_) in enumerate(entries):
        slot = place if place < most else chance.randrange(place + 1)
        if slot >= most:
            continue
        if slot == len(kept):
            kept.append((place, entry, bytes_))
        else:
            size -= kept[slot][2]
            kept[slot] = (place, entry, bytes_)
        size += bytes_
        if size > _MOST_KEPT:
            raise ProfileError(
                f"the entries of {path} take over {_MOST_KEPT // 2**20} MB: draw fewer of them with --sample"
            )
    return [entry for _, entry, _ in sorted(kept, key=lambda one: one[0])]
