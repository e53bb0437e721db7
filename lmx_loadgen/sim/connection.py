"""One accepted socket: requests in with the time they were there, bytes out with the time they were sent.

The socket is ours, not a transport's: `recvmsg` can then bring the kernel's own receive stamp, and every time in the
truth log is taken immediately before the `send` call that it describes. None of this is shared with the client's own
reading of stamps: a ruler must not be made of what it measures.
"""

import contextlib
import socket
import struct
import sys
import time
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import httptools

from lmx_loadgen.system.clock import NS, now_ns

# Linux: SO_TIMESTAMPNS, whose control message has the same number and holds a native `struct timespec`.
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("@ll")
READ_SIZE = 64 * 1024
LARGEST_BODY = 64 * 1024 * 1024

REASONS = {
    200: "OK", 201: "Created", 202: "Accepted", 206: "Partial Content", 302: "Found", 400: "Bad Request",
    401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 409: "Conflict", 413: "Content Too Large",
    422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


@dataclass(slots=True)
class HttpRequest:
    """A whole request. `received_ns` is when its last byte was there, `read_ns` when Python read it."""

    method: str
    path: str
    headers: dict[str, str]  # lower-case names
    body: bytes
    keep_alive: bool
    received_ns: int
    received_how: str
    read_ns: int


@dataclass(slots=True)
class SentChunks:
    """What became of the writes of one response: [at_ns, events, tokens] each, and how many the socket put off."""

    writes: list[tuple[int, int, int]] = field(default_factory=list)
    deferred: int = 0


def use_kernel_stamps(listener: socket.socket) -> bool:
    """Ask the kernel to stamp what accepted connections receive. False where it cannot (macOS has none for TCP)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def stamped_at(ancillary: list[tuple[int, int, bytes]], read_ns: int, wall_ns: int) -> int | None:
    """The kernel's receive stamp on the monotonic clock, by its age when both clocks were read; None without one."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack_from(data)
            age = wall_ns - (seconds * NS + nanoseconds)
            # A calendar clock that stepped in between makes the age absurd.
            return read_ns - age if 0 <= age < 60 * NS else None
    return None


class Connection:
    """Reads requests one after another, hands each to `handle`, and writes what it is told."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        sock: socket.socket,
        handle: Callable[["Connection", HttpRequest], None],
        forget: Callable[["Connection"], None],
    ) -> None:
        self._loop, self._sock, self._handle, self._forget = loop, sock, handle, forget
        self._fd = sock.fileno()
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._inbox: deque[HttpRequest] = deque()
        self._answering = False
        self._keep_alive = False
        self.gone = False
        self.on_lost: Callable[[], None] | None = None
        self.on_drained: Callable[[], None] | None = None
        self.sent = SentChunks()
        # Bytes the socket would not take yet, and where in them which write ends.
        self._pending = bytearray()
        self._flushed = 0
        self._marks: deque[tuple[int, int, int]] = deque()
        self._read_ns = self._received_ns = 0
        self._received_how = "loop"
        loop.add_reader(self._fd, self._readable)

    # Reading

    def _readable(self) -> None:
        try:
            data, ancillary, _, _ = self._sock.recvmsg(READ_SIZE, 128)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lose()
            return
        if not data:
            self._lose()
            return
        self._read_ns, wall_ns = _both_clocks()
        stamp = stamped_at(ancillary, self._read_ns, wall_ns)
        self._received_ns = self._read_ns if stamp is None else stamp
        self._received_how = "loop" if stamp is None else "kernel"
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except (httptools.HttpParserError, ValueError):
            self._sock_send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._lose()
            return
        self._next_request()

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._url, self._headers, self._body = b"", dict[str, str](), bytearray()

    def on_url(self, url: bytes) -> None:
        """Called by the parser, perhaps in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser: clients with a long body may be waiting for leave to send it."""
        if self._headers.get("expect", "").lower() == "100-continue":
            self._sock_send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Called by the parser, perhaps in pieces."""
        self._body += body
        if len(self._body) > LARGEST_BODY:
            raise ValueError("body too large")

    def on_message_complete(self) -> None:
        """Called by the parser: the request is whole, and the read that completed it gives its time."""
        assert self._parser is not None
        request = HttpRequest(
            method=self._parser.get_method().decode("latin-1"),
            path=self._url.split(b"?")[0].decode("latin-1"),
            headers=self._headers,
            body=bytes(self._body),
            keep_alive=self._parser.should_keep_alive(),
            received_ns=self._received_ns,
            received_how=self._received_how,
            read_ns=self._read_ns,
        )
        self._inbox.append(request)

    def _next_request(self) -> None:
        if self._inbox and not self._answering and not self.gone:
            request = self._inbox.popleft()
            self._answering = True
            self._keep_alive = request.keep_alive
            self.sent = SentChunks()
            try:
                self._handle(self, request)
            except BaseException:
                self.close()  # a fault of ours must not leave the client waiting
                raise

    # Writing

    @property
    def backlog(self) -> int:
        """Bytes the socket has not taken yet."""
        return len(self._pending)

    def write(self, data: bytes, events: int = 0, tokens: int = 0) -> None:
        """Send, and note the time and what it completed. What the socket does not take now is sent when it does."""
        if self.gone or not data:
            return
        if self._pending:
            self._put_off(data, events, tokens)
            return
        stamp = now_ns()
        taken = self._sock_send(data)
        if taken == len(data):
            self.sent.writes.append((stamp, events, tokens))
        elif not self.gone:
            self._put_off(data[taken:], events, tokens)
            self._loop.add_writer(self._fd, self._writable)

    def _put_off(self, data: bytes, events: int, tokens: int) -> None:
        self._pending += data
        self._marks.append((self._flushed + len(self._pending), events, tokens))
        self.sent.deferred += 1

    def _sock_send(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self._lose()
            return 0

    def _writable(self) -> None:
        stamp = now_ns()
        with memoryview(self._pending) as view:
            taken = self._sock_send(view[: 1 << 20])
        if self.gone:
            return
        del self._pending[:taken]
        self._flushed += taken
        while self._marks and self._marks[0][0] <= self._flushed:
            _, events, tokens = self._marks.popleft()
            self.sent.writes.append((stamp, events, tokens))
        if not self._pending:
            self._loop.remove_writer(self._fd)
            self._drained()

    def when_drained(self, call: Callable[[], None]) -> None:
        """Call once all bytes are in the socket: now, if they are."""
        if self._pending:
            self.on_drained = call
        else:
            call()

    def _drained(self) -> None:
        call, self.on_drained = self.on_drained, None
        if call is not None:
            call()

    # Ending

    def done(self, close: bool = False) -> None:
        """The response has ended: take the next request, or close where either side wants that."""
        self._answering = False
        self.on_lost = None
        if close or not self._keep_alive:
            self.when_drained(self.close)
        elif self._inbox:
            self._loop.call_soon(self._next_request)

    def shut_write(self) -> None:
        """Send end of file but go on reading."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close so that the client gets a connection reset."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close for good. May be called twice."""
        if self.gone:
            return
        self.gone = True
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._parser = None  # it holds this connection: without this line the two would wait for the collector
        self.on_drained = None
        self._sock.close()
        self._forget(self)

    def _lose(self) -> None:
        """The client has gone."""
        if not self.gone:
            lost, self.on_lost = self.on_lost, None
            self.close()
            if lost is not None:
                lost()


def _both_clocks() -> tuple[int, int]:
    """(monotonic, wall) ns of one moment; read again when this process was held up between the two."""
    for _ in range(5):
        before, wall_ns, after = now_ns(), time.time_ns(), now_ns()
        if after - before < 20_000:
            break
    return after, wall_ns
