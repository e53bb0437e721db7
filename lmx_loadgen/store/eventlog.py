"""The event log: one JSON object a line, appended as things happen, never rewritten.

A header line first, a line for each request as it ends, a line for each segment, an end line. Whatever ends the tool,
what was appended stays readable: each line is one write, so only the last one can be torn.
"""

import errno
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic_core

from lmx_loadgen.errors import ResultError, StorageError

SCHEMA = 1
NAME = "events.jsonl"


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
        data = memoryview(_encoded(line))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise StorageError(
                f"cannot write to {self._path}: {_words(error)}; what was written so far is safe"
            ) from None

    def sync(self) -> None:
        """Make sure the lines survive a power cut, and that the file is still where it was."""
        try:
            os.fsync(self._fd)
            gone = os.fstat(self._fd).st_nlink == 0
        except OSError as error:
            raise StorageError(f"cannot write to {self._path}: {_words(error)}") from None
        if gone:
            raise StorageError(f"{self._path} was deleted while the run was on; nothing more can be stored there")

    def close(self) -> None:
        try:
            self.sync()
        finally:
            os.close(self._fd)


@dataclass(frozen=True)
class LogContents:
    """A log as read: lines as dicts, and a note for everything that had to be left out."""

    header: dict[str, Any]
    requests: list[dict[str, Any]] = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)


def read_log(path: Path) -> LogContents:
    """Read a log, also one whose writer was killed: a torn last line is dropped with a note.

    Raises ResultError when there is no log, no header, or a schema this version does not know.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ResultError(f"cannot read {path}: {_words(error)}") from None
    notes: list[str] = []
    if lines[-1]:
        notes.append("the last line is torn and was dropped: the run was cut off while writing it")
    parsed = [_parsed(line, number, notes) for number, line in enumerate(lines[:-1], 1) if line.strip()]
    whole = [line for line in parsed if line is not None]
    header = whole[0] if whole and whole[0].get("type") == "header" else None
    if header is None:
        raise ResultError(f"{path} has no header line: it is not an event log of lmx-loadgen")
    if header.get("schema") != SCHEMA:
        raise ResultError(f"{path} has schema {header.get('schema')!r}; this version reads schema {SCHEMA}")
    return LogContents(
        header=header,
        requests=[line for line in whole if line.get("type") == "request"],
        segments=[line for line in whole if line.get("type") == "segment"],
        end=next((line for line in whole if line.get("type") == "end"), None),
        notes=notes,
    )


def _parsed(line: bytes, number: int, notes: list[str]) -> dict[str, Any] | None:
    try:
        value = pydantic_core.from_json(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        notes.append(f"line {number} is damaged and was skipped")
        return None
    return value


def _encoded(line: dict[str, Any]) -> bytes:
    try:
        return pydantic_core.to_json(line, inf_nan_mode="null") + b"\n"
    except (ValueError, UnicodeError):  # half a surrogate pair somewhere in a server's words
        return json.dumps(line).encode() + b"\n"


def _words(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    return error.strerror or str(error)
