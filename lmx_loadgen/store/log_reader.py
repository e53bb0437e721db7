"""Reads an event log in one pass: what few lines there are of a kind as dicts, the requests by where they stand."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic_core

from lmx_loadgen.errors import ResultError
from lmx_loadgen.profile.load_point import load_point
from lmx_loadgen.store.request_lines import LinePlaces, RequestLines
from lmx_loadgen.store.segment_key import LOAD, SegmentKey, segment_key
from lmx_loadgen.store.versions import EVENT_LOG, UnknownVersion

# A line of the log as read: see `store.lines` for its fields.
LogLine = Mapping[str, Any]

_MAX_NOTES = 20
_OF_SEGMENTS = ("segment", "host")
_COUNTS, _VOID = 1, 0


@dataclass(frozen=True)
class LogContents:
    """A log as read: its lines, and a note for everything that had to be left out.

    Requests are read from the file when they are asked for, where there is one. `superseded` are the lines that a later
    `resume` or `again` line did away with, `superseded_requests` the requests among them; their `superseded_by` is the
    attempt of the resume, or None. All times are on the header's clock. `next_id` is a number that no request has.
    """

    header: dict[str, Any]
    requests: "RequestLines | list[dict[str, Any]]" = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    host: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    resumes: list[dict[str, Any]] = field(default_factory=list)
    superseded: list[dict[str, Any]] = field(default_factory=list)
    superseded_requests: "RequestLines | list[dict[str, Any]]" = field(default_factory=list)
    again: list[dict[str, Any]] = field(default_factory=list)
    next_id: int = field(default=0, compare=False)

    def requests_superseded_by(self, attempt: int) -> int:
        """How many of its requests a resume did away with."""
        lines = self.superseded_requests
        by = lines.voided_by if isinstance(lines, RequestLines) else [line["superseded_by"] for line in lines]
        return sum(one == attempt for one in by)

    @property
    def request_keys(self) -> list[SegmentKey]:
        """The segments of its requests, in the order of the first request of each."""
        lines = self.requests
        return lines.keys if isinstance(lines, RequestLines) else list(dict.fromkeys(map(segment_key, lines)))


def read_log(path: Path) -> LogContents:
    """Read a log, also one whose writer was killed: a torn last line is dropped with a note, as is a damaged one.

    Raises ResultError when there is no log, no header, or a schema this version does not know.
    """
    return LogReader(path).read()[0]


def read_header(path: Path) -> dict[str, Any]:
    """The first line of a log alone. Raises ResultError as `read_log` does."""
    try:
        with path.open("rb") as file:
            first = file.readline()
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror or error}") from None
    return _migrated(path, [parsed(first)])[0]


class LogReader:
    """Reads a log, and what was appended to it each time it is asked again.

    Args:
        path: the log.
        take: is given the header and each request line in the order of the file, also one that a later line does away
            with.
    """

    def __init__(self, path: Path, take: Callable[[LogLine, LogLine], None] = lambda header, line: None) -> None:
        self._path = path
        self._take = take
        self._position = self._number = 0
        self._header: dict[str, Any] | None = None
        self._migrating: list[tuple[int, dict[str, Any] | None]] | None = None
        self._old: list[dict[str, Any]] | None = None
        self._kept: list[dict[str, Any]] = []
        self._superseded: list[dict[str, Any]] = []
        self._places = LinePlaces()
        self._counts = bytearray()
        self._void, self._voided_by = array("I"), list[int | None]()
        self._faults: list[str] = []
        self._shift_ns = self._latest_ns = self._next_id = 0

    def read(self) -> tuple[LogContents, Sequence[int]]:
        """The log as it is now, and the numbers of its requests among those that were taken, counted from 0. Raises
        ResultError as `read_log` does."""
        is_torn = False
        try:
            with self._path.open("rb") as file:
                file.seek(self._position)
                for line in file:
                    found = parsed(line) if line.strip() else None
                    if not line.endswith(b"\n") and found is None:
                        is_torn = bool(line.strip())
                        break  # a whole line is kept, even where an editor took its newline
                    self._number += 1
                    if line.strip():
                        self._read_line(found, len(line))
                    self._position += len(line)
        except OSError as error:
            raise ResultError(f"cannot read {self._path}: {error.strerror or error}") from None
        if self._header is None:
            _migrated(self._path, [])
        self._migrate()
        counting = array("I", (number for number, counts in enumerate(self._counts) if counts == _COUNTS))
        return self._contents(is_torn, counting), counting

    def line(self, number: int) -> LogLine:
        """A request line by its number."""
        return self._lines(array("I", [number]))[0]

    def _read_line(self, line: dict[str, Any] | None, length: int) -> None:
        if self._header is None:
            self._header, _ = _migrated(self._path, [line])
            self._latest_ns = int(self._header["clock"]["mono_ns"])
            if line is not None and line[EVENT_LOG.key] != EVENT_LOG.newest:
                self._migrating, self._old = [(self._number, line)], []
        elif self._migrating is not None:
            self._migrating.append((self._number, line))  # what a line means may depend on those around it
        else:
            self._valid(self._number, line, length)

    def _migrate(self) -> None:
        """Take in the lines of a log of an earlier version, which are migrated together and stay in memory."""
        if self._migrating is None:
            return
        lines, self._migrating = self._migrating, None
        _, others = _migrated(self._path, [line for _, line in lines])
        for (number, _), line in zip(lines[1:], others, strict=True):
            self._valid(number, line, 0)

    def _valid(self, number: int, line: dict[str, Any] | None, length: int) -> None:
        fault = _fault(line)
        if line is None or fault is not None or line["type"] == "header":
            self._faults.append(f"line {number} is damaged{fault or ''} and was skipped")
            return
        kind = line["type"]
        if kind == "resume":
            assert self._header is not None
            self._shift_ns = _shift_ns(line["clock"], self._header["clock"], self._latest_ns)
        if kind in ("resume", "again"):
            self._supersede(line)
        shifted = _shifted(line, self._shift_ns)
        self._latest_ns = max([self._latest_ns, *(moment for _, moment in _moments(shifted))])
        if kind != "request":
            self._kept.append(shifted)
            return
        self._next_id = max(self._next_id, line["id"] + 1)
        self._places.add(self._position, length, self._shift_ns, segment_key(line))
        self._counts.append(_COUNTS)
        if self._old is not None:
            self._old.append(shifted)
        assert self._header is not None
        self._take(self._header, shifted)

    def _supersede(self, line: dict[str, Any]) -> None:
        """Do away with the lines of the segments that are done again, and with an end that was none."""
        is_void = _void_by_resume(line) if line["type"] == "resume" else _void_by_again(line)
        attempt, kept = line.get("attempt"), self._kept
        self._kept = []
        for one in kept:
            of_segment = one["type"] in _OF_SEGMENTS and is_void(segment_key(one))
            if of_segment or (one["type"] == "end" and line["type"] == "resume"):
                self._superseded.append(one | {"superseded_by": attempt})
            else:
                self._kept.append(one)
        codes = {code for key, code in self._places.keys.items() if is_void(key)}
        for number, code in enumerate(self._places.key if codes else ()):
            if code in codes and self._counts[number] == _COUNTS:
                self._counts[number] = _VOID
                self._void.append(number)
                self._voided_by.append(attempt)

    def _contents(self, is_torn: bool, counting: "array[int]") -> LogContents:
        assert self._header is not None
        faults = list(self._faults)
        if len(faults) > _MAX_NOTES:
            faults[_MAX_NOTES:] = [f"{len(faults) - _MAX_NOTES} more lines are damaged and were skipped"]
        torn = ["the last line is torn and was dropped: the run was cut off while writing it"] if is_torn else []
        of = {kind: [one for one in self._kept if one["type"] == kind] for kind in _KINDS}
        return LogContents(
            header=self._header,
            requests=self._lines(counting),
            segments=of["segment"],
            host=of["host"],
            checks=of["check"],
            samples=of["sample"],
            end=of["end"][0] if of["end"] else None,
            notes=torn + faults,
            resumes=of["resume"],
            superseded=list(self._superseded),
            superseded_requests=self._lines(array("I", self._void), list(self._voided_by)),
            again=of["again"],
            next_id=self._next_id,
        )

    def _lines(
        self, numbers: "array[int]", voided_by: list[int | None] | None = None
    ) -> RequestLines | list[dict[str, Any]]:
        if self._old is None:
            return RequestLines(self._path, self._places, numbers, _line_at, voided_by)
        lines = [self._old[number] for number in numbers]
        return lines if voided_by is None else [
            line | {"superseded_by": by} for line, by in zip(lines, voided_by, strict=True)
        ]  # fmt: skip


_KINDS = ("segment", "host", "check", "sample", "end", "resume", "again")


def _line_at(data: bytes, shift_ns: int) -> dict[str, Any]:
    line: dict[str, Any] = pydantic_core.from_json(data)
    return _shifted(line, shift_ns)


def _void_by_resume(resume: dict[str, Any]) -> Callable[[SegmentKey], bool]:
    """Which segments a resume does again."""
    redo = {segment_key(place) for place in resume["redo"]}
    return redo.__contains__


def _void_by_again(again: dict[str, Any]) -> Callable[[SegmentKey], bool]:
    """Which segments count no more since their round is measured again: those of all its targets' load."""
    place = (load_point(again["load_point"]), again["block"], LOAD)
    return lambda key: key[1:] == place


def _shift_ns(clock: dict[str, int], first: dict[str, int], latest_ns: int) -> int:
    """What to add to times of one clock for times of the first. The wall clock ties them together: a monotonic clock
    may have begun anew, or stood still while the machine slept. Where the wall clock was set back in between, what
    came later still stays later."""
    shift_ns = (clock["unix_ns"] - clock["mono_ns"]) - (first["unix_ns"] - first["mono_ns"])
    return max(shift_ns, latest_ns - clock["mono_ns"])


# Of the fields that end in _ns, those that are no moments on the clock: since the request was sent, or for how long.
_SPANS = {"headers_ns", "lag_ns"}


def _moments(line: LogLine) -> Iterator[tuple[str, int]]:
    """The moments of a line: (field, time), those of fields that later versions add among them."""
    for name, value in line.items():
        if name.endswith("_ns") and name not in _SPANS:
            for moment in value if isinstance(value, list | tuple) else (value,):
                if isinstance(moment, int):
                    yield name, moment


def _shifted(line: dict[str, Any], shift_ns: int) -> dict[str, Any]:
    """The line with its moments shifted."""
    if not shift_ns:
        return line
    shifted: dict[str, Any] = {}
    for name, moment in _moments(line):
        several = isinstance(line[name], list | tuple)
        shifted[name] = [*shifted.get(name, []), moment + shift_ns] if several else moment + shift_ns
    return line | shifted


def _migrated(path: Path, lines: list[dict[str, Any] | None]) -> tuple[dict[str, Any], list[dict[str, Any] | None]]:
    """The header and the other lines in their present shape; a line that is None stays so."""
    first = lines[0] if lines else None
    if first is None or first.get("type") != "header":
        raise ResultError(f"{path} has no header line: it is not an event log of lmx-loadgen")
    try:
        version = EVENT_LOG.known(first.get(EVENT_LOG.key))
    except UnknownVersion as problem:
        raise ResultError(f"{path} {problem}") from None
    header, *others = EVENT_LOG.migrated([line for line in lines if line is not None], version)
    if (fault := _fault(header)) is not None:
        raise ResultError(f"{path} has a damaged header line{fault}: its run cannot be read")
    rest = iter(others)
    return header, [None if line is None else next(rest) for line in lines[1:]]


def parsed(line: bytes) -> dict[str, Any] | None:
    """The line as a dict; None where it is none."""
    try:
        value = pydantic_core.from_json(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _fault(line: dict[str, Any] | None) -> str | None:
    """What is wrong with a line, as words to append to "damaged"; None where nothing is."""
    from lmx_loadgen.store import lines  # costs time that only a reader should pay

    kind = line.get("type") if line is not None else None
    if line is None or not isinstance(kind, str) or kind not in lines.LINES:
        return ""
    field_name = lines.fault(line)
    return None if field_name is None else f" ({field_name})"
