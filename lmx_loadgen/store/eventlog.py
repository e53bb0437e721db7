"""The event log: one JSON object a line, appended as things happen, never rewritten.

A header line first, a line for each request as it ends, a line for each segment and for the machine's state before and
after it, an end line. Whatever ends the tool, what was appended stays readable: each line is one write, so only the
last one can be torn.

A run that is taken up again goes on in the same file, after a `resume` line. It names the segments that are done again:
their lines before it stay in the file and count no more. Later times are of that line's clock, and the reader brings
them to the header's.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any

import pydantic_core

from lmx_loadgen.errors import ResultError, StorageError
from lmx_loadgen.profile.load_point import load_point
from lmx_loadgen.store.segment_key import LOAD, segment_key
from lmx_loadgen.store.versions import EVENT_LOG, UnknownVersion
from lmx_loadgen.system.disk import flush_to_disk

# A line of the log as read: see `store.lines` for its fields.
LogLine = Mapping[str, Any]

SCHEMA = EVENT_LOG.newest
NAME = "events.jsonl"
_MAX_NOTES = 20
_MAX_DEPTH = 100
_PIECE = 2**20


class EventLog:
    """An open log. Every method raises StorageError, in one sentence, when the disk will not take what it is given. A
    flush that was only begun is no exception: whoever waits for it hears of it."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        self._flusher = ThreadPoolExecutor(1, "flush")
        self._flush: Future[None] | None = None

    @classmethod
    def create(cls, path: Path) -> "EventLog":
        """Start a new log; the file must not exist yet."""
        with _storing(f"cannot start the event log {path}"):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        _lock(path, fd)
        return cls(path, fd)

    @classmethod
    def reopen(cls, path: Path) -> tuple["EventLog", int]:
        """Reopen a log behind its last whole line; how many bytes of a torn one were cut off."""
        with _storing(f"cannot reopen the event log {path}"):
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            try:
                _lock(path, fd)
                return cls(path, fd), _without_torn_end(fd)
            except (OSError, StorageError):
                os.close(fd)
                raise

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
                f"cannot write to {self._path}: {_os_error_text(error)}; what was written so far is safe"
            ) from None

    def begin_sync(self) -> None:
        """Start to do what `sync` does, and go on meanwhile."""
        self._finish_flush()
        self._flush = self._flusher.submit(flush_to_disk, self._fd)

    def sync(self) -> None:
        """Make sure the lines survive a power cut, and that the file is still where it was."""
        self.begin_sync()
        self._finish_flush()

    def close(self) -> None:
        try:
            self.sync()
        finally:
            self._flusher.shutdown()
            os.close(self._fd)

    def _finish_flush(self) -> None:
        flush, self._flush = self._flush, None
        if flush is not None:
            with _storing(f"cannot write to {self._path}"):
                flush.result()
                self._check_linked()

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
    """A log as read: lines as dicts, and a note for everything that had to be left out.

    `superseded` are the lines, of every type, that a later `resume` or `again` line did away with; their
    `superseded_by` is the attempt of the resume, or None. All times are on the header's clock.
    """

    header: dict[str, Any]
    requests: list[dict[str, Any]] = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)
    end: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    host: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    resumes: list[dict[str, Any]] = field(default_factory=list)
    superseded: list[dict[str, Any]] = field(default_factory=list)
    again: list[dict[str, Any]] = field(default_factory=list)


def read_log(path: Path) -> LogContents:
    """Read a log, also one whose writer was killed: a torn last line is dropped with a note, as is a damaged one.

    Raises ResultError when there is no log, no header, or a schema this version does not know.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ResultError(f"cannot read {path}: {_os_error_text(error)}") from None
    notes: list[str] = []
    last = _parsed(lines[-1]) if lines[-1] else None
    if lines[-1] and last is None:  # a whole line is kept, even where an editor took its newline
        lines.pop()
        notes.append("the last line is torn and was dropped: the run was cut off while writing it")
    parsed = [(number, _parsed(line)) for number, line in enumerate(lines, 1) if line.strip()]
    header, others = _migrated(path, [line for _, line in parsed])
    valid, faults = _valid_lines([(number, line) for (number, _), line in zip(parsed[1:], others, strict=True)])
    if len(faults) > _MAX_NOTES:
        faults[_MAX_NOTES:] = [f"{len(faults) - _MAX_NOTES} more lines are damaged and were skipped"]
    kept, superseded = _without_superseded(valid, header)
    found = {kind: [line for line in kept if line["type"] == kind] for kind in _KINDS}
    return LogContents(
        header=header,
        requests=found["request"],
        segments=found["segment"],
        host=found["host"],
        checks=found["check"],
        samples=[line for line in kept if line["type"] == "sample"],
        end=found["end"][0] if found["end"] else None,
        notes=notes + faults,
        resumes=found["resume"],
        superseded=superseded,
        again=found["again"],
    )


def read_header(path: Path) -> dict[str, Any]:
    """The first line of a log alone. Raises ResultError as `read_log` does."""
    try:
        with path.open("rb") as file:
            first = file.readline()
    except OSError as error:
        raise ResultError(f"cannot read {path}: {_os_error_text(error)}") from None
    return _migrated(path, [_parsed(first)])[0]


_KINDS = ("request", "segment", "host", "check", "end", "resume", "again")


def _valid_lines(lines: Sequence[tuple[int, dict[str, Any] | None]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The sound lines, and a sentence for each of the others."""
    found, faults = [], []
    for number, line in lines:
        fault = _fault(line)
        if line is not None and fault is None and line["type"] != "header":
            found.append(line)
        else:
            faults.append(f"line {number} is damaged{fault or ''} and was skipped")
    return found, faults


def _without_superseded(
    valid: Sequence[dict[str, Any]], header: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines that count, with their times on the header's clock, and those that a resume, or a round measured again,
    did away with: all lines of the segments that are done again, and an end that was none."""
    if all(line["type"] not in ("resume", "again") for line in valid):
        return list(valid), []
    kept: list[dict[str, Any]] = []
    superseded: list[dict[str, Any]] = []
    shift_ns, latest_ns = 0, int(header["clock"]["mono_ns"])
    for line in valid:
        if line["type"] == "resume":
            shift_ns = _shift_ns(line["clock"], header["clock"], latest_ns)
        if line["type"] in ("resume", "again"):
            void = _void_by_resume(line, kept) if line["type"] == "resume" else _void_by_again(line, kept)
            superseded += [one | {"superseded_by": line.get("attempt")} for one in compress(kept, void)]
            kept = [one for one, is_void in zip(kept, void, strict=True) if not is_void]
        shifted = _shifted(line, shift_ns)
        latest_ns = max([latest_ns, *(moment for _, moment in _moments(shifted))])
        kept.append(shifted)
    return kept, superseded


_OF_SEGMENTS = ("request", "segment", "host")


def _void_by_resume(resume: dict[str, Any], kept: Sequence[dict[str, Any]]) -> list[bool]:
    """Which lines a resume does away with: those of segments that are done again, and an end that was none."""
    redo = {segment_key(place) for place in resume["redo"]}
    return [line["type"] == "end" or (line["type"] in _OF_SEGMENTS and segment_key(line) in redo) for line in kept]


def _void_by_again(again: dict[str, Any], kept: Sequence[dict[str, Any]]) -> list[bool]:
    """Which lines count no more since their round is measured again: those of all its targets' load."""
    point = load_point(again["load_point"])
    keys = [segment_key(line) if line["type"] in _OF_SEGMENTS else None for line in kept]
    return [key is not None and (key.load_point, key.block, key.phase) == (point, again["block"], LOAD) for key in keys]


def _shift_ns(clock: dict[str, int], first: dict[str, int], latest_ns: int) -> int:
    """What to add to times of one clock for times of the first. The wall clock ties them together: a monotonic clock
    may have begun anew, or stood still while the machine slept. Where the wall clock was set back in between, what
    came later still stays later."""
    shift_ns = (clock["unix_ns"] - clock["mono_ns"]) - (first["unix_ns"] - first["mono_ns"])
    return max(shift_ns, latest_ns - clock["mono_ns"])


# Of the fields that end in _ns, those that are no moments on the clock: since the request was sent, or for how long.
_SPANS = {"headers_ns", "lag_ns"}


def _moments(line: dict[str, Any]) -> list[tuple[str, int]]:
    """The moments of a line: (field, time), those of fields that later versions add among them."""
    fields = [(name, value) for name, value in line.items() if name.endswith("_ns") and name not in _SPANS]
    return [
        (name, moment)
        for name, value in fields
        for moment in (value if isinstance(value, list | tuple) else [value])
        if isinstance(moment, int)
    ]


def _shifted(line: dict[str, Any], shift_ns: int) -> dict[str, Any]:
    """The line with its moments shifted."""
    if not shift_ns:
        return line
    shifted: dict[str, Any] = {}
    for name, moment in _moments(line):
        several = isinstance(line[name], list | tuple)
        shifted[name] = [*shifted.get(name, []), moment + shift_ns] if several else moment + shift_ns
    return line | shifted


def _migrated(path: Path, lines: Sequence[dict[str, Any] | None]) -> tuple[dict[str, Any], list[dict[str, Any] | None]]:
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
    return pydantic_core.to_json(_readable_again(line), inf_nan_mode="null") + b"\n"


def _too_deep(value: dict[Any, Any] | list[Any] | tuple[Any, ...], depth: int = 1) -> bool:
    """Whether it is nested deeper than the JSON reader goes; the writer goes further."""
    parts = value.values() if isinstance(value, dict) else value
    return depth > _MAX_DEPTH or any(
        _too_deep(part, depth + 1) for part in parts if isinstance(part, dict | list | tuple)
    )


def _readable_again(value: Any, depth: int = 0) -> Any:
    """The same with what no JSON reader takes back made harmless: half a surrogate pair in a server's words becomes a
    question mark, an abyss of nesting null."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple | dict) and depth > _MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return {_readable_again(key): _readable_again(part, depth + 1) for key, part in value.items()}
    return [_readable_again(part, depth + 1) for part in value] if isinstance(value, list | tuple) else value


def _lock(path: Path, fd: int) -> None:
    """One writer at a time. A file system that knows no locks has to do without."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(f"{path} is still being written by another lmx-loadgen: wait until it has ended") from None
    except OSError:
        pass


def _without_torn_end(fd: int) -> int:
    """Cut off what stands behind the last whole line, and see to it that this one ends; the bytes cut off."""
    size = os.fstat(fd).st_size
    tail = _behind_last_newline(fd, size)
    if not tail:
        return 0
    if _parsed(tail) is not None:
        os.write(fd, b"\n")
        return 0
    os.ftruncate(fd, size - len(tail))
    return len(tail)


def _behind_last_newline(fd: int, size: int) -> bytes:
    """What stands behind the last newline of a file, read from its end: one read brings 2 GiB at most."""
    pieces: list[bytes] = []
    while size and (not pieces or b"\n" not in pieces[-1]):
        start = max(0, size - _PIECE)
        pieces.append(os.pread(fd, size - start, start))
        size = start
    return b"".join(reversed(pieces)).rpartition(b"\n")[2]


@contextlib.contextmanager
def _storing(refusal: str) -> Iterator[None]:
    """What the disk will not do is a StorageError that begins with `refusal`."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{refusal}: {_os_error_text(error)}") from None


def _os_error_text(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "the disk is full"
    return error.strerror or str(error)
