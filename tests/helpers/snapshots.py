"""The wording of whole views, kept in tests/data/snapshots: one file a view, so that other tests need no sentences.

Where wording changed on purpose, `UPDATE_SNAPSHOTS=1 pytest -k snapshot` writes the files anew; read the diff.
"""

import os
import re

from tests.helpers.paths import DATA

SNAPSHOTS = DATA / "snapshots"


def check_snapshot(name: str, text: str) -> None:
    """The text is the stored one. Raises AssertionError with the difference; `name` is the file's."""
    path = SNAPSHOTS / name
    wanted = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(wanted, encoding="utf-8")
    assert wanted.splitlines() == path.read_text(encoding="utf-8").splitlines(), f"UPDATE_SNAPSHOTS=1 rewrites {path}"


def numbers_in(text: str) -> list[float]:
    """The numbers of a sentence, in their order: what it claims, whatever its words."""
    found = re.findall(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?", text.replace("−", "-"))
    return [float(number.replace(",", "")) for number in found]
