"""Open connections: they write requests, stamp reads, and hand both to the exchange at hand."""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from typing import Any, Protocol, cast

from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.system.sockets import send_at_once
from lmx_loadgen.wire.response import ResponseReader
from lmx_loadgen.wire.stamps import StampedSocket, StampSource
from lmx_loadgen.wire.timing import RequestTiming

_PEEK = socket.MSG_PEEK | socket.MSG_DONTWAIT


class Link(Protocol):
    """An open connection: writes a request, and feeds whatever comes to `exchange`.

    `lost_ns` is when the loop read that the other side had closed it.
    """

    exchange: ResponseReader | None
    closed: bool
    lost_ns: int | None

    def unread(self) -> bytes | None:
        """What a read would find, without waiting: None for nothing, empty for the end of the connection."""

    def write(self, data: bytes, timing: RequestTiming) -> None:
        """Stamp `timing.send_ns` and write."""

    def close(self) -> None:
        """Close at once; the exchange in flight is told nothing."""


class ProtocolLink(asyncio.Protocol):
    """A connection through an asyncio transport (TLS needs one): reads are stamped in `data_received`."""

    def __init__(self) -> None:
        self.exchange: ResponseReader | None = None
        self.closed = False
        self.lost_ns: int | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        at_ns = now_ns()
        if self.exchange is not None:
            self.exchange.feed(data, at_ns)
        else:
            self.close()  # nothing was asked: what comes unasked would be taken for the next answer

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.lost_ns = now_ns()
        if self.exchange is not None:
            self.exchange.feed_eof(exc)

    def unread(self) -> bytes | None:
        assert self._transport is not None
        if self.closed or self._transport.is_closing():
            return b""
        # The transport owns the descriptor, and its own socket object (uvloop's at least) cannot read.
        sock = socket.socket(fileno=self._transport.get_extra_info("socket").fileno())
        try:
            return _peeked(sock)
        finally:
            sock.detach()

    def write(self, data: bytes, timing: RequestTiming) -> None:
        assert self._transport is not None
        timing.send_ns = now_ns()
        self._transport.write(data)

    def close(self) -> None:
        self.closed = True
        self.exchange = None
        if self._transport is not None:
            self._transport.abort()


class SocketLink:
    """A plain TCP connection read straight off its socket, so that the kernel's receive stamp can be had."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, source: StampSource) -> None:
        self.exchange: ResponseReader | None = None
        self.closed = False
        self.lost_ns: int | None = None
        self._loop = loop
        self._sock = sock
        self._reader = StampedSocket(sock, source)
        self._unsent = memoryview(b"")
        loop.add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            data, at_ns = self._reader.read()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(error)
            return
        if not data:
            self._lost(None)
        elif self.exchange is not None:
            self.exchange.feed(data, at_ns)
        else:
            self.close()

    def _lost(self, error: OSError | None) -> None:
        exchange = self.exchange
        self.lost_ns = now_ns()
        self.close()
        if exchange is not None:
            exchange.feed_eof(error)

    def unread(self) -> bytes | None:
        return b"" if self.closed else _peeked(self._sock)

    def write(self, data: bytes, timing: RequestTiming) -> None:
        timing.send_ns = now_ns()
        self._reader.expect_nothing_before(timing.send_ns)
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._lost(error)
            return
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._loop.add_writer(self._sock.fileno(), self._writable)

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(error)
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._loop.remove_writer(self._sock.fileno())

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._sock.close()


def _peeked(sock: socket.socket) -> bytes | None:
    try:
        return sock.recv(1, _PEEK)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


async def connected_socket(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    """The first address of `host` that takes a connection. Raises the last one's OSError."""
    last: OSError = OSError(f"no address for {host}")
    for family, kind, proto, _, address in await _addresses(loop, host, port):
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
            send_at_once(sock)
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise last


async def _addresses(loop: asyncio.AbstractEventLoop, host: str, port: int) -> Sequence[Any]:
    """What `host` stands for. Only a name is looked up, on a thread, which takes milliseconds to start and to end."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def protocol_link(
    loop: asyncio.AbstractEventLoop, host: str, port: int, context: ssl.SSLContext | None
) -> ProtocolLink:
    """A connection through the loop's own transport, over TLS with a `context`. Raises OSError or ssl.SSLError."""
    sock = await connected_socket(loop, host, port)
    try:
        name = None if context is None else host
        _, link = await loop.create_connection(ProtocolLink, sock=sock, ssl=context, server_hostname=name)
    except BaseException:
        sock.close()
        raise
    return link
