"""The measuring instrument: an httpx transport that writes down when bytes came, and computes nothing.

One `StampedTransport` holds one persistent connection; the load keeps them in a pool. A request carries
its `RequestTiming` and its `Limits` in `request.extensions`; the transport fills the trace while the answer
streams, and the reader looks at it after the stream has ended. `httpx.AsyncClient` can use the transport
like any other, but the load does not: its pool, redirects and cookies cost more than what is measured.

Why not httpx's own transport: its pool looks at every connection on every event, which at 64 streams at
once put the median time to first token off by 184 ms where this one is off by well under one.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator

import httpx

from lmx_loadgen.system.clock import NS, now_ns
from lmx_loadgen.wire.connection import Link, SocketLink, connected_socket, protocol_link
from lmx_loadgen.wire.ending import ServerHabits
from lmx_loadgen.wire.response import ResponseReader
from lmx_loadgen.wire.stamps import StampSource
from lmx_loadgen.wire.timing import Limits, RequestTiming, one_line
from lmx_loadgen.wire.tls import tls_context

_RIGHT_AFTER_NS = NS
_TURNS = 5

_HTTPX_ERROR: dict[str, type[httpx.TransportError]] = {
    "connect_error": httpx.ConnectError,
    "connect_timeout": httpx.ConnectTimeout,
    "first_token_timeout": httpx.ReadTimeout,
    "gap_timeout": httpx.ReadTimeout,
    "request_timeout": httpx.ReadTimeout,
    "reset": httpx.ReadError,
    "truncated": httpx.RemoteProtocolError,
    "protocol_error": httpx.RemoteProtocolError,
}


class StampedStream(httpx.AsyncByteStream):
    """An answer's body. `wait` returns once it is whole; iterating yields (arrival ns, bytes) pairs' bytes."""

    def __init__(self, exchange: ResponseReader, transport: "StampedTransport") -> None:
        self._exchange = exchange
        self._transport = transport

    async def wait(self) -> RequestTiming:
        """The trace of the whole answer. Raises the httpx error of a wire failure."""
        await self._exchange.ended
        self._transport.release(self._exchange)
        _raise_failure(self._exchange.timing)
        return self._exchange.timing

    async def stamped(self) -> AsyncIterator[tuple[int, bytes]]:
        """(arrival ns, body bytes) of each read, in order, once the answer is whole."""
        timing = await self.wait()
        start = 0
        for at_ns, size in zip(timing.arrival_ns, timing.arrival_bytes, strict=True):
            yield at_ns, bytes(timing.body[start : start + size])
            start += size

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for _, data in self.stamped():
            yield data

    async def aclose(self) -> None:
        if not self._exchange.ended.done():
            self._exchange.fail("cancelled", "closed before the answer ended")
        self._transport.release(self._exchange)


class StampedTransport(httpx.AsyncBaseTransport):
    """One persistent connection to one server, as an httpx transport.

    Extensions of a request it understands: `trace` (a `RequestTiming` to fill), `limits` (`Limits`), `is_streamed`
    (False: the answer is no stream and ends with its body), `not_before_ns` (when its first byte may be written, at
    most a moment from now: nothing else is done meanwhile). Requests of one transport follow each other; two at once
    are a programming error.

    Args:
        ssl_context: shared by all connections of a run, for `https` addresses.
        stamps: where the time of an arrival is taken, see `stamps.StampSource`.
        habits: of the server, shared by all connections to it, so that each learns from the others.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        stamps: StampSource = StampSource.LOOP,
        habits: ServerHabits | None = None,
    ) -> None:
        self._ssl = ssl_context
        self._stamps = stamps
        self._habits = habits or ServerHabits()
        self._link: Link | None = None
        self._answered_ns: int | None = None  # when a whole answer ended on the connection that is open

    def stamped_by_kernel(self, url: httpx.URL) -> bool:
        """Whether arrivals from this address have the kernel's stamps: never through TLS."""
        return self._stamps is StampSource.KERNEL and url.scheme != "https"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and return when the headers are there.

        Raises an `httpx.TransportError`; what happened until then stays in the trace.
        """
        timing: RequestTiming = request.extensions.get("trace") or RequestTiming()
        limits: Limits = request.extensions.get("limits") or Limits()
        is_streamed = bool(request.extensions.get("is_streamed", True))
        not_before_ns: int = request.extensions.get("not_before_ns", 0)
        exchange = await self._exchange(request, timing, limits, not_before_ns, is_streamed=is_streamed)
        _raise_failure(timing)
        assert timing.status is not None
        return httpx.Response(
            timing.status,
            headers=timing.headers,
            stream=StampedStream(exchange, self),
            extensions={"trace": timing},
            request=request,
        )

    async def _exchange(
        self,
        request: httpx.Request,
        timing: RequestTiming,
        limits: Limits,
        not_before_ns: int,
        *,
        is_streamed: bool,
    ) -> ResponseReader:
        loop = asyncio.get_running_loop()
        while True:
            fresh = await self._connect_if_needed(request.url, timing, limits)
            exchange = ResponseReader(loop, timing, limits, self._habits, is_streamed=is_streamed)
            link = self._link
            assert link is not None
            link.exchange = exchange
            data = _serialise(request, request.content)
            while now_ns() < not_before_ns:  # microseconds: whoever asks for it comes just before
                pass
            link.write(data, timing)
            del data  # thousands of streams that wait for their first token need no second copy of a long prompt
            if not exchange.ended.done():
                exchange.watch()
            try:
                await exchange.headers_done
            except asyncio.CancelledError:
                exchange.fail("cancelled", "closed before the answer began")
                self.release(exchange)
                raise
            if fresh or exchange.bytes_in or not timing.failure or timing.failure[0] != "reset":
                if self._answered_ns is not None and exchange.bytes_in:
                    self._habits.kept_connection = True
                if timing.failure:
                    self.release(exchange)
                return exchange
            # The server had closed the idle connection and our request crossed its goodbye: nobody saw the
            # request, so it is sent again, once, on a new connection, and counts from there.
            self._note_closed()
            self.release(exchange)
            timing.failure = timing.send_ns = timing.end_ns = None
            timing.reconnected = True

    async def connect(self, url: httpx.URL, limits: Limits) -> None:
        """Open the connection ahead of the first request, so that no request has to wait for it."""
        await self._connect_if_needed(url, RequestTiming(), limits)

    async def _connect_if_needed(self, url: httpx.URL, timing: RequestTiming, limits: Limits) -> bool:
        """True when a new connection was opened."""
        if self._link is not None and await _is_open(self._link):
            return False
        self._note_closed()
        timing.connect_start_ns = now_ns()
        try:
            async with asyncio.timeout(limits.connect):
                self._link = await self._open(url)
        except TimeoutError:
            why = f"no connection after {limits.connect:g} s (host unreachable, or its listen queue is full)"
            self._connect_failed(timing, "connect_timeout", why)
        except ssl.SSLError as error:
            self._connect_failed(timing, "connect_error", f"TLS: {one_line(error)}")
        except (OSError, ssl.CertificateError, UnicodeError) as error:
            self._connect_failed(timing, "connect_error", _words(error))
        timing.connect_end_ns = now_ns()
        return True

    def _note_closed(self) -> None:
        """The server closed the connection: right after an answer, it may do so after each."""
        lost_ns = self._link.lost_ns if self._link is not None else None
        if self._answered_ns is not None and (lost_ns or now_ns()) - self._answered_ns < _RIGHT_AFTER_NS:
            self._habits.closed_connection = True
        self._answered_ns = None

    def _connect_failed(self, timing: RequestTiming, outcome: str, reason: str) -> None:
        timing.failure = (outcome, reason)
        timing.end_ns = now_ns()
        _raise_failure(timing)

    async def _open(self, url: httpx.URL) -> Link:
        loop = asyncio.get_running_loop()
        host, port = url.host, url.port or (443 if url.scheme == "https" else 80)
        if url.scheme == "https":
            return await protocol_link(loop, host, port, self._ssl or tls_context())
        if self._stamps is StampSource.PROTOCOL:
            return await protocol_link(loop, host, port, None)
        return SocketLink(loop, await connected_socket(loop, host, port), self._stamps)

    def release(self, exchange: ResponseReader) -> None:
        """The exchange is over: keep the connection if it can serve another, else close it."""
        link = self._link
        if link is not None and link.exchange is exchange:
            link.exchange = None
            self._answered_ns = exchange.timing.end_ns if exchange.is_answer else None
            if not (exchange.complete and exchange.keep_alive) or self._habits.one_answer_each:
                link.close()
                self._link = self._answered_ns = None

    async def aclose(self) -> None:
        if self._link is not None:
            self._link.close()


async def _is_open(link: Link) -> bool:
    """Whether a request can be written to a connection that was idle. A server may have closed it, and the loop may
    not have read so yet; bytes that nobody asked for would be taken for the next answer."""
    for _ in range(_TURNS):
        unread = link.unread()
        if not unread:
            break
        await asyncio.sleep(
            0
        )  # the link's own reader closes it for such bytes, or takes them (TLS has some of its own)
    if unread is None and not link.closed:
        return True
    link.close()
    return False


def _serialise(request: httpx.Request, content: bytes) -> bytes:
    """Head and body in one piece, so that one write sends the whole request."""
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % pair for pair in request.headers.raw]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


def _words(error: Exception) -> str:
    """What kept a connection from being made; of a refused one the system's words, not asyncio's."""
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else one_line(error)


def _raise_failure(timing: RequestTiming) -> None:
    if timing.failure is not None:
        outcome, reason = timing.failure
        raise _HTTPX_ERROR.get(outcome, httpx.TransportError)(reason)
