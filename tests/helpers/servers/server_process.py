"""Starts an inference server as a child process, waits until it is ready, and ends it."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import httpx

from tests.helpers.paths import ROOT


@dataclass(frozen=True)
class RealServer:
    """A server that is up: its address without `/v1`, the model name it reports, its process id."""

    url: str
    model: str
    pid: int


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_command(module: str) -> list[str]:
    """What starts a module of this package, from the repository's root."""
    return [sys.executable, "-m", f"{__package__}.{module}"]


@contextmanager
def child_server(
    module: str,
    arguments: list[str],
    url: str,
    is_ready: Callable[[str], bool],
    start_within: float,
    environment: dict[str, str] | None = None,
    key: str | None = None,
) -> Iterator[RealServer]:
    """Run `module` (of this package) until the `with` block ends.

    `is_ready(url)` is asked until it is true; it may raise `httpx.TransportError`. `start_within` is in
    seconds. Raises `RuntimeError` with the end of the server's own output when it ends early or is not ready
    in time. `key` is what the server wants to be asked with.
    """
    command = [*server_command(module), *arguments]
    with tempfile.TemporaryFile() as log:
        # The child watches this pipe: it ends with us even if we are killed.
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | (environment or {}),
        )
        try:
            _wait_until_ready(process, url, is_ready, start_within, log)
            yield RealServer(url, _reported_model(url, key), process.pid)
        finally:
            _end(process)


def _wait_until_ready(
    process: subprocess.Popen[bytes],
    url: str,
    is_ready: Callable[[str], bool],
    start_within: float,
    log: IO[bytes],
) -> None:
    deadline = time.monotonic() + start_within
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended with {process.returncode} while starting. {_last_output(log)}")
        try:
            if is_ready(url):
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"The server was not ready within {start_within:.0f} s. {_last_output(log)}")


def _last_output(log: IO[bytes]) -> str:
    log.seek(0)
    return "Its last output:\n" + log.read()[-4000:].decode(errors="replace")


def _reported_model(url: str, key: str | None) -> str:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    reply = httpx.get(f"{url}/v1/models", headers=headers, timeout=30).raise_for_status()
    return str(reply.json()["data"][0]["id"])


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
