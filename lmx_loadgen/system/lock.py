"""One measurement at a time: two at once on one machine slow each other down, and neither's figures are to be believed.

The lock is the kernel's (`flock`) on a file of this user and machine, so that one who died never blocks the next. The
file itself says who holds it, a JSON line, and then who went on beside the holder.
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


@dataclass(frozen=True)
class Lock:
    """What was found when the lock was asked for.

    `beside` is the holder beside whom this process goes on, as {"pid", "started_at"}; None where it holds the lock
    itself. `problem` says why there is no lock at all.
    """

    path: Path
    beside: dict[str, Any] | None = None
    problem: str | None = None
    _fd: int | None = field(default=None, repr=False)

    @property
    def warnings(self) -> list[str]:
        """What whoever measures now should hear."""
        found = [] if self.problem is None else [f"{self.problem}: another run at the same time would not be noticed"]
        if self.beside is not None:
            found.append(f"measuring beside another lmx-loadgen {_named(self.beside)}: both are slower for it")
        return found

    def joined(self) -> list[dict[str, Any]]:
        """Who has begun to measure beside this holder since it began."""
        return _entries(self._fd)[1:] if self._fd is not None and self.beside is None else []


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
        found = _taken(path, fd, allow_concurrent)
        for other in former:  # an earlier version's, which may be measuring now
            with contextlib.suppress(OSError):
                beside = _taken(other, _opened(other, 0, stack), allow_concurrent).beside
                found = replace(found, beside=found.beside or beside)
        yield found


def _opened(path: Path, flags: int, stack: contextlib.ExitStack) -> int:
    """The file, closed with `stack`. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    stack.callback(os.close, fd)
    return fd


def _taken(path: Path, fd: int, allow_concurrent: bool) -> Lock:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = (_entries(fd) or [{"pid": None, "started_at": None}])[0]
        if not allow_concurrent:
            raise Busy(
                f"another lmx-loadgen {_named(holder)} is measuring "
                "on this machine, and two at once disturb each other: wait until it has ended, or measure "
                "all the same with --allow-concurrent"
            ) from None
        _enter(fd)
        return Lock(path, beside=holder, _fd=fd)
    except OSError as error:
        return Lock(path, problem=f"no lock could be taken at {path} ({error.strerror or error})")
    os.ftruncate(fd, 0)
    _enter(fd)
    return Lock(path, _fd=fd)


def _named(holder: dict[str, Any]) -> str:
    return f"(pid {holder['pid'] or 'unknown'}, started {holder['started_at'] or 'just now'})"


def _enter(fd: int) -> None:
    entry = {"pid": os.getpid(), "started_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
        os.write(fd, json.dumps(entry).encode() + b"\n")


def _entries(fd: int) -> list[dict[str, Any]]:
    """Who is in the file, the holder first; what cannot be read is left out."""
    found = []
    for line in os.pread(fd, 65_536, 0).split(b"\n"):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            found.append({"pid": int(entry["pid"]), "started_at": str(entry["started_at"])[:40]})
    return found
