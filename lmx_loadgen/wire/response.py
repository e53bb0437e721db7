"""One request on the wire, from its first byte to the end of its answer."""

import asyncio
import re
from typing import Any

import httptools

from lmx_loadgen.system.clock import NS, now_ns
from lmx_loadgen.wire.timing import MAX_BODY, MAX_HEAD, MAX_READS, Limits, RequestTiming, one_line

# Any of the fields that carry text, followed by a string that is not empty. It only tells the watchdog and the
# live display that the answer has begun; the measured first token is found afterwards, from decoded events.
FIRST_TEXT = re.compile(rb'"(?:content|reasoning_content|reasoning|thinking|text|arguments)"\s*:\s*"(?!")', re.ASCII)
_LOOK_BACK = 4096


class ResponseReader:
    """One request on the wire: parses what arrives, keeps its deadlines, and says when it is over.

    The parser callbacks (`on_…`) are called by httptools from within `feed`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timing: RequestTiming, limits: Limits) -> None:
        self.timing = timing
        self.limits = limits
        self.loop = loop
        self.headers_done: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.bytes_in = 0
        self.complete = False
        self.keep_alive = False
        self._parser: Any = httptools.HttpResponseParser(self)
        self._framed = False
        self._now = 0
        self._body_in_read = 0
        self.last_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    # -- httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        self.timing.headers.append((lowered, value))
        if lowered in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.timing.headers.clear()
            self._framed = False
            return
        self.timing.status = status
        self.timing.headers_ns = self._now
        self.keep_alive = self._parser.should_keep_alive()
        if status in (204, 304):
            self._framed = True
        if not self.headers_done.done():
            self.headers_done.set_result(None)

    def on_body(self, data: bytes) -> None:
        body = self.timing.body
        if self.timing.first_text_ns is None and FIRST_TEXT.search(bytes(body[-_LOOK_BACK:]) + data if body else data):
            self.timing.first_text_ns = self._now
            if self._timer is not None:  # from here on the gap's deadline counts, which may be the nearer one
                self._timer.cancel()
                self.watch()
        body += data
        self._body_in_read += len(data)

    def on_message_complete(self) -> None:
        if self.timing.status is not None:
            self.complete = True

    # -- what the connection tells

    def feed(self, data: bytes, at_ns: int) -> None:
        """Take in one socket read that arrived at `at_ns`."""
        if self.ended.done():
            return
        # Kernel stamps are carried between clocks: never let time run back.
        floor_ns = self.last_ns or self.timing.send_ns or 0
        if at_ns < floor_ns:
            at_ns = floor_ns
        self._now = self.last_ns = at_ns
        self.bytes_in += len(data)
        self._body_in_read = 0
        error: str | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            error = "the server switched protocols"
        except httptools.HttpParserError as problem:
            # Bytes after a complete answer are the server's fault, not this answer's.
            error = None if self.complete else f"not HTTP: {one_line(problem)}"
        timing = self.timing
        if self._body_in_read:
            timing.arrival_ns.append(at_ns)
            timing.arrival_bytes.append(self._body_in_read)
        if error is not None:
            self.fail("protocol_error", error)
        elif self.complete:
            self.finish()
        elif timing.status is None and self.bytes_in > MAX_HEAD:
            self.fail("protocol_error", f"response headers over {MAX_HEAD // 1024} KB")
        elif len(timing.body) > MAX_BODY:
            self.fail("protocol_error", f"answer over {MAX_BODY // 2**20} MB")
        elif len(timing.arrival_ns) > MAX_READS:
            self.fail("protocol_error", f"answer in over {MAX_READS} pieces")

    def feed_eof(self, error: Exception | None) -> None:
        """The connection is gone: by an orderly end (`error` is None) or torn down."""
        if self.ended.done():
            return
        if error is not None:
            self.fail("reset", f"connection lost: {one_line(error)}")
        elif self.timing.status is None:
            self.fail("reset", "the server closed the connection without answering")
        elif self._framed:
            self.fail("truncated", "the answer ended before its framing said it would")
        else:  # HTTP/1.0 and `Connection: close`: the end of the connection is the end of the body
            self.keep_alive = False
            self.finish()

    # -- ends

    def watch(self) -> None:
        """Check the deadlines, and come again when the next one may be due."""
        now = now_ns()
        due, outcome, reason = self._next_deadline()
        if now >= due:
            self.fail(outcome, reason)
        else:
            self._timer = self.loop.call_later((due - now) / NS, self.watch)

    def _next_deadline(self) -> tuple[int, str, str]:
        sent = self.timing.send_ns
        assert sent is not None
        limits = self.limits
        whole = (
            sent + int(limits.request * NS),
            "request_timeout",
            f"not finished after {limits.request:g} s",
        )
        if self.timing.first_text_ns is None:
            part = (
                sent + int(limits.first_token * NS),
                "first_token_timeout",
                f"no token after {limits.first_token:g} s",
            )
        else:
            part = (self.last_ns + int(limits.gap * NS), "gap_timeout", f"silent for {limits.gap:g} s")
        return min(whole, part)

    def finish(self) -> None:
        self._over()

    def fail(self, outcome: str, reason: str) -> None:
        if not self.ended.done():
            self.timing.failure = (outcome, reason)
            self.keep_alive = False
            self._over()

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Both refer back to this exchange, and the garbage collector is off while a level is measured.
        self._timer = self._parser = None
        self.timing.end_ns = now_ns()
        for waiter in (self.headers_done, self.ended):
            if not waiter.done():
                waiter.set_result(None)
