"""One request on the wire, from its first byte to the end of its answer."""

import asyncio
from typing import Any

import httptools

from lmx_loadgen.system.clock import NS, now_ns
from lmx_loadgen.wire.ending import (
    DONE_WORD,
    HELD_OPEN,
    LOOK_BACK,
    QUIET_S,
    TAIL,
    TEXT,
    ServerHabits,
    cut_from,
    end_of_done,
    finished_ns,
    grace_s,
    names_finish,
    past_line_ends,
)
from lmx_loadgen.wire.timing import MAX_BODY, MAX_HEAD, MAX_READS, Limits, RequestTiming, one_line

# Timers may run ahead of reads that are due with them: whoever gives up on a body lets the loop read once more.
_LAST_LOOK_S = 0.001


class ResponseReader:
    """One request on the wire: parses what arrives, keeps its deadlines, and says when it is over.

    The parser callbacks (`on_…`) are called by httptools from within `feed`. `habits` are those of the server. Only an
    answer that was asked for as a stream is over before its body ends.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timing: RequestTiming,
        limits: Limits,
        habits: ServerHabits | None = None,
        *,
        is_streamed: bool = True,
    ) -> None:
        self.timing = timing
        self.limits = limits
        self.loop = loop
        self.habits = habits or ServerHabits()
        self.headers_done: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.bytes_in = 0
        self.complete = False
        self.keep_alive = False
        self._parser: Any = httptools.HttpResponseParser(self)
        self._framed = False
        self._is_streamed = is_streamed
        self.is_answer = False
        self._done_at: int | None = None
        self._over_ns: int | None = None
        self._looked_last = False
        self._now = 0
        self._body_in_read = 0
        self.last_ns = 0
        self._timer: asyncio.TimerHandle | None = None

    # -- httptools callbacks

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError(
                "a second answer to one request"
            )  # ends the parsing, before it takes the first one's place

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        self.timing.headers.append((lowered, value))
        if lowered == b"content-length" or (lowered == b"transfer-encoding" and b"chunked" in value.lower()):
            self._framed = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.timing.headers.clear()
            self._framed = False
            return
        self.timing.status = status
        self.timing.headers_ns = self._now
        self.is_answer = self._is_streamed and 200 <= status < 300
        self.keep_alive = self._parser.should_keep_alive()
        if status in (204, 304):
            self._framed = True
        if not self.headers_done.done():
            self.headers_done.set_result(None)

    def on_body(self, data: bytes) -> None:
        body = self.timing.body
        if self.timing.first_text_ns is None and TEXT.search(bytes(body[-LOOK_BACK:]) + data if body else data):
            self.timing.first_text_ns = self._now
            if self._timer is not None and self._done_at is None:
                self._timer.cancel()
                self.watch()  # from here on the gap's deadline counts, which may be the nearer one
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
        self._now = self.last_ns = self.habits.heard_ns = at_ns
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
            self.keep_alive = False
        timing = self.timing
        if self._body_in_read:
            timing.arrival_ns.append(at_ns)
            timing.arrival_bytes.append(self._body_in_read)
            if self.complete or self._done_at is not None or timing.body.find(DONE_WORD, -TAIL) >= 0:
                self._cut_after_done()
        if error is not None or self.complete or self._done_at is not None:
            self._after_end(error)
        elif (excess := self._excess()) is not None:
            self.fail("protocol_error", excess)

    def _after_end(self, error: str | None) -> None:
        """The answer has come whole, is over, or cannot be read."""
        if error is not None and self._done_at is None:
            self.fail("protocol_error", error)
        elif error is not None or self.complete:
            self.habits.ended_body = self.habits.ended_body or (self.complete and self._done_at is not None)
            self.finish()
        else:
            self._await_end()

    def _excess(self) -> str | None:
        """What of an answer under way is more than any has."""
        timing = self.timing
        if timing.status is None and self.bytes_in > MAX_HEAD:
            return f"response headers over {MAX_HEAD // 1024} KB"
        if len(timing.body) > MAX_BODY:
            return f"answer over {MAX_BODY // 2**20} MB"
        if len(timing.arrival_ns) > MAX_READS:
            return f"answer in over {MAX_READS} pieces"
        return None

    def feed_eof(self, error: Exception | None) -> None:
        """The connection is gone: by an orderly end (`error` is None) or torn down."""
        if self.ended.done():
            return
        if self._done_at is not None and (not self._framed or names_finish(self.timing.body)):
            # All was said. Without a finish reason a cut body is the only sign of an answer that was given up.
            self.habits.ended_body = self.habits.ended_body or not self._framed
            self.keep_alive = False
            self.finish()
        elif error is not None:
            self.fail("reset", f"connection lost: {one_line(error)}")
        elif self.timing.status is None:
            self.fail("reset", "the server closed the connection without answering")
        elif self._framed:
            self.fail("truncated", "the answer ended before its framing said it would")
        else:  # HTTP/1.0 and `Connection: close`: the end of the connection is the end of the body
            self.keep_alive = False
            self.finish()

    # -- ends

    def _cut_after_done(self) -> None:
        """Find `[DONE]`, and drop what comes after it, but for its own line ends."""
        body, at = self.timing.body, self._done_at
        if self.is_answer:
            self._done_at = end_of_done(body) if at is None else past_line_ends(body, at)
        if self._done_at is not None:
            cut_from(self.timing, self._done_at)

    def _await_end(self) -> None:
        """The answer is over and its body still open: its end gets a moment to come, unless it never does."""
        waits = self._over_ns is not None
        if not waits or self.timing.arrival_ns[-1] == self._now:
            self._over_ns = now_ns()
        if waits:
            return
        if self._timer is not None:
            self._timer.cancel()
        if self.habits.leaves_bodies_open:
            self._let_go()
        else:
            self._timer = self.loop.call_later(grace_s(self.timing), self._look_last)

    def _look_last(self) -> None:
        self._timer = self.loop.call_later(_LAST_LOOK_S, self._let_go)

    def _let_go(self) -> None:
        """Leave the open body behind: the answer was over at `_over_ns`."""
        self.habits.held_body = self.habits.held_body or self._done_at is not None
        self.timing.notes.append(HELD_OPEN)
        self.keep_alive = False
        self._over(self._over_ns)

    def watch(self) -> None:
        """Check the deadlines and whether the answer is over, and come again when one of them may be due."""
        self._cut_after_done()
        if self._done_at is not None:
            self._await_end()
            return
        now = now_ns()
        due, outcome, reason = self._next_deadline()
        over = self._over_by_finish_ns()
        if over is not None and now >= min(over, due):
            if self._looked_last:
                self._over_ns = max(min(over, due), self.last_ns)
                self._let_go()
                return
            self._looked_last = True
            wait_s = _LAST_LOOK_S
        elif now >= due:
            self.fail(outcome, reason)
            return
        else:
            self._looked_last = False
            wait_s = (min(due, over or now + int(QUIET_S * NS)) - now) / NS
        self._timer = self.loop.call_later(wait_s, self.watch)

    def _over_by_finish_ns(self) -> int | None:
        """When the answer is over if nothing more comes, as far as it named a finish reason; else None."""
        finished = finished_ns(self.timing) if self.is_answer and self.timing.body else None
        return None if finished is None else finished + int(QUIET_S * NS)

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

    def _over(self, at_ns: int | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Both refer back to this exchange, and the garbage collector is off while a level is measured.
        self._timer = self._parser = None
        self.timing.end_ns = at_ns or now_ns()
        for waiter in (self.headers_done, self.ended):
            if not waiter.done():
                waiter.set_result(None)
