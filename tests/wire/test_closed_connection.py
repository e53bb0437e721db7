"""Connections that the server closes after an answer: noticed before the next request is written."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import trustme

from lmx_loadgen.load.sender import build, perform
from lmx_loadgen.wire.ending import ServerHabits
from lmx_loadgen.wire.stamps import StampSource
from lmx_loadgen.wire.timing import Limits, RequestTiming
from lmx_loadgen.wire.transport import StampedTransport
from tests.helpers.scripted import CLOSE, HEAD, RESET, chunked, delta, serving

LIMITS = Limits(connect=60, first_token=60, gap=60, request=60)
ANSWER = HEAD + chunked(delta("a") + b"data: [DONE]\n\n")
SOON_S = 20


@dataclass
class ClosingServer:
    """Answers one request on each connection, says `last`, and closes it, all in a thread of its own: `closed` is set
    when that has happened, whether or not the client's loop has turned."""

    listener: socket.socket
    context: ssl.SSLContext | None = None
    last: bytes = b""
    resets: bool = False
    closed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    connections: int = 0

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                if self.context is not None:
                    connection = self.context.wrap_socket(connection, server_side=True)
                self.connections += 1
                with connection:
                    if not connection.recv(65536):
                        continue
                    connection.sendall(ANSWER)
                    self.go.acquire()
                    if self.last:
                        connection.sendall(self.last)
                    if self.resets:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.closed.release()

    def close_now(self) -> None:
        """Returns when the connection is closed; the caller's loop does not turn meanwhile."""
        self.go.release()
        assert self.closed.acquire(timeout=SOON_S)


@contextlib.contextmanager
def closing(**how: object) -> Iterator[ClosingServer]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ClosingServer(listener, **how)  # type: ignore[arg-type]
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            for _ in range(10):
                server.go.release()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(SOON_S)


async def ask(transport: StampedTransport, url: str) -> RequestTiming:
    async with asyncio.timeout(SOON_S):
        return await perform(transport, build(url, None, b"{}", LIMITS))


HOW = {
    "end of file": {},
    "reset": {"resets": True},
    "a late refusal": {"last": b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"},
    "late line ends": {"last": b"\r\n"},
}


@pytest.mark.parametrize("how", list(HOW))
def test_a_connection_that_was_closed_is_not_written_to(how, stamps, on_loop):
    async def work():
        with closing(**HOW[how]) as server:
            transport = StampedTransport(stamps=stamps)
            url = f"http://127.0.0.1:{server.port}/v1/chat/completions"
            traces = []
            for _ in range(3):
                traces.append(await ask(transport, url))
                server.close_now()
            await transport.aclose()
        assert server.connections == 3
        assert [(timing.failure, timing.reconnected, timing.notes) for timing in traces] == [(None, False, [])] * 3
        for timing in traces:
            assert timing.connect_start_ns <= timing.connect_end_ns <= timing.send_ns
            assert (timing.status, timing.body) == (200, delta("a") + b"data: [DONE]\n\n")

    on_loop(work())


def test_a_tls_connection_that_was_closed_is_not_written_to(on_loop):
    async def work():
        ca = trustme.CA()
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost").configure_cert(server_context)
        client_context = ssl.create_default_context()
        ca.configure_trust(client_context)
        with closing(context=server_context) as server:
            transport = StampedTransport(ssl_context=client_context)
            url = f"https://localhost:{server.port}/v1/chat/completions"
            traces = []
            for _ in range(3):
                traces.append(await ask(transport, url))
                server.close_now()
            await transport.aclose()
        assert server.connections == 3
        assert [(timing.failure, timing.reconnected) for timing in traces] == [(None, False)] * 3
        assert all(timing.connect_end_ns is not None for timing in traces)

    on_loop(work())


def test_a_tls_connection_that_stays_open_is_kept(on_loop):
    async def work():
        ca = trustme.CA()
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost").configure_cert(server_context)
        client_context = ssl.create_default_context()
        ca.configure_trust(client_context)
        async with serving([ANSWER], tls=server_context) as server:
            transport = StampedTransport(ssl_context=client_context)
            url = f"https://localhost:{server.port}/v1/chat/completions"
            await transport.connect(build(url, None, b"", LIMITS).url, LIMITS)
            traces = [await ask(transport, url) for _ in range(3)]
            await transport.aclose()
        assert server.connections == 1
        assert [timing.failure for timing in traces] == [None] * 3

    on_loop(work())


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_an_end_that_crosses_the_request_is_still_said_and_learned(end, stamps, on_loop):
    """The server reads the second request and then hangs up: only here was a request sent twice."""

    async def work():
        habits = ServerHabits()
        async with serving([ANSWER], [end], [ANSWER]) as server:
            transport = StampedTransport(stamps=stamps, habits=habits)
            first, second = [await ask(transport, server.url) for _ in range(2)]
            await transport.aclose()
        assert (first.reconnected, second.reconnected) == (False, True)
        assert (second.failure, len(server.requests)) == (None, 3)
        assert habits.one_answer_each

    on_loop(work())


def test_who_closes_after_each_answer_gets_a_new_connection_for_each(stamps, on_loop):
    """Its end would cross the next request again and again. All slots learn it from one."""

    async def work():
        habits = ServerHabits()
        async with serving([ANSWER], [CLOSE], [ANSWER]) as server:
            slots = [StampedTransport(stamps=stamps, habits=habits) for _ in range(2)]
            for slot in slots:
                for _ in range(2):
                    await ask(slot, server.url)
            before = server.connections
            again = [await ask(slot, server.url) for slot in slots for _ in range(2)]
            for slot in slots:
                await slot.aclose()
        assert server.connections == before + 4
        assert not any(timing.reconnected for timing in again)
        assert all(timing.connect_end_ns is not None for timing in again)

    on_loop(work())


def test_a_server_that_kept_a_connection_once_is_not_taken_for_one_that_closes_each(stamps, on_loop):
    async def work():
        habits = ServerHabits()
        async with serving([ANSWER], [ANSWER], [CLOSE], [ANSWER]) as server:
            transport = StampedTransport(stamps=stamps, habits=habits)
            traces = [await ask(transport, server.url) for _ in range(5)]
            await transport.aclose()
        assert [timing.reconnected for timing in traces] == [False, False, True, False, False]
        assert not habits.one_answer_each
        assert server.connections == 2

    on_loop(work())


def test_a_kept_refusal_says_nothing_of_streams(on_loop):
    """llama.cpp keeps a connection after an error and closes it after a stream."""

    async def work():
        refusal = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}"
        habits = ServerHabits()
        async with serving([refusal], [ANSWER], [CLOSE], [ANSWER]) as server:
            transport = StampedTransport(stamps=StampSource.LOOP, habits=habits)
            for _ in range(3):
                await ask(transport, server.url)
            await transport.aclose()
        assert habits.one_answer_each

    on_loop(work())
