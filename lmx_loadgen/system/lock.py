"""One measurement at a time: two at once on one machine slow each other down, and both give wrong figures.

The lock is the kernel's (`flock`) on a file of this user and machine, so that a process that died never blocks the
next. The file itself says who holds it, a JSON line, and then who measures at the same time.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmx_loadgen.errors import Busy
from lmx_loadgen.system import folders, identity

_UNKNOWN: dict[str, Any] = {"pid": None, "started_at": None}


@dataclass(frozen=True)
class Lock:
    """What was found when the lock was asked for.

    `held_by` is the other process that holds it while this one runs too, as {"pid", "started_at"}; None where this
    process holds the lock itself. `problem` says why there is no lock at all.
    """

    path: Path
    held_by: dict[str, Any] | None = None
    problem: str | None = None
    _fd: int | None = field(default=None, repr=False)

    @property
    def warnings(self) -> list[str]:
        """What the user should know before measuring."""
        warnings = []
        if self.problem is not None:
            warnings.append(f"{self.problem}: another run at the same time would not be noticed")
        if self.held_by is not None:
            warnings.append(f"measuring beside another lmx-loadgen {describe(self.held_by)}: both are slower for it")
        return warnings

    def joined(self) -> list[dict[str, Any]]:
        """Who has begun to measure since this process took the lock."""
        return _entries(self._fd)[1:] if self._fd is not None and self.held_by is None else []


@contextlib.contextmanager
def acquire(*, allow_concurrent: bool, folder: Path | None = None) -> Iterator[Lock]:
    """Hold the lock for the length of a block.

    Raises Busy when another process holds it and `allow_concurrent` is not set. A folder that takes no lock is no
    reason not to measure: `problem` then says so.
    """
    path, *former = [(folder or folders.lock_folder()) / f"lock-{name}" for name in identity.known_ids()]
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = _opened(path, os.O_CREAT, stack)
        except OSError as error:
            yield Lock(path, problem=f"no lock could be taken at {path} ({error.strerror or error})")
            return
        found = _lock(path, fd, allow_concurrent)
        for other in former:  # an earlier version's, which may be measuring now
            with contextlib.suppress(OSError):
                held_by = _lock(other, _opened(other, 0, stack), allow_concurrent).held_by
                found = replace(found, held_by=found.held_by or held_by)
        yield found


def holder(folder: Path | None = None) -> dict[str, Any] | None:
    """Who is measuring on this machine now, as {"pid", "started_at"}; None where nobody is, or it cannot be known."""
    for name in identity.known_ids():
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            fd = _opened((folder or folders.lock_folder()) / f"lock-{name}", 0, stack)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return (_entries(fd) or [_UNKNOWN])[0]
    return None


def _opened(path: Path, flags: int, stack: contextlib.ExitStack) -> int:
    """The file, closed with `stack`. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    stack.callback(os.close, fd)
    return fd


def _lock(path: Path, fd: int, allow_concurrent: bool) -> Lock:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = (_entries(fd) or [_UNKNOWN])[0]
        if not allow_concurrent:
            raise Busy(
                f"another lmx-loadgen {describe(other)} is measuring "
                "on this machine, and two runs disturb each other: wait until it has ended, or run "
                "with --allow-concurrent",
                other["started_at"],
            ) from None
        _add_entry(fd)
        return Lock(path, held_by=other, _fd=fd)
    except OSError as error:
        return Lock(path, problem=f"no lock could be taken at {path} ({error.strerror or error})")
    os.ftruncate(fd, 0)
    _add_entry(fd)
    return Lock(path, _fd=fd)


def describe(holder: dict[str, Any]) -> str:
    """Who holds the lock, in brackets."""
    return f"(pid {holder['pid'] or 'unknown'}, started {holder['started_at'] or 'just now'})"


def _add_entry(fd: int) -> None:
    entry = {"pid": os.getpid(), "started_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
        os.write(fd, json.dumps(entry).encode() + b"\n")


def _entries(fd: int) -> list[dict[str, Any]]:
    """Who is in the file, the holder first; what cannot be read is left out."""
    entries = []
    for line in os.pread(fd, 65_536, 0).split(b"\n"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            entries.append({"pid": int(entry["pid"]), "started_at": str(entry["started_at"])[:40]})
    return entries
