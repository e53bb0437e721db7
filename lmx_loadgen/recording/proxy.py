"""Passes bytes between the apps of this machine and one server, as they come; what passed goes to a listener.

The answer is not touched: each read is written on at once, and parsed beside that. Of a request only `Host` and the
path's beginning are made to fit the server.
"""

import asyncio
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httptools

from lmx_loadgen.recording.exchange import Delays, PassedRequest
from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.targets.address import is_loopback

_MOST_REQUEST = 64 * 1024 * 1024
_HOST_LINE = re.compile(rb"(?im)^host:[^\r\n]*")
_REQUEST_LINE = re.compile(rb"\A(\S+) (\S+)")
_CONNECT_WITHIN_S = 10.0

Listener = Callable[[str, PassedRequest], None]  # called with "asked" and with "answered"


@dataclass(frozen=True)
class Upstream:
    """The server by its base address, which ends in `/v1` or whatever path its API has."""

    base_url: str
    tls: ssl.SSLContext | None = None

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.base_url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def prefix(self) -> str:
        """What its paths begin with before `/v1`."""
        return urlsplit(self.base_url).path.removesuffix("/v1")

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc


class Proxy:
    """Listens on a port of 127.0.0.1. `passed` is told of every request as it is sent on and as its answer ends."""

    def __init__(self, upstream: Upstream, passed: Listener) -> None:
        self.upstream = upstream
        self.passed = passed
        self.delays = Delays()
        self._clients: set[_Client] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        """Listen; the port that was taken, which 0 leaves to the system. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", port)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        """End: answers that are on their way are stored as far as they came."""
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.close()
        await asyncio.sleep(0)

    def opened(self, client: "_Client") -> None:
        self._clients.add(client)

    def closed(self, client: "_Client") -> None:
        self._clients.discard(client)


class _Client(asyncio.Protocol):
    """The connection of an app, and the one to the server that belongs to it."""

    transport: asyncio.Transport

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._server: _Server | None = None
        self._waiting = bytearray()
        self.exchange: PassedRequest | None = None
        self._begin()

    def _begin(self) -> None:
        """Await the next request."""
        self._raw, self._body = bytearray(), bytearray()
        self._url, self._headers = b"", dict[str, str]()
        self._read_ns = 0
        self._is_complete = False
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._proxy.opened(self)

    def data_received(self, data: bytes) -> None:
        self._read_ns = now_ns()
        if self.exchange is not None:  # the next request before this one's answer has ended
            self._waiting += data
            return
        self._raw += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.refuse(400, "this is not HTTP")
            return
        if len(self._raw) > _MOST_REQUEST:
            self.refuse(413, f"a request of over {_MOST_REQUEST // 2**20} MB is not passed on")
        elif self._is_complete:
            self._send_on()

    # What httptools calls

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._is_complete = True

    def _send_on(self) -> None:
        if not is_loopback(f"http://{self._headers.get('host', 'localhost')}"):
            self.refuse(403, "only requests to this machine are passed on")  # a page that had its name turned here
            return
        path = self._url.decode("latin-1")
        method = self._parser.get_method().decode("latin-1")
        self.exchange = PassedRequest(method, path, self._headers, bytes(self._body))
        data, read_ns = self._fitted(bytes(self._raw)), self._read_ns
        self._begin()
        if self._server is not None and self._server.is_open:
            self._server.send(data, read_ns, self.exchange)
        else:
            self._connecting = asyncio.ensure_future(self._connect(data, read_ns, self.exchange))

    def _fitted(self, raw: bytes) -> bytes:
        head, blank, body = raw.partition(b"\r\n\r\n")
        head = _HOST_LINE.sub(b"Host: " + self._proxy.upstream.host.encode(), head, count=1)
        prefix = self._proxy.upstream.prefix.encode()
        return _REQUEST_LINE.sub(rb"\1 " + prefix + rb"\2", head, count=1) + blank + body

    async def _connect(self, data: bytes, read_ns: int, exchange: PassedRequest) -> None:
        upstream = self._proxy.upstream
        host, port = upstream.address
        server = _Server(self, self._proxy)
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                await asyncio.get_running_loop().create_connection(lambda: server, host, port, ssl=upstream.tls)
        except (OSError, TimeoutError):
            self.refuse(502, f"nothing answers at {upstream.base_url}")
            return
        if self.transport.is_closing():
            server.close()
            return
        self._server = server
        server.send(data, read_ns, exchange)

    def refuse(self, status: int, words: str) -> None:
        """Answer in the server's place, and close."""
        body = json.dumps({"error": {"message": f"lmx-loadgen record: {words}"}}).encode()
        head = f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        self.transport.close()

    def answered(self, *, keep: bool) -> None:
        """The answer has ended; with `keep` the connection goes on."""
        self.exchange = None
        if not keep:
            self.transport.close()
            return
        waiting, self._waiting = bytes(self._waiting), bytearray()
        if waiting:
            self.data_received(waiting)

    def pause_writing(self) -> None:
        if self._server is not None:
            self._server.pause()

    def resume_writing(self) -> None:
        if self._server is not None:
            self._server.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.closed(self)
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.transport.close()


class _Server(asyncio.Protocol):
    """The connection to the server, for one app's connection."""

    transport: asyncio.Transport

    def __init__(self, client: _Client, proxy: Proxy) -> None:
        self._client = client
        self._proxy = proxy
        self._exchange: PassedRequest | None = None
        self._at_ns = 0
        self._is_complete = False
        self.is_open = False
        self._parser: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.is_open = transport, True

    def send(self, data: bytes, read_ns: int, exchange: PassedRequest) -> None:
        """Pass a request on, which was read at that time."""
        self._exchange = exchange
        self._is_complete = False
        self._parser = httptools.HttpResponseParser(self)
        exchange.sent_ns = now_ns()
        self.transport.write(data)
        self._proxy.delays.add(now_ns() - read_ns)
        self._proxy.passed("asked", exchange)

    def data_received(self, data: bytes) -> None:
        self._at_ns = now_ns()
        self._client.transport.write(data)
        self._proxy.delays.add(now_ns() - self._at_ns)
        exchange = self._exchange
        if exchange is None:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(is_whole=False, keep=True)
            return
        if self._is_complete:
            self._end(is_whole=True, keep=self._parser.should_keep_alive())

    # What httptools calls

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._exchange is not None:
            self._exchange.answer_headers.append((name.decode("latin-1").lower(), value.decode("utf-8", "replace")))

    def on_headers_complete(self) -> None:
        if self._exchange is not None:
            self._exchange.status = self._parser.get_status_code()
            self._is_complete = self._exchange.method == "HEAD"

    def on_body(self, body: bytes) -> None:
        if self._exchange is not None:
            self._exchange.take(body, self._at_ns)

    def on_message_complete(self) -> None:
        status = None if self._exchange is None else self._exchange.status
        self._is_complete = status is not None and status >= 200  # an interim one comes before the real one

    def _end(self, *, is_whole: bool, keep: bool) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.end(is_whole=is_whole)
            self._proxy.passed("answered", exchange)
            self._client.answered(keep=keep)

    def pause(self) -> None:
        self.transport.pause_reading()

    def resume(self) -> None:
        self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        exchange = self._exchange
        # A body without a length ends with its connection.
        has_length = exchange is not None and any(
            name in ("content-length", "transfer-encoding") for name, _ in exchange.answer_headers
        )
        self._end(is_whole=exchange is not None and exchange.status is not None and not has_length, keep=False)

    def close(self) -> None:
        if self.is_open:
            self.transport.close()
