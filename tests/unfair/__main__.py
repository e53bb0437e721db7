"""Prints the table of `reference/statistics.md`, out of runs made now: `python -m tests.unfair`."""

import tempfile
from pathlib import Path

from lmx_loadgen.store.comparison import Comparison
from tests.unfair.sessions import all_compared
from tests.unfair.test_unfair import CAUGHT
from tests.unfair.ways import WAYS


def row(way: str, found: Comparison) -> str:
    """What a way does, which check catches it, with which words."""
    caught = CAUGHT[way]
    (line,) = [line for line in found.audit if line.key == caught.key]
    does = " ".join((WAYS[way].__doc__ or "").split()).rstrip(".")
    return f"| {way} | {does} | `{line.key}` | {line.status} | {line.sentence} |"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = all_compared(Path(folder), seed=1)
    for way in CAUGHT:
        print(row(way, found[way]))


if __name__ == "__main__":
    main()
