"""A server that the tool starts itself, by a command of the user's, and that ends whatever happens."""

import json
import os
import re
import select
import shlex
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import httpx

from lmx_loadgen.errors import InputError, ServerNotStarted
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.system.keeper import POLITE_S

START_S = 600.0
_LOOK_S = 0.2
_ASK_S = 5.0
_LAST_BYTES = 4000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_PORT = "{port}"


@dataclass(frozen=True)
class ServerCommand:
    """What starts a target's server: `NAME='llama-server --port {port} …'`."""

    name: str
    words: tuple[str, ...]

    def on(self, port: int) -> list[str]:
        return [word.replace(_PORT, str(port)) for word in self.words]


def server_command(text: str) -> ServerCommand:
    """One as it is written after `--server-cmd`. Raises InputError."""
    name, sign, command = text.partition("=")
    if not sign or not _NAME.fullmatch(name.strip()):
        raise InputError(f"--server-cmd {text[:80]!r}: use NAME='llama-server -m model.gguf --port {{port}}'")
    try:
        words = tuple(shlex.split(command))
    except ValueError as problem:
        raise InputError(f"--server-cmd {name}: {problem}") from None
    if not any(_PORT in word for word in words):
        raise InputError(f"--server-cmd {name}: the command must have {{port}}, where the tool puts a free port")
    return ServerCommand(name.strip(), words)


class StartedServer:
    """A server while it runs. It ends with the `with` block, and with this process however that ends."""

    def __init__(self, command: ServerCommand, log: Path) -> None:
        self.command = command
        self.log = log
        self.port = free_port()
        self.pid: int | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "StartedServer":
        self._keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", "lmx_loadgen.system.keeper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": _package_path()},
            start_new_session=True,  # Ctrl-C is for this process, which then ends the server
        )
        stdin, stdout = _pipes(self._keeper)
        asked = {"command": self.command.on(self.port), "log": str(self.log)}
        try:
            stdin.write(json.dumps(asked).encode() + b"\n")
            stdin.flush()
            said = stdout.readline().decode(errors="replace").strip()
        except BaseException:
            self.end()
            raise
        kind, _, words = said.partition(" ")
        if kind != "STARTED":
            self.end()
            raise ServerNotStarted(f"{self.command.name}: {self.command.words[0]} cannot be started: {words or said}")
        self.pid = int(words)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End it and all that it started, and wait until it is gone. May be called twice."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        for pipe in _pipes(keeper)[:1]:
            with suppress(OSError):
                pipe.close()
        try:
            keeper.wait(4 * POLITE_S)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
        _pipes(keeper)[1].close()

    def exit_code(self) -> int | None:
        """Its exit code where it has ended by itself."""
        if self._keeper is None:
            return None
        stdout = _pipes(self._keeper)[1]
        readable, _, _ = select.select([stdout], [], [], 0)
        words = stdout.readline().split() if readable else []
        return int(words[1]) if len(words) == 2 and words[0] == b"EXITED" else None

    def raise_if_ended(self) -> None:
        """Raises ServerNotStarted where it has ended by itself, so that what was measured of it is not all there is."""
        if (code := self.exit_code()) is not None:
            raise ServerNotStarted(f"{self.command.name} exited with {code} while it was measured{self._last_words()}")

    def wait_until_ready(self, stop: StopFlag, within_s: float = START_S) -> None:
        """Until it lists its models and does not say that it is still loading. Raises ServerNotStarted, and Interrupted
        where the run is to stop meanwhile."""
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            stop.check()
            if (code := self.exit_code()) is not None:
                raise ServerNotStarted(f"{self.command.name} exited with {code} during its start{self._last_words()}")
            if self._is_ready():
                return
            time.sleep(_LOOK_S)
        raise ServerNotStarted(f"{self.command.name} was not ready within {within_s:g} s{self._last_words()}")

    def _is_ready(self) -> bool:
        try:
            with httpx.Client(timeout=_ASK_S, trust_env=False) as client:
                # A server without a page on its health is as healthy as it is.
                is_loading = client.get(f"{self.url}/health").status_code == 503
                return not is_loading and client.get(f"{self.url}/v1/models").status_code < 500
        except httpx.HTTPError:
            return False

    def _last_words(self) -> str:
        if self.log == Path(os.devnull):
            return "; its output was not kept (--no-text)"
        with suppress(OSError), self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _LAST_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
            if lines:
                return f": {lines[-1][-300:]} (its whole output: {self.log})"
        return ""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _pipes(process: "subprocess.Popen[bytes]") -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def _package_path() -> str:
    known = os.environ.get("PYTHONPATH")
    return str(Path(__file__).resolve().parents[2]) + (os.pathsep + known if known else "")
