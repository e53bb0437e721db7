"""Odd ends of an answer: which of them are right is for the client to know."""

import json
from functools import partial

from lmx_loadgen.sim.dialects.base import DONE
from lmx_loadgen.sim.exchange import Exchange, Groups
from lmx_loadgen.sim.faults.base import Fault, in_mid_stream, seconds_from_now
from lmx_loadgen.system.clock import NS, now_ns

PING = b": still here\n\n"
PING_NS = NS // 20


def with_finish(x: Exchange, groups: Groups, reason: str | None) -> Groups:
    """The closing events with another finish reason."""

    def changed(event: bytes) -> bytes:
        if not event.startswith(b"data: {"):
            return event
        chunk = json.loads(event.removeprefix(b"data: "))
        for choice in chunk["choices"]:
            choice["finish_reason"] = reason
        return x.dialect.event(chunk)

    return [[changed(event) for event in group] for group in groups]


def without_done(groups: Groups) -> Groups:
    """The closing events without [DONE]."""
    return [[event for event in group if event != DONE] for group in groups]


def finish_null(x: Exchange) -> None:
    """The answer ends by itself, and no finish reason is ever named; usage and [DONE] come as usual."""
    x.edit_closing = lambda groups: with_finish(x, groups, None)


def missing_done(x: Exchange) -> None:
    """The whole answer, but no [DONE]."""
    x.edit_closing = without_done


def _give_up(x: Exchange, reason: str) -> None:
    x.answer.tokens = x.written + x.unseen
    x.end_saying(with_finish(x, x.dialect.closing(x.answer), reason))


def no_blank_line(x: Exchange) -> None:
    """No [DONE], and the last event ends in one line feed; the framing is whole."""

    def unfinished(groups: Groups) -> Groups:
        *before, last = [event for group in without_done(groups) for event in group]
        return [before, [last.removesuffix(b"\n")]]

    x.edit_closing = unfinished


def stay_open(x: Exchange, done: bool, pings: bool) -> None:
    """Everything came, with [DONE] or without, but the body is never ended: silence, or comments, for `seconds`."""
    x.terminator = b""
    if not done:
        x.edit_closing = without_done
    x.stay_open = partial(_hold, pings=pings)


def _hold(x: Exchange, pings: bool) -> None:
    end = seconds_from_now(x)
    x.paused = True
    x.free()

    def later(due: int) -> None:
        if not x.alive:
            return
        if now_ns() >= end:
            x.end_with(x.conn.close)
            return
        if pings:
            x.conn.write(x.framed(PING))
        x.services.timeline.at(min(end, now_ns() + PING_NS), later)

    later(0)


def close_after_stream(x: Exchange) -> None:
    """The connection is closed after the stream, in spite of what its headers say."""
    x.headers += ("Keep-Alive: timeout=5, max=100",)
    x.close_after = True


def _cut(x: Exchange) -> None:
    """End of file between two events, without an error and without the end of the body."""
    x.send_groups([])
    x.end_with(x.conn.close)


def cut_after_role(x: Exchange) -> None:
    """A stream is opened and cut before its first word: a server that is overfull."""
    if x.answer.stream:
        x.mid_stream_at, x.mid_stream_fault = 0, _cut


def other_success(x: Exchange, code: int) -> None:
    """A 2xx that is not 200."""
    x.stream_status = code


BENT: dict[str, Fault] = {
    "finish_null": finish_null,
    "finish_abort": in_mid_stream(partial(_give_up, reason="abort")),
    "finish_cancelled": in_mid_stream(partial(_give_up, reason="cancelled")),
    "no_blank_line": no_blank_line,
    "open_after_done": partial(stay_open, done=True, pings=False),
    "open_after_done_pings": partial(stay_open, done=True, pings=True),
    "open_after_finish": partial(stay_open, done=False, pings=False),
    "open_after_finish_pings": partial(stay_open, done=False, pings=True),
    "close_after_stream": close_after_stream,
    "cut_between_events": in_mid_stream(_cut),
    "cut_after_role": cut_after_role,
    "status_201": partial(other_success, code=201),
    "status_206": partial(other_success, code=206),
}
