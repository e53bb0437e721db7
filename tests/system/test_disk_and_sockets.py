"""What macOS does otherwise with files and sockets, played by fakes: full syncs, resets, the local network."""

import errno
import fcntl
import os
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from lmx_loadgen.sim.server import _accept
from lmx_loadgen.store.eventlog import EventLog
from lmx_loadgen.system import disk
from lmx_loadgen.system.local_network import privacy_hint
from lmx_loadgen.system.sockets import send_at_once
from lmx_loadgen.wire.connection import connected_socket


class Fcntl:
    """macOS's full sync, as number 51; `refuses` plays a file system without it."""

    def __init__(self, refuses: bool) -> None:
        self.refuses = refuses
        self.asked: list[tuple[str, int]] = []

    def fcntl(self, fd: int, command: int) -> int:
        self.asked.append(("full", command))
        if self.refuses:
            raise OSError(errno.ENOTSUP, "not supported")
        return 0

    def fsync(self, fd: int) -> None:
        self.asked.append(("fsync", 0))


@pytest.mark.parametrize(
    ("number", "refuses", "asked"),
    [(51, False, [("full", 51)]), (51, True, [("full", 51), ("fsync", 0)]), (None, False, [("fsync", 0)])],
)
def test_lines_reach_the_disk_itself(
    number: int | None, refuses: bool, asked: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fcntl(refuses)
    log = EventLog.create(tmp_path / "events.jsonl")
    monkeypatch.setattr(disk, "_FULL_SYNC", number)
    monkeypatch.setattr(fcntl, "fcntl", fake.fcntl)
    monkeypatch.setattr(os, "fsync", fake.fsync)
    log.sync()

    assert fake.asked == asked


class ResetByPeer(socket.socket):
    """A socket whose peer has gone: macOS refuses options then."""

    def setsockopt(self, *arguments: object) -> None:  # type: ignore[override]
        if arguments[:2] == (socket.IPPROTO_TCP, socket.TCP_NODELAY):
            raise OSError(errno.EINVAL, "Invalid argument")
        super().setsockopt(*arguments)  # type: ignore[arg-type]


def test_an_option_refused_after_a_reset_is_a_reset_and_closes_the_socket() -> None:
    sock = ResetByPeer()
    with pytest.raises(ConnectionResetError, match="reset by peer"):
        send_at_once(sock)
    assert sock.fileno() == -1


def test_a_client_whose_server_resets_at_once_gets_a_connect_error(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    def fresh(*arguments: int) -> socket.socket:
        made.append(ResetByPeer(*arguments))
        return made[-1]

    async def connect(port: int) -> None:
        import asyncio

        with pytest.raises(ConnectionResetError):
            await connected_socket(asyncio.get_running_loop(), "127.0.0.1", port)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr("lmx_loadgen.wire.connection.socket.socket", fresh)
        anyio.run(connect, listener.getsockname()[1])
    assert [sock.fileno() for sock in made[-1:]] == [-1]


@pytest.mark.parametrize(("host", "is_looked_up"), [("127.0.0.1", False), ("localhost", True)])
def test_only_a_name_is_looked_up(host: str, is_looked_up: bool) -> None:
    """A lookup starts a thread, which costs a check milliseconds."""
    looked_up: list[str] = []

    async def connect(port: int) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        plain = loop.getaddrinfo

        async def getaddrinfo(name: str, *arguments: Any, **options: Any) -> Any:
            looked_up.append(name)
            return await plain(name, *arguments, **options)

        loop.getaddrinfo = getaddrinfo  # type: ignore[method-assign]
        (await connected_socket(loop, host, port)).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        anyio.run(connect, listener.getsockname()[1])
    assert looked_up == ([host] if is_looked_up else [])


def test_the_simulator_goes_on_accepting_after_such_a_client() -> None:
    gone, well = ResetByPeer(), socket.socket()
    queue = [gone, well]

    class Listener:
        def accept(self) -> tuple[socket.socket, str]:
            if not queue:
                raise BlockingIOError
            return queue.pop(0), ""

    class Loop:
        def add_reader(self, *arguments: object) -> None:
            pass

    class App:
        def handle(self, *arguments: object) -> None:
            pass

    connections: set[object] = set()
    _accept(Loop(), Listener(), App(), connections)  # type: ignore[arg-type]

    assert len(connections) == 1
    assert gone.fileno() == -1
    well.close()


def unreachable(number: int) -> httpx.ConnectError:
    """An error as httpx raises it: the system's own is at the end of a chain, one of several."""
    attempts = ExceptionGroup("attempts", [OSError(errno.ECONNREFUSED, "refused"), OSError(number, "No route to host")])
    try:
        try:
            raise OSError("All connection attempts failed") from attempts
        except OSError as error:
            raise httpx.ConnectError("All connection attempts failed") from error
    except httpx.ConnectError as error:
        return error


def test_no_route_to_a_machine_nearby_names_the_privacy_rule_on_macos() -> None:
    assert "Privacy & Security > Local Network" in privacy_hint(unreachable(65), "darwin")
    assert privacy_hint(unreachable(61), "darwin") == ""
    assert privacy_hint(unreachable(65), "linux") == ""
    assert sys.platform == "darwin" or privacy_hint(unreachable(65)) == ""


def test_public_authorities_are_trusted_whatever_the_system_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """python.org's Python for macOS begins with no authorities at all."""
    import ssl

    from lmx_loadgen.wire import tls

    monkeypatch.setattr(ssl, "create_default_context", lambda **kinds: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    tls._public.cache_clear()
    trusted = tls.tls_context().get_ca_certs()
    tls._public.cache_clear()

    assert len(trusted) > 50
