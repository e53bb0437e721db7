"""What the measuring process and its parent say to each other: framed pickles over a pair of pipes.

Both ends are this package in the same version, started by each other; nothing from a server is unpickled, it
travels inside as bytes. Keys reach the worker here, never through its command line or environment.
"""

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.load.request import BodyTemplate
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.wire.timing import Limits, RequestTiming

HEADER = struct.Struct("!I")


def packed(message: Any) -> bytes:
    """A message with its length in front."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return HEADER.pack(len(body)) + body


class Unpacker:
    """Puts messages together again from the bytes of a stream, in whatever pieces these come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def messages(self, data: bytes) -> Iterator[Any]:
        """Those that this piece completes."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= HEADER.size:
            (size,) = HEADER.unpack_from(self._buffer, start)
            end = start + HEADER.size + size
            if len(self._buffer) < end:
                break
            message = pickle.loads(memoryview(self._buffer)[start + HEADER.size : end])
            start = end
            yield message
        del self._buffer[:start]


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat of a job: its number, and the templates of its turns."""

    number: int
    templates: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Talk:
    """The chats that a job's users lead. They think `think_s` seconds before a turn; None: as long as it takes to read
    the answer. `is_live` says that the server's own answers are sent again, and not those that are recorded."""

    chats: tuple[Chat, ...]
    think_s: float | None = 0.0
    is_live: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One segment's share of work for one worker. Times are nanoseconds. `segment` is the text of its key.

    `order` says which template each request takes, by the request's number in the level, round and round;
    `numbers` of this worker are `first`, `first + step`, … so that workers never send the same request. With `digits`
    its nonces have no letters.
    `no_progress` is how many seconds may pass without one byte from the server: it says how often the worker must look.
    `warmup_slots` are those that warm up. In an open loop `due_ns` says when each request of this worker is due, in ns
    since the start, and `horizon_ns` how long the load lasts; in a closed loop it is None.
    """

    segment: str
    url: str
    headers: list[tuple[str, str]] = field(repr=False)
    limits: Limits
    slots: list[int]
    requests: int | None
    duration_ns: int | None
    warmup: int
    templates: list[BodyTemplate] = field(repr=False)
    warmup_templates: list[BodyTemplate] = field(repr=False)
    order: list[int] = field(repr=False)
    first: int
    step: int
    nonce_key: str
    repeat: bool
    verify: bool
    ca_file: str | None
    no_progress: float
    warmup_slots: list[int]
    due_ns: list[int] | None = None
    horizon_ns: int = 0
    digits: bool = False
    talk: Talk | None = None


@dataclass(frozen=True, slots=True)
class Go:
    """Start measuring at `start_ns`, the slots spread over `spread_ns` (this worker's own offsets are given)."""

    start_ns: int
    offsets_ns: list[int]


@dataclass(frozen=True, slots=True)
class EndSegment:
    """Close the requests in flight and end this segment, also when it has not begun yet. `why` is stored."""

    segment: str
    why: Stop


@dataclass(frozen=True, slots=True)
class Alive:
    """The worker's event loop still turns; said at `said_ns`, about once a second while a segment is on, after the end
    of each request that had ended by then.

    `quiet_ns` is how long no byte has come on any of its connections; None while it expects none.
    """

    segment: str
    quiet_ns: int | None
    said_ns: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker is up; `loop` and `stamps` are what it really uses."""

    loop: str
    stamps: str


@dataclass(frozen=True, slots=True)
class Warm:
    """Connections are open and warm-ups done; their mean response time tells how far to spread the start."""

    segment: str
    mean_response_ns: int | None


@dataclass(slots=True)
class FinishedRequest:
    """One request that has ended, as it was seen on the wire. `stalls` are those of the event loop that overlap its
    send or a read that the loop stamped: (start, length) in ns. `node` measured it, None where this machine did."""

    segment: str
    slot: int
    number: int
    phase: str
    first_wave: bool
    template: int
    nonce: str
    intended_ns: int
    timing: RequestTiming
    lag_ns: int | None
    stalls: list[tuple[int, int]]
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """What is to be known of a request while its segment goes on: how it ended, and the figures that are shown live.

    `ttft_s` and `decode_rate` are None where there are none; `is_of_tokens` says that the rate is not of text events.
    """

    number: int
    phase: str
    intended_ns: int
    end_ns: int
    outcome: str
    reason: str | None
    ttft_s: float | None = None
    decode_rate: float | None = None
    is_of_tokens: bool = False


@dataclass(frozen=True, slots=True)
class NodeMarks:
    """A node's part of a segment, and its clock.

    `offset_ns` is what its clock was ahead of this one's, known to `bound_ns`, and by `drift_ns` more when the segment
    had ended, known to `drift_bound_ns`; None where it was gone by then.
    """

    node: str
    requests: int
    offset_ns: int
    bound_ns: int
    drift_ns: int | None
    drift_bound_ns: int | None
    cpu_share: float | None
    lag_max_ns: int | None


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """Marks of a segment as one worker saw it; see the event log's `segment` line.

    `cpu_share` is of one core while measuring; memory is the process's peak so far. `nodes` are those of a cluster.
    """

    segment: str
    start_ns: int | None
    ramp_end_ns: int | None
    drain_start_ns: int | None
    end_ns: int
    stopped: Stop | None
    cpu_share: float | None
    cpu_s: float
    peak_rss_bytes: int
    lag_max_ns: int | None
    nodes: tuple[NodeMarks, ...] = ()
