"""The event log: one JSON object a line, appended as things happen, never rewritten.

A header line first, a line for each request as it ends, a line for each segment and for the machine's state before and
after it, an end line. Whatever ends the tool, what was appended stays readable: each line is one write, so only the
last one can be torn.
"""

import contextlib
import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic_core

from lmx_loadgen.errors import ResultError, StorageError

SCHEMA = 1
NAME = "events.jsonl"
_MAX_NOTES = 20
_MAX_DEPTH = 100


class EventLog:
    """An open log. Every method raises StorageError, in one sentence, when the disk will not take what it is given."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    @classmethod
    def create(cls, path: Path) -> "EventLog":
        """Start a new log; the file must not exist yet."""
        try:
            return cls(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644))
        except OSError as error:
            raise StorageError(f"cannot start the event log {path}: {_words(error)}") from None

    def append(self, line: dict[str, Any]) -> None:
        """Write one line, whole, and hand it to the operating system at once."""
        data = _encoded(line)
        written = 0
        try:
            self._check_linked()
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError as error:
            self._take_back(written)
            raise StorageError(
                f"cannot write to {self._path}: {_words(error)}; what was written so far is safe"
            ) from None

    def sync(self) -> None:
        """Make sure the lines survive a power cut, and that the file is still where it was."""
        try:
            os.fsync(self._fd)
            self._check_linked()
        except OSError as error:
            raise StorageError(f"cannot write to {self._path}: {_words(error)}") from None

    def close(self) -> None:
        try:
            self.sync()
        finally:
            os.close(self._fd)

    def _check_linked(self) -> None:
        """A deleted file takes every write without a word."""
        if os.fstat(self._fd).st_nlink == 0:
            raise StorageError(f"{self._path} was deleted while the run was on; nothing more can be stored there")

    def _take_back(self, written: int) -> None:
        """Remove what was written of a line that the disk refused: the next one would run into it."""
        with contextlib.suppress(OSError):
            if written:
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)


@dataclass(frozen=True)
class LogContents:
    """A log as read: lines as dicts, and a note for everything that had to be left out."""

    header: dict[str, Any]
    requests: list[dict[str, Any]] = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    host: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)


def read_log(path: Path) -> LogContents:
    """Read a log, also one whose writer was killed: a torn last line is dropped with a note, as is a damaged one.

    Raises ResultError when there is no log, no header, or a schema this version does not know.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ResultError(f"cannot read {path}: {_words(error)}") from None
    notes: list[str] = []
    last = _parsed(lines[-1]) if lines[-1] else None
    if lines[-1] and last is None:  # a whole line is kept, even where an editor took its newline
        lines.pop()
        notes.append("the last line is torn and was dropped: the run was cut off while writing it")
    parsed = [(number, _parsed(line)) for number, line in enumerate(lines, 1) if line.strip()]
    header = _header(path, parsed)
    found, faults = _sorted_by_type(parsed[1:])
    if len(faults) > _MAX_NOTES:
        faults[_MAX_NOTES:] = [f"{len(faults) - _MAX_NOTES} more lines are damaged and were skipped"]
    return LogContents(
        header=header,
        requests=found["request"],
        segments=found["segment"],
        host=found["host"],
        checks=found["check"],
        end=found["end"][0] if found["end"] else None,
        notes=notes + faults,
    )


def _sorted_by_type(
    parsed: Sequence[tuple[int, dict[str, Any] | None]],
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """The sound lines by their type, and a sentence for each of the others."""
    found: dict[str, list[dict[str, Any]]] = {
        "request": [],
        "segment": [],
        "host": [],
        "check": [],
        "end": [],
    }
    faults = []
    for number, line in parsed:
        fault = _fault(line)
        if line is not None and fault is None and line["type"] in found:
            found[line["type"]].append(line)
        else:
            faults.append(f"line {number} is damaged{fault or ''} and was skipped")
    return found, faults


def _header(path: Path, parsed: Sequence[tuple[int, dict[str, Any] | None]]) -> dict[str, Any]:
    first = parsed[0][1] if parsed else None
    if first is None or first.get("type") != "header":
        raise ResultError(f"{path} has no header line: it is not an event log of lmx-loadgen")
    if first.get("schema") != SCHEMA:
        raise ResultError(f"{path} has schema {str(first.get('schema'))[:20]!r}; this version reads schema {SCHEMA}")
    if (fault := _fault(first)) is not None:
        raise ResultError(f"{path} has a damaged header line{fault}: its run cannot be read")
    return first


def _parsed(line: bytes) -> dict[str, Any] | None:
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


def _encoded(line: dict[str, Any]) -> bytes:
    """The line as bytes that `read_log` takes back. What comes from a server, in free form, is in the dicts."""
    try:
        if not any(_too_deep(part) for part in line.values() if isinstance(part, dict)):
            return pydantic_core.to_json(line, inf_nan_mode="null") + b"\n"
    except (ValueError, UnicodeError):
        pass
    return pydantic_core.to_json(_tame(line), inf_nan_mode="null") + b"\n"


def _too_deep(value: dict[Any, Any] | list[Any] | tuple[Any, ...], depth: int = 1) -> bool:
    """Whether it is nested deeper than the JSON reader goes; the writer goes further."""
    parts = value.values() if isinstance(value, dict) else value
    return depth > _MAX_DEPTH or any(
        _too_deep(part, depth + 1) for part in parts if isinstance(part, dict | list | tuple)
    )


def _tame(value: Any, depth: int = 0) -> Any:
    """The same with what no JSON reader takes back made harmless: half a surrogate pair in a server's words becomes a
    question mark, an abyss of nesting null."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple | dict) and depth > _MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return {_tame(key): _tame(part, depth + 1) for key, part in value.items()}
    return [_tame(part, depth + 1) for part in value] if isinstance(value, list | tuple) else value


def _words(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    return error.strerror or str(error)
