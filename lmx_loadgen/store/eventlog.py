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
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pydantic_core

from lmx_loadgen.errors import StorageError
from lmx_loadgen.store.log_reader import parsed
from lmx_loadgen.store.versions import EVENT_LOG
from lmx_loadgen.system.disk import flush_to_disk

SCHEMA = EVENT_LOG.newest
NAME = "events.jsonl"
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
    if parsed(tail) is not None:
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
