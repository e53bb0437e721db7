"""Events that say nothing, between those that do."""

import time
from collections.abc import Callable

from lmx_loadgen.sim.exchange import Composed, Exchange, each_choice
from lmx_loadgen.sim.faults.base import Fault

EVERY = 3  # text events


def _between(make: Callable[[int], bytes]) -> Fault:
    """Send what `make(number)` gives before the first text event and every third after it, in a write of its own."""

    def compose(x: Exchange, begin: int, end: int) -> Composed:
        said = each_choice(x, begin, end)
        number, more = divmod(x.answer.chunks - 1, EVERY)
        return said if more else [(make(number), 1, 0), *said]

    def arm(x: Exchange) -> None:
        x.compose = compose

    return arm


def _dated(number: int) -> bytes:
    return b"event: ping\ndata: %b\n\n" % time.strftime("%Y-%m-%d %H:%M:%S").encode()


def _heartbeat(number: int) -> bytes:
    return b'event: heartbeat\ndata: {"alive":true,"number":%d}\n\n' % number


def event_fields(x: Exchange) -> None:
    """`retry:` before the first event, an `id:` and a comment on each."""

    def compose(x: Exchange, begin: int, end: int) -> Composed:
        number = x.answer.chunks
        first = b"retry: 3000\n\n" if number == 1 else b""
        head = first + b": event %d\nid: %d\n" % (number, number)
        return [(head + payload, events, tokens) for payload, events, tokens in each_choice(x, begin, end)]

    x.compose = compose


def null_first(x: Exchange) -> None:
    """The first event is `data: null`, as llama.cpp's for two prompts."""
    x.opening = b"data: null\n\n" if x.answer.stream else None


BENT: dict[str, Fault] = {
    "ping_dates": _between(_dated),
    "named_heartbeats": _between(_heartbeat),
    "event_fields": event_fields,
    "null_first": null_first,
}
