"""The schema versions of the stored formats, and how what an older version wrote is brought up to the present one.

Each format has a row of migrations, version → what makes the next version of it, applied one after the other. The
newest version is the one after the last migration. Whoever changes a format so that an older reader would misread it
adds a migration here; a new field with a default needs none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lmx_loadgen.store.numbered_segments import closed_point, with_keys

Document = dict[str, Any]
# All lines of an event log, its header first; the header alone is a log too.
LogLines = list[Document]
Stored = TypeVar("Stored", Document, LogLines)


class UnknownVersion(ValueError):
    """A version that this tool cannot read; `str(error)` says what to do about it."""


@dataclass(frozen=True)
class Format(Generic[Stored]):
    """One stored format: the key that holds its version, and a migration from each older version to the next.

    A migration changes nothing of what it is given.
    """

    name: str
    key: str
    migrations: Mapping[int, Callable[[Stored], Stored]]

    @property
    def newest(self) -> int:
        return max(self.migrations, default=0) + 1

    def known(self, version: object) -> int:
        """The version, when this tool reads it. Raises UnknownVersion."""
        if type(version) is not int or version < 1:
            raise UnknownVersion(f"has no {self.name} schema version of lmx-loadgen ({str(version)[:20]!r})")
        if version > self.newest:
            raise UnknownVersion(
                f"has {self.name} schema {version}, and this version of lmx-loadgen reads up to {self.newest}: "
                "update lmx-loadgen to read it"
            )
        return version

    def migrated(self, document: Stored, version: int) -> Stored:
        """A document of a `known` version as the newest version has it; the one given stays as it is."""
        for older in range(version, self.newest):
            document = self.migrations[older](document)
        return document


def _each_line(migrate: Callable[[Document], Document]) -> Callable[[LogLines], LogLines]:
    return lambda lines: [migrate(line) for line in lines]


def _log_1_to_2(line: Document) -> Document:
    """Version 2 has `resume` lines, which a reader must know: they say which lines before them no longer count."""
    return line | {"schema": 2} if line.get("type") == "header" else line


def _result_1_to_2(result: Document) -> Document:
    """Version 2 tells who computed a result from who measured it, which were the same until then."""
    tool = result.get("tool")
    tool = tool | {"computed_by": tool.get("version")} if isinstance(tool, dict) else tool
    return result | {"schema": 2, "tool": tool}


def _log_2_to_3(line: Document) -> Document:
    """Version 3 says `until_conclusive` and `load.pause` where it was `until_settled` and `load.settle`."""
    if line.get("type") != "header":
        return line
    line = _renamed(line, "until_settled", "until_conclusive")
    return line | {"schema": 3} | ({"profile": _with_pause(line["profile"])} if "profile" in line else {})


def _result_2_to_3(result: Document) -> Document:
    """Version 3 has the new names of the log, a reason code beside each verdict, and no interval by bootstrap."""
    comparisons = result.get("comparisons")
    if isinstance(comparisons, list):
        comparisons = [_comparison_with_codes(one) if isinstance(one, dict) else one for one in comparisons]
        result = result | {"comparisons": comparisons}
    return result | {"schema": 3} | ({"profile": _with_pause(result["profile"])} if "profile" in result else {})


def _comparison_with_codes(comparison: Document) -> Document:
    levels = comparison.get("levels")
    if isinstance(levels, list):
        levels = [
            level | {"metrics": {name: _figure_with_code(one) for name, one in level["metrics"].items()}}
            for level in levels
        ]
        comparison = comparison | {"levels": levels}
    return _renamed(comparison, "until_settled", "until_conclusive")


def _figure_with_code(figure: Document) -> Document:
    codes = {"undecided": "drift" if figure.get("drifted") else "chance", "refused": "audit"}
    kept = {key: value for key, value in figure.items() if key not in ("bootstrap95", "drifted")}
    return kept | {"reason_code": codes.get(str(figure.get("verdict")))}


def _with_pause(profile: Any) -> Any:
    load = profile.get("load") if isinstance(profile, dict) else None
    return profile | {"load": _renamed(load, "settle", "pause")} if isinstance(load, dict) else profile


def _renamed(document: Document, old: str, new: str) -> Document:
    """The document with one key under its new name, where it stood."""
    return {new if key == old else key: value for key, value in document.items()}


def _result_3_to_4(result: Document) -> Document:
    """Version 4 says which load a level is by a load point, and no longer by its number; see `numbered_segments`."""
    targets, comparisons = result.get("targets"), result.get("comparisons")
    if isinstance(targets, list):
        result = result | {"targets": [_each_in(one, "levels", _level_at_point) for one in targets]}
    if isinstance(comparisons, list):
        comparisons = [_each_in(one, "levels", _level_at_point) for one in comparisons]
        result = result | {"comparisons": [_each_in(one, "audit", _check_at_points) for one in comparisons]}
    return result | {"schema": 4}


def _level_at_point(level: Document) -> Document:
    kept = {key: value for key, value in level.items() if key != "level"}
    return {"load_point": closed_point(level.get("concurrency"))} | kept


def _check_at_points(line: Document) -> Document:
    levels = line.get("levels")
    points = [closed_point(one) for one in levels] if isinstance(levels, list) else levels
    return {key: value for key, value in line.items() if key != "levels"} | {"load_points": points}


def _each_in(document: Any, key: str, change: Callable[[Document], Document]) -> Any:
    """The document with each object of the list under `key` changed, as far as it has such a list."""
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, list):
        return document
    return document | {key: [change(one) if isinstance(one, dict) else one for one in found]}


EVENT_LOG: Format[LogLines] = Format(
    "event log", "schema", {1: _each_line(_log_1_to_2), 2: _each_line(_log_2_to_3), 3: with_keys}
)
RESULT: Format[Document] = Format("result", "schema", {1: _result_1_to_2, 2: _result_2_to_3, 3: _result_3_to_4})
CALIBRATION: Format[Document] = Format("calibration", "schema_version", {})
