"""A command that runs beside the load and says how the machine does meanwhile.

It never holds a run up: a thread reads what it prints, which waits until the recorder takes it; that it fails is a line
of the log. It ends with this process, whatever ends that: a shell beside it waits for its own input to end, as it does
also when this process is killed, and then kills their process group.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from lmx_loadgen.observe import macmon
from lmx_loadgen.system.clock import NS, now_ns
from lmx_loadgen.targets.address import is_loopback

_KILLED_WITH_US = 'exec 3<&0 </dev/null; "$@" 3<&- & exec >/dev/null 2>&1; read -r never <&3; kill -9 0'
_MOST_WAITING = 100_000
_MOST_BYTES = 2**16
_SILENT_S = 10.0
_END_WAIT_S = 1.0

# Gives the lines for the event log that have come since it was called last.
Samples = Callable[[], list[dict[str, Any]]]


@contextlib.contextmanager
def observing(addresses: Iterable[str], command: Sequence[str] | None = None) -> Iterator[Samples]:
    """Observe this machine for the length of a block, where one of the servers runs on it and macmon is installed;
    else there are no lines. `command` is one that prints what `macmon pipe` does."""
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
        self._began_ns, self._has_told, self._is_closed = now_ns(), False, False
        self._reader = threading.Thread(target=self._read, daemon=True)
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _KILLED_WITH_US, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},  # without API keys
                start_new_session=True,  # Ctrl-C is for the run, which ends it
            )
            self._reader.start()
        except (OSError, RuntimeError) as error:
            self._tell({"error": f"it could not be started: {error}"})

    def taken(self) -> list[dict[str, Any]]:
        if not self._has_told and now_ns() - self._began_ns > _SILENT_S * NS:
            self._tell({"error": f"it printed nothing that this version reads in {_SILENT_S:.0f} s"})
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def _tell(self, fields: dict[str, Any]) -> None:
        self._has_told = True
        self._lines.append({"type": "sample", "at_ns": now_ns(), "source": macmon.SOURCE, **fields})

    def _read(self) -> None:
        assert self._process.stdout is not None
        words = ""
        while line := self._process.stdout.readline(_MOST_BYTES):
            if (fields := macmon.sample(line)) is not None:
                self._tell({"interval_s": macmon.INTERVAL_S, **fields})
            else:
                words = line.decode(errors="replace").strip()[:200] or words
        if not self._is_closed:
            self._tell({"error": f"it ended before the run did{f': {words}' if words else ''}"})

    def close(self) -> None:
        self._is_closed = True
        if not self._reader.ident:
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_END_WAIT_S)
        self._reader.join(_END_WAIT_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not self._reader.is_alive():
                stream.close()
