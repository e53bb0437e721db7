"""Event logs up to version 3, which named segments by running numbers, brought to the keys of version 4.

A number says little: where a target was aborted, segments that came later had the numbers that its own would have had.
So it is looked up among the lines around it, and only then in the plan. Lines may be damaged here, and then stay so.
"""

from bisect import bisect
from collections.abc import Sequence
from typing import Any, TypeGuard

Line = dict[str, Any]
# The fields of a line that are its segment's key.
Place = dict[str, Any]

_NUMBERS = ("segment", "level", "concurrency", "segments")
_TELLING = ("request", "segment")
_BESIDE = ("probe", "stability")


def with_keys(lines: Sequence[Line]) -> list[Line]:
    """All lines of a log, its header first, each with its segment's key where it had numbers."""
    numbers = _Numbers(lines)
    return [numbers.replaced(at, line) for at, line in enumerate(lines)]


class _Numbers:
    """What each number of one log means, and where; lines are to be replaced in their order."""

    def __init__(self, lines: Sequence[Line]) -> None:
        plan = lines[0].get("plan") if lines and lines[0].get("type") == "header" else None
        self._plan = [one for one in plan if _tells_all(one)] if isinstance(plan, list) else []
        self._points = {one["level"]: closed_point(one["concurrency"]) for one in self._plan}
        told = {at: line for at, line in enumerate(lines) if line.get("type") in _TELLING and _tells_all(line)}
        self._beside = {_stretch(line): line["phase"] for line in told.values() if line.get("phase") in _BESIDE}
        self._probes = list(dict.fromkeys(key[:2] for key, phase in self._beside.items() if phase == "probe"))
        self._places = {at: self._place(line) for at, line in told.items()}
        self._named: dict[int, list[int]] = {}
        for at, line in told.items():
            self._named.setdefault(line["segment"], []).append(at)
        self._live: list[tuple[int, Place]] = []

    def replaced(self, at: int, line: Line) -> Line:
        kind, plan = line.get("type"), line.get("plan")
        if kind == "header":
            return line | {"schema": 4} | ({"plan": list(map(self._planned, plan))} if isinstance(plan, list) else {})
        if kind == "again":
            self._void(line.get("segments"))
            level = line.get("level")
            return _without_numbers(line) | {"load_point": self._points.get(level) if _is_number(level) else None}
        if kind == "resume":
            return line | {"redo": self._void(line.get("redo"))}
        place = self._around(at, line) if kind == "host" and _is_number(line.get("segment")) else self._places.get(at)
        if place is None:
            return line
        self._live.append((line["segment"], place))
        return _without_numbers(line) | place | ({"phase": line.get("phase")} if kind == "request" else {})

    def _planned(self, segment: Any) -> Any:
        if not _tells_all(segment):
            return segment
        return self._place(segment) | _without_numbers(segment)

    def _place(self, line: Line) -> Place:
        # What is at no level of the plan stands beside them, also where its requests are lost.
        beside = self._beside.get(_stretch(line)) or (None if line["level"] in self._points else "probe")
        block = self._place_of_probe(line) if beside == "probe" else line["block"]
        return _key(line["target"], closed_point(line["concurrency"]), block, beside or "load")

    def _place_of_probe(self, line: Line) -> int:
        """Early versions had the two parts of a probe in one block."""
        numbers = [number for number, target in self._probes if target == line["target"]]
        return numbers.index(line["segment"]) if line["segment"] in numbers else int(line["block"])

    def _around(self, at: int, line: Line) -> Place:
        """The key of a line that tells nothing but its number: that of the next line with it, or of the last one where
        the segment is over."""
        named = self._named.get(line["segment"], [])
        place = bisect(named, at)
        before, after = named[:place][-1:], named[place : place + 1]
        near = before + after if line.get("when") == "after" else after + before
        planned = [self._place(one) for one in self._plan if one["segment"] == line["segment"]]
        # Models were loaded for a check, which has no line of its own.
        checked = _key(self._plan[0]["target"] if self._plan else "", closed_point(1), 0, "check")
        return [*(self._places[one] for one in near), *planned, checked][0]

    def _void(self, numbers: Any) -> list[Place]:
        """The keys of the lines so far with these numbers; they count no more."""
        redo = [number for number in numbers if _is_number(number)] if isinstance(numbers, list) else []
        places = [place for number, place in self._live if number in redo]
        self._live = [(number, place) for number, place in self._live if number not in redo]
        return list({repr(place): place for place in places}.values())


def _without_numbers(line: Line) -> Line:
    return {name: value for name, value in line.items() if name not in _NUMBERS}


def _key(target: str, point: Line, block: int, phase: str) -> Place:
    return {"target": target, "load_point": point, "block": block, "phase": phase}


def closed_point(concurrency: Any) -> Line:
    """The load point that was a concurrency, in its stored form."""
    return {"kind": "closed", "concurrency": concurrency}


def _tells_all(line: Any) -> bool:
    """Whether a line has sound values for everything that named its segment."""
    if not isinstance(line, dict) or not isinstance(line.get("target"), str):
        return False
    least = {"segment": 0, "level": 0, "block": 0, "concurrency": 1}
    return all(_is_number(number := line.get(name)) and number >= lowest for name, lowest in least.items())


def _is_number(value: Any) -> TypeGuard[int]:
    return type(value) is int


def _stretch(line: Line) -> tuple[Any, ...]:
    return tuple(line[name] for name in ("segment", "target", "level", "block"))
