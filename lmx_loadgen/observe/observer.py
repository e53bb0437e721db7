"""A command that runs beside the load and says how the machine does meanwhile.

It runs in the background and never holds a run up: what it prints is read by a thread and waits until the recorder
takes it; that it fails is a line of the log. It ends with this process, whatever ends that: a shell beside it waits for
its own input to end, as it does also when this process is killed, and then kills their process group.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from lmx_loadgen.load.driver import last_words
from lmx_loadgen.observe import macmon
from lmx_loadgen.system.clock import NS, now_ns
from lmx_loadgen.targets.address import is_loopback

_KILLED_WITH_US = 'exec 3<&0 </dev/null; "$@" 3<&- & exec >/dev/null; read -r never <&3; kill -9 0'
_MOST_WAITING = 100_000
_MOST_BYTES = 2**16
_LAST_SAID = 4000
_SILENT_S = 10.0
_END_WAIT_S = 1.0

# Gives the lines for the event log that have come since it was called last.
Samples = Callable[[], list[dict[str, Any]]]


@contextlib.contextmanager
def observing(addresses: Iterable[str], command: Sequence[str] | None = None) -> Iterator[Samples]:
    """Observe this machine for the length of a block, where one of the servers runs on it and something is installed
    that tells; nothing else gives no lines. `command` is one that prints what `macmon pipe` does."""
    command = command or macmon.command()
    if command is None or not any(map(is_loopback, addresses)):
        yield list
        return
    observer = _Observer(command)
    try:
        yield observer.taken
    finally:
        observer.close()


class _Observer:
    def __init__(self, command: Sequence[str]) -> None:
        self._lines: deque[dict[str, Any]] = deque(maxlen=_MOST_WAITING)
        self._began_ns = now_ns()
        self._has_told = self._is_closed = False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = self._started(command)
        except OSError as error:
            self._tell(f"it could not be started: {error.strerror or error}")
        self._reader = threading.Thread(target=self._read, name="observer", daemon=True)
        self._reader.start()

    def _started(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["/bin/sh", "-c", _KILLED_WITH_US, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},  # no key is its business
            start_new_session=True,  # Ctrl-C is for the run, which ends it
        )

    def taken(self) -> list[dict[str, Any]]:
        if not self._has_told and now_ns() - self._began_ns > _SILENT_S * NS:
            self._tell(f"it printed nothing that this version reads in {_SILENT_S:.0f} s")
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        while line := self._process.stdout.readline(_MOST_BYTES):
            at_ns, fields = now_ns(), macmon.sample(line)
            if fields is not None:
                self._has_told = True
                self._lines.append(self._line(at_ns) | {"interval_s": macmon.INTERVAL_S, **fields})
        if not self._is_closed:
            self._stderr.seek(0)
            words = last_words(self._stderr.read()[-_LAST_SAID:].decode(errors="replace"))
            self._tell(f"it ended before the run did{f': {words[:200]}' if words else ''}")

    def _tell(self, error: str) -> None:
        self._has_told = True
        self._lines.append(self._line(now_ns()) | {"error": error})

    def _line(self, at_ns: int) -> dict[str, Any]:
        return {"type": "sample", "at_ns": at_ns, "source": macmon.SOURCE}

    def close(self) -> None:
        self._is_closed = True
        process = self._process
        if process is not None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_WAIT_S)
        self._reader.join(_END_WAIT_S)
        if not self._reader.is_alive():
            for stream in (self._stderr, *((process.stdin, process.stdout) if process is not None else ())):
                if stream is not None:
                    stream.close()
