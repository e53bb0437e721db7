"""The connection of an app: its requests go on to the server, each on the one connection that belongs to it.

Of a request only `Host` and the path's beginning are made to fit the server.
"""

import asyncio
import json
import re

import httptools

from lmx_loadgen.recording.exchange import PassedRequest
from lmx_loadgen.recording.server_connection import ServerConnection
from lmx_loadgen.recording.upstream import Passage
from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.targets.address import is_loopback

_MOST_REQUEST = 64 * 1024 * 1024
_HOST_LINE = re.compile(rb"(?im)^host:[^\r\n]*")
_REQUEST_LINE = re.compile(rb"\A(\S+) (\S+)")
_CONNECT_WITHIN_S = 10.0


class AppConnection(asyncio.Protocol):
    """The connection of an app, and the one to the server that belongs to it."""

    transport: asyncio.Transport

    def __init__(self, passage: Passage, opened: set["AppConnection"]) -> None:
        self._passage = passage
        self._opened = opened
        self._server: ServerConnection | None = None
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
        self._opened.add(self)

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
        head = _HOST_LINE.sub(b"Host: " + self._passage.upstream.host.encode(), head, count=1)
        prefix = self._passage.upstream.prefix.encode()
        return _REQUEST_LINE.sub(rb"\1 " + prefix + rb"\2", head, count=1) + blank + body

    async def _connect(self, data: bytes, read_ns: int, exchange: PassedRequest) -> None:
        upstream = self._passage.upstream
        host, port = upstream.address
        server = ServerConnection(self, self._passage)
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
        self._opened.discard(self)
        if self._server is not None:
            self._server.close()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.transport.close()
