"""What a request may take, and what it leaves behind."""

from array import array
from dataclasses import dataclass, field
from typing import Any

MAX_BODY = 64 * 1024 * 1024
MAX_HEAD = 256 * 1024
MAX_READS = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds on one request's waits, in seconds. Each has an outcome of its own when it is passed.

    `first_token` counts from `send` to the first non-empty text, however many headers, role events or
    pings come before it; `gap` is the longest silence allowed after that; `request` bounds the whole.
    """

    connect: float = 10.0
    first_token: float = 300.0
    gap: float = 60.0
    request: float = 600.0


@dataclass(slots=True)
class RequestTiming:
    """What one request left behind. Times are absolute nanoseconds on the monotonic clock.

    `arrival_ns` and `arrival_bytes` run in parallel: one entry for each socket read that brought body bytes,
    with the number of body bytes (chunk framing taken off) it brought. `failure` is an outcome and a reason,
    or None where the transport saw a whole answer. `notes` say what else is to be known of how it came
    (`held_open`: its body stayed open after its end).
    """

    connect_start_ns: int | None = None
    connect_end_ns: int | None = None
    send_ns: int | None = None
    headers_ns: int | None = None
    end_ns: int | None = None
    first_text_ns: int | None = None
    status: int | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    arrival_ns: "array[int]" = field(default_factory=lambda: array("q"))
    arrival_bytes: "array[int]" = field(default_factory=lambda: array("q"))
    failure: tuple[str, str] | None = None
    reconnected: bool = False
    notes: list[str] = field(default_factory=list)


def one_line(error: Any) -> str:
    """An exception's words on one line, bounded; its type where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]
