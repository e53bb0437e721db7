"""The connection to the server, for the connection of one app: each read is written on as it comes, and parsed beside
that."""

import asyncio
from typing import Any, Protocol

import httptools

from lmx_loadgen.recording.exchange import PassedRequest
from lmx_loadgen.recording.upstream import Passage
from lmx_loadgen.system.clock import now_ns


class AppSide(Protocol):
    """Whom the answers go to."""

    transport: asyncio.Transport

    def answered(self, *, keep: bool) -> None:
        """The answer has ended; with `keep` the connection goes on."""


class ServerConnection(asyncio.Protocol):
    """The connection to the server, for one app's connection."""

    transport: asyncio.Transport

    def __init__(self, app: AppSide, passage: Passage) -> None:
        self._app = app
        self._passage = passage
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
        self._passage.delays.add(now_ns() - read_ns)
        self._passage.passed("asked", exchange)

    def data_received(self, data: bytes) -> None:
        self._at_ns = now_ns()
        self._app.transport.write(data)
        self._passage.delays.add(now_ns() - self._at_ns)
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
            self._passage.passed("answered", exchange)
            self._app.answered(keep=keep)

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
