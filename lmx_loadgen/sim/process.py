"""The simulator in a process of its own, seen from its parent."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.sim.settings import SimSettings

START_S = 20.0
STOP_S = 5.0
PACKAGE_ROOT = Path(__file__).resolve().parents[2]


class SimProcess:
    """A running simulator. It ends with `stop`, at the end of a `with` block, or when this process dies."""

    def __init__(self, process: "subprocess.Popen[bytes]", ready: dict[str, Any], log_path: Path | None) -> None:
        self._process = process
        self.url: str = ready["url"]
        self.port: int = ready["port"]
        self.pid: int = ready["pid"]
        self.stamps: str = ready["stamps"]
        self.loop: str = ready["loop"]
        self.log_path = log_path

    @property
    def base_url(self) -> str:
        """The address of its OpenAI endpoints."""
        return f"{self.url}/v1"

    def flush(self) -> None:
        """Every response that has ended is in the log when this returns. Raises LoadgenError."""
        stdin, stdout = _pipes(self._process)
        with suppress(OSError, ValueError):  # ValueError: stopped before
            stdin.write(b"flush\n")
            stdin.flush()
            if _read_line(stdout, STOP_S) == b"FLUSHED":
                return
        raise LoadgenError("the simulator did not answer; it may have been killed")

    def stop(self) -> None:
        """End it, and wait until its log is complete. May be called twice."""
        stdin, stdout = _pipes(self._process)
        with suppress(OSError):
            stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_S)
        stdout.close()

    def __enter__(self) -> "SimProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class LaunchedSim:
    """A simulator that is starting. `ready` waits for it; `close` ends one that nobody waits for any more."""

    def __init__(self, settings: SimSettings, environment: Mapping[str, str] | None = None) -> None:
        environment = dict(os.environ if environment is None else environment)
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = str(PACKAGE_ROOT) + (os.pathsep + known if known else "")
        self._settings = settings
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process's start
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, "-P", "-m", "lmx_loadgen.sim"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which still wants its answers and the log
        )

    def ready(self) -> SimProcess:
        """The simulator, once it listens. To be called once. Raises LoadgenError when it does not start."""
        process, self._process = self._process, None
        assert process is not None
        try:
            with self._complaints:
                ready = _wait_until_ready(process, self._settings, self._complaints)
        except BaseException:
            _give_up(process)
            raise
        log = self._settings.log
        return SimProcess(process, ready, None if log is None else Path(log))

    def close(self) -> None:
        if self._process is not None:
            _give_up(self._process)
            self._complaints.close()
            self._process = None


def start(settings: SimSettings | None = None, environment: Mapping[str, str] | None = None) -> SimProcess:
    """Start a simulator and wait until it listens. Raises LoadgenError when it does not. `environment` is the
    process's own, by default this one's."""
    return LaunchedSim(settings or SimSettings(), environment).ready()


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", settings: SimSettings, complaints: IO[bytes]
) -> dict[str, Any]:
    stdin, stdout = _pipes(process)
    with suppress(OSError):
        stdin.write(settings.to_json().encode() + b"\n")
        stdin.flush()
    line = _read_line(stdout, START_S)
    if line.startswith(b"READY "):
        ready: dict[str, Any] = json.loads(line[6:])
        return ready
    process.kill()
    process.wait(STOP_S)
    complaints.seek(0)
    reply = complaints.read().decode(errors="replace").strip().splitlines()
    raise LoadgenError(reply[-1] if reply else f"the simulator did not start within {START_S:.0f} s")


def _give_up(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait(STOP_S)
    for pipe in _pipes(process):
        with suppress(OSError):
            pipe.close()


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _read_line(stream: IO[bytes], seconds: float) -> bytes:
    """One line, or what came of it in time. Byte by byte, so that nothing more waits in a buffer unseen."""
    deadline = time.monotonic() + seconds
    line = bytearray()
    while (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([stream], [], [], left)
        byte = os.read(stream.fileno(), 1) if readable else b""
        if byte in (b"", b"\n"):
            break
        line += byte
    return bytes(line)
