"""One generation request being answered: the engine says when tokens are due, this writes them and keeps the truth."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from lmx_loadgen.sim.answer import Reply, ScriptedAnswer, State
from lmx_loadgen.sim.connection import Connection, HttpRequest
from lmx_loadgen.sim.dialects.base import SimDialect
from lmx_loadgen.sim.engine import Timeline
from lmx_loadgen.sim.script import Script
from lmx_loadgen.sim.truth import TruthLog
from lmx_loadgen.system.clock import NS, now_ns

CHUNK_HEADS = [b"%x\r\n" % size for size in range(2048)]
END_OF_CHUNKS = b"0\r\n\r\n"
BURST_CHUNKS = 200
PING_NS = NS

Groups = list[list[bytes]]
# What goes out for tokens `begin` to `end`: bytes of events, how many events, and the tokens they complete.
Composed = list[tuple[bytes, int, int]]


@dataclass(slots=True, frozen=True)
class Services:
    """What every exchange needs from the server around it."""

    dialect: SimDialect
    state: State
    timeline: Timeline
    log: TruthLog
    escaped: dict[str, bytes]  # pieces already escaped for this dialect


class Exchange:
    """The life of one answer.

    Faults bend it through `mid_stream_fault`, `compose`, `transform`, `edit_closing`, and plain attributes.
    """

    def __init__(
        self, services: Services, conn: Connection, request: HttpRequest, answer: ScriptedAnswer, script: Script
    ) -> None:
        self.services, self.conn, self.request, self.answer, self.script = services, conn, request, answer, script
        self.dialect = services.dialect
        self.chunked = self.dialect.http == "HTTP/1.1"
        self.alive = True
        self.burst = False
        self.prefill_ns = 0
        self.generated = self.written = 0  # tokens made to be written; tokens written
        self.unseen = 0  # tokens made and never sent
        self._simple = True
        self.paused = False
        # Faults
        self.fault: str | None = None
        self.after, self.seconds, self.thought_tokens = 3, 60.0, 16
        self.mid_stream_at = -1  # before the text event with this number …
        self.mid_stream_fault: Callable[[Exchange], None] | None = None  # … do this in its place
        self.transform: Callable[[Exchange, bytes, int, int], None] | None = None
        self.compose: Callable[[Exchange, int, int], Composed] | None = None
        self.on_unseen: Callable[[Exchange], None] | None = None
        self.edit_closing: Callable[[Groups], Groups] | None = None
        self.stay_open: Callable[[Exchange], None] | None = None  # … instead of ending, once all is written
        self.stream_status = 200
        self.headers = self.dialect.stream_headers
        self.opening = self.dialect.opening(answer)
        self.close_after = False
        self.terminator = END_OF_CHUNKS
        self.without_events = False  # not even a role event
        self.preface = b""  # interim responses before the real one
        # Bytes that go out together with the first text
        self._lead, self._lead_events, self._roles = b"", 0, list[bytes]()
        self._before, self._after = self.dialect.template(answer)
        if answer.choices > 1 or answer.running_usage:
            self.compose = each_choice
        self._lap: list[bytes] = []
        self._release: Callable[[], None] | None = None
        # Truth
        self.status: int | None = None
        self._settled = False
        self.on_settled: Callable[[Exchange], None] | None = None
        self._admitted_ns: int | None = None
        self._headers_ns: int | None = None
        self._planned_first: int | None = None
        self._planned_last: int | None = None
        self._gone_ns: int | None = None
        services.state.in_flight += 1

    @property
    def has_slot(self) -> bool:
        """Whether it is being worked on, not waiting."""
        return self._admitted_ns is not None

    # Opening

    def begin(self) -> None:
        """The request was accepted: send what this server sends before it has a slot."""
        self.conn.on_lost = self.lost
        self._simple = self.script.simple
        if not self.answer.stream:
            return
        if self.dialect.opens == "received":
            self._open()
        if self.without_events:
            return
        for role in self._role_events():
            if self.dialect.role_at == "received":
                self.conn.write(self.framed(role), 1)
            elif self.dialect.role_shares_chunk:
                self._roles.append(role)
            else:
                self._lead, self._lead_events = self._lead + self.framed(role), self._lead_events + 1

    def _role_events(self) -> list[bytes]:
        """One for each choice, where there are any."""
        roles = [self.dialect.role_event(self.answer) for self.answer.index in range(self.answer.choices)]
        return [role for role in roles if role is not None]

    def _head(self) -> bytes:
        lines = self.headers + (("Transfer-Encoding: chunked",) if self.chunked else ())
        return self.preface + self.dialect.head(self.stream_status, lines, not self.request.keep_alive)

    def _open(self) -> None:
        self.status = self.stream_status
        self.conn.write(self._head())
        self._headers_ns = self._last_write_ns()

    def _last_write_ns(self) -> int | None:
        """None while the socket has not taken it."""
        return self.conn.sent.writes[-1][0] if self.conn.sent.writes else None

    def admitted(self, now: int) -> None:
        """A slot was given."""
        self._admitted_ns = now
        if not self.answer.stream:
            return
        if self.dialect.opens == "slot":
            self._open()
        if self.opening is not None:
            self.conn.write(self.framed(self.opening), 1)
        comments = self.dialect.comments(self.answer)
        for comment in comments[:-1]:
            self.conn.write(self.framed(comment))
        if comments:
            self._lead += self.framed(comments[-1])
        if self.dialect.ping is not None:
            self.services.timeline.at(now + PING_NS, self._ping)

    def _ping(self, due: int) -> None:
        if self.alive and not self.answer.chunks and self.dialect.ping is not None:
            self.conn.write(self.framed(self.dialect.ping))
            self.services.timeline.at(due + PING_NS, self._ping)

    # Saying

    def framed(self, payload: bytes) -> bytes:
        """A payload as one HTTP chunk, or bare where the stream ends with the connection."""
        if not self.chunked:
            return payload
        size = len(payload)
        head = CHUNK_HEADS[size] if size < 2048 else b"%x\r\n" % size
        return head + payload + b"\r\n"

    def token(self, due: int) -> bool:
        """A token is due. Answers whether more are wanted."""
        if self.paused:
            return self.alive
        script = self.script
        if not self._simple:
            self._step(due)
        elif self.generated < script.total:
            self.generated += 1
            if self.generated >= script.total or self.generated - self.written >= script.per_chunk:
                self._write_token(due)
        if not self.alive or self.paused:
            return self.alive
        if self.generated >= script.total and not script.swallowed:
            self.finish()
            return False
        return True

    def _step(self, due: int) -> None:
        """A step of an answer of which not every step makes one token that is sent."""
        script = self.script
        if self.unseen < script.hidden:
            self._make_unseen()
        elif self.generated < script.total:
            self.generated = min(script.total, self.generated + script.step())
            if self.generated >= script.total or self.generated - self.written >= script.size(self.answer.chunks):
                self._write_token(due)
        elif script.swallowed:
            script.swallowed -= 1
            self._make_unseen()

    def _make_unseen(self) -> None:
        self.unseen += 1
        self.answer.tokens = self.written + self.unseen
        if self.on_unseen is not None and self.answer.stream:
            self.on_unseen(self)

    def _write_token(self, due: int) -> None:
        answer = self.answer
        if answer.chunks == self.mid_stream_at and self.mid_stream_fault is not None:
            self.mid_stream_at = -1
            self.mid_stream_fault(self)
            return
        if self._planned_first is None:
            self._planned_first = due
        self._planned_last = due
        begin, self.written = self.written, self.generated
        answer.chunks += 1
        if answer.stream and self.compose is not None:
            answer.tokens = self.written + self.unseen
            for payload, events, tokens in self.compose(self, begin, self.generated):
                self._send(payload, events, tokens)
        elif answer.stream:
            text = self._escaped(begin, self.generated)
            self._send(self._before + text + self._after, 1, self.generated - begin)

    def _escaped(self, begin: int, end: int) -> bytes:
        script, known = self.script, self.services.escaped
        if end - begin == 1:
            piece = script.pieces[(script.start + begin) % len(script.pieces)]
            found = known.get(piece)
            return self.dialect.escape(piece) if found is None else found
        return self.dialect.escape(script.text(begin, end))

    def send_text(self, text: bytes, tokens: int) -> None:
        """Write a text event; `text` is already escaped for JSON."""
        self._send(self._before + text + self._after, 1, tokens)

    def _send(self, payload: bytes, events: int, tokens: int) -> None:
        if self._lead or self._roles or self.answer.chunks <= 1:
            self._send_first(payload, events, tokens)
        else:
            self._put(self.framed(payload), events, tokens)

    def _send_first(self, payload: bytes, events: int, tokens: int) -> None:
        lead, more = self.take_lead()
        if self._roles:
            payload, more = self._roles.pop(0) + payload, more + 1
        data = lead + self.framed(payload)
        if self.answer.call is not None:
            self._before, self._after = self.dialect.template(self.answer, first=False)
        self._put(data, events + more, tokens)
        if self._headers_ns is None:
            self._headers_ns = self._last_write_ns()

    def _put(self, data: bytes, events: int, tokens: int) -> None:
        """Write, or let a fault do it in its way."""
        if self.transform is not None:
            self.transform(self, data, events, tokens)
        else:
            self.conn.write(data, events, tokens)

    def take_lead(self) -> tuple[bytes, int]:
        """The bytes that wait for the first text, headers too where they have not gone out, and their events."""
        lead, events = self._lead, self._lead_events
        if self.answer.stream and self.status is None:
            self.status = self.stream_status
            lead = self._head() + lead
        self._lead, self._lead_events = b"", 0
        return lead, events

    def pour(self, due: int, release: Callable[[], None]) -> None:
        """Send everything as fast as the socket takes it."""
        self._release = release
        wanted = True
        while wanted and not self.answer.chunks:
            wanted = self.token(due)
        if wanted:
            self._pump()
        else:
            self.free()

    def _pump(self) -> None:
        """One round of a burst: not more than the socket takes, then let others have their turn."""
        now = now_ns()
        if self.alive and not self.paused and not self._pour_many(now):
            for _ in range(self.script.per_chunk):
                if not self.token(now):
                    break
        if not self.alive:
            self.free()
        elif self.paused:
            self.services.timeline.at(now + NS // 100, lambda due: self._pump())
        elif self.conn.backlog:
            self.conn.when_drained(self._pump)
        else:
            self.services.timeline.at(now, lambda due: self._pump())

    def _pour_many(self, now: int) -> bool:
        """Up to BURST_CHUNKS prepared one-token chunks in one write; False where chunks must be made one by one."""
        script, answer = self.script, self.answer
        if script.per_chunk > 1 or not self._simple or answer.call is not None or not answer.stream:
            return False
        if self.transform is not None or self.compose is not None:
            return False
        count = min(BURST_CHUNKS, script.total - self.generated - 1)
        if self.mid_stream_at >= 0:
            count = min(count, self.mid_stream_at - answer.chunks)
        if count <= 0:
            return False
        if not self._lap:
            whole = len(script.pieces)
            self._lap = [self.framed(self._before + self._escaped(i, i + 1) + self._after) for i in range(whole)]
        at = self.generated % len(self._lap)
        frames = self._lap[at : at + count]
        self.generated += len(frames)
        self.written = self.generated
        answer.chunks += len(frames)
        self._planned_last = now
        self.conn.write(b"".join(frames), len(frames), len(frames))
        return True

    def free(self) -> None:
        """Give the slot back, where a burst holds it."""
        release, self._release = self._release, None
        if release is not None:
            release()

    # Ending

    def finish(self) -> None:
        """Everything was said: finish reason, usage, end."""
        answer = self.answer
        answer.tokens = self.written + self.unseen
        self._fill_timings()
        if not answer.stream:
            body = self.dialect.body(answer, self.script.text(0, self.written))
            self._send_reply(Reply(200, self.dialect.dumps_body(body)), 1, self.written * answer.choices)
            self.end("complete")
            return
        groups = self.dialect.closing(answer)
        if self.edit_closing is not None:
            groups = self.edit_closing(groups)
        self.send_groups(groups, last=True)
        if self.stay_open is not None:
            self.stay_open(self)
        else:
            self.end("complete")

    def _fill_timings(self) -> None:
        answer, writes = self.answer, [write for write in self.conn.sent.writes if write[2]]
        first = writes[0][0] if writes else (self._planned_first or now_ns())
        last = writes[-1][0] if writes else (self._planned_last or first)
        answer.decode_ms = (last - first) / 1e6
        answer.prefill_ms = (first - (self._admitted_ns or self.request.read_ns)) / 1e6

    def send_groups(self, groups: Groups, last: bool = False, tokens: int = 0) -> None:
        """Write events, each group as one HTTP chunk; with `last` also the end of the chunked body."""
        data, events = self.take_lead()
        groups, self._roles = [*([role] for role in self._roles), *groups], []
        data += b"".join(self.framed(b"".join(group)) for group in groups if group)
        events += sum(len(group) for group in groups)
        if last and self.chunked:
            data += self.terminator
        self._put(data, events, tokens)

    def end_saying(self, groups: Groups, outcome: str = "complete") -> None:
        """Write the last events, and end."""
        self.send_groups(groups, last=True)
        self.end(outcome)

    def fail(self, message: str) -> None:
        """Generation failed: say so as this server does, and end."""
        self.answer.tokens = self.written + self.unseen
        if self.answer.stream and (self.status is not None or self.answer.chunks):
            self.end_saying(self.dialect.failing(self.answer, message))
        else:
            self.reply(self.dialect.error(500, message, "server_error"))

    def busy(self) -> None:
        """No slot for this request."""
        if self.status == 200:
            self.end_saying(self.dialect.failing(self.answer, self.dialect.busy_message), "rejected")
        else:
            self.reply(self.dialect.busy(self.answer))

    def reply(self, reply: Reply) -> None:
        """Answer with a short reply instead."""
        self._send_reply(reply)
        self.end("rejected")

    def _send_reply(self, reply: Reply, events: int = 0, tokens: int = 0) -> None:
        self.status = reply.status
        data = self.preface + self.dialect.render(reply, not self.request.keep_alive)
        self.conn.write(data, events, tokens)
        self._headers_ns = self._last_write_ns()

    def end(self, outcome: str) -> None:
        """The response has ended; it counts once the socket has all of it."""
        if not self._settled:
            self.alive = False
            self.conn.when_drained(partial(self._settle, outcome if self.fault is None else f"fault:{self.fault}"))

    def reset(self) -> None:
        """End with a connection reset."""
        self.end_with(self.conn.reset)

    def end_with(self, action: Callable[[], None]) -> None:
        """End by doing something to the connection instead of finishing the response."""
        self.conn.on_lost = None
        action()
        self._settle(f"fault:{self.fault}")

    def lost(self) -> None:
        """The client has gone before the response ended."""
        self._gone_ns = now_ns()
        self._settle("client_gone")
        self.free()

    def stopped(self) -> None:
        """The simulator is ending."""
        self._settle("stopped")

    def _settle(self, outcome: str) -> None:
        if self._settled:
            return
        self.alive, self._settled = False, True
        state = self.services.state
        state.in_flight -= 1
        state.served += 1
        self.services.log.add(self._line(outcome))
        if self.on_settled is not None:
            self.on_settled(self)
        self.conn.on_lost = None
        if not self.conn.gone and outcome != "stopped":
            self.conn.done(close=self.close_after or not self.chunked)

    def _line(self, outcome: str) -> dict[str, Any]:
        answer, request, sent = self.answer, self.request, self.conn.sent
        first = next((i for i, write in enumerate(sent.writes) if write[2]), None)
        wait = None if self._admitted_ns is None else self._admitted_ns - request.read_ns
        return {
            "response_id": answer.id,
            "received_ns": request.received_ns,
            "received_how": request.received_how,
            "read_ns": request.read_ns,
            "admitted_ns": self._admitted_ns,
            "headers_ns": self._headers_ns,
            "writes": sent.writes,
            "first_text_write": first,
            "planned_first_ns": self._planned_first,
            "planned_last_ns": self._planned_last,
            "deferred": sent.deferred,
            "status": self.status,
            "prompt_tokens": answer.prompt_tokens,
            "cached_tokens": answer.cached_tokens,
            "output_tokens": self.written * answer.choices,
            "unseen_tokens": self.unseen,
            "finish_reason": answer.finish if outcome == "complete" else None,
            "outcome": outcome,
            "fault": self.fault,
            "client_gone_ns": self._gone_ns,
            "slot_wait_ns": wait,
            "end_ns": now_ns(),
        }


def each_choice(x: Exchange, begin: int, end: int) -> Composed:
    """A text event of each choice, all with the same text; of a tool call, the next piece."""
    answer, text = x.answer, x.script.text(begin, end)
    if answer.call is not None:
        delta = x.dialect.call_delta(answer.call, text, begin == 0)
        events = [x.dialect.delta_event(answer, delta) for answer.index in range(answer.choices)]
    else:
        events = [x.dialect.text_event(answer, text) for answer.index in range(answer.choices)]
    return [(event, 1, end - begin) for event in events]
