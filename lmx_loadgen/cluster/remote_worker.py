"""The run's handle on the measuring process of a node. What comes through it is on this machine's clock."""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lmx_loadgen.cluster.clock import ClockReading, read_clock
from lmx_loadgen.cluster.connection import Node, node_errors
from lmx_loadgen.cluster.node import Gone
from lmx_loadgen.cluster.shift import shifted_end, shifted_request
from lmx_loadgen.load.driver import WorkerDied
from lmx_loadgen.load.handle import Look
from lmx_loadgen.load.messages import (
    Alive,
    Ended,
    FinishedRequest,
    Go,
    Job,
    NodeMarks,
    Ready,
    SegmentEnd,
    Unpacker,
    packed,
)
from lmx_loadgen.wire.stamps import StampSource

# Ray keeps what is smaller than 100 KB in the memory of two processes. What is larger goes through its object store,
# which may write it to a disk: keys and texts must not.
_PIECE = 64 * 1024
_PIECES_UNDER_WAY = 8
_NEWS_S = 1.0
_ANSWER_S = 30.0
_CLOSE_S = 3.0


class RemoteWorker:
    """A `WorkerHandle` on a node of the cluster."""

    keeps_requests = True
    head_start_ns = 250_000_000

    def __init__(self, node: Node, loop: str, stamps: StampSource, key_variables: set[str]) -> None:
        self.node = node
        self.ready: Ready | None = None
        self.heard = time.monotonic()
        self.fd, self._wake = os.pipe()
        self._came: deque[Any] = deque()
        self._death: WorkerDied | None = None
        self._clock = ClockReading(0, 0)
        self._ended = 0
        self._is_closing = False
        self._ask("start", loop, stamps.value, key_variables)
        self._listener = threading.Thread(target=self._listen, name=f"news of {node.label}", daemon=True)
        self._listener.start()

    @property
    def is_running(self) -> bool:
        return self._death is None

    def begin(self, job: Job, look: Look) -> None:
        self._clock, self._ended = read_clock(self._now), 0
        self._ask("begin", look)
        self.send(job)

    def send(self, message: Any) -> None:
        if isinstance(message, Go):
            message = replace(message, start_ns=message.start_ns + self._clock.offset_ns)
        data = packed(message)
        for start in range(0, len(data), _PIECE):
            self._ask("take", data[start : start + _PIECE])

    def read(self) -> Iterator[Any]:
        os.read(self.fd, 4096)
        while self._came:
            message = self._came.popleft()
            if isinstance(message, WorkerDied):
                raise message
            yield message

    def kept(self) -> Iterator[FinishedRequest]:
        """The requests of the segment, piece by piece; several pieces are under way at once."""
        unpacker = Unpacker()
        with node_errors(self._gone):
            size = self._get(self.node.actor.kept.remote())
            starts = iter(range(0, size, _PIECE))
            under_way: deque[Any] = deque()
            while True:
                while len(under_way) < _PIECES_UNDER_WAY and (start := next(starts, None)) is not None:
                    under_way.append(self.node.actor.piece.remote(start, _PIECE))
                if not under_way:
                    return
                for sent in unpacker.messages(self._get(under_way.popleft())):
                    yield shifted_request(sent, -self._clock.offset_ns, self.node.label)

    def stuck(self) -> WorkerDied:
        return self._gone(f"it did not answer for {_ANSWER_S:g} s")

    def close(self) -> None:
        if self._is_closing:  # both who started it and who drove it let it go
            return
        self._is_closing = True
        if self._death is None:
            with contextlib.suppress(WorkerDied):
                self._ask("close", wait_s=_CLOSE_S)
        self.node.let_go()
        self._listener.join(_CLOSE_S)
        os.close(self.fd)
        os.close(self._wake)

    def _now(self) -> int:
        now: int = self._ask("now")
        return now

    def _ask(self, method: str, *given: Any, wait_s: float = _ANSWER_S) -> Any:
        """What the node says to a call. Raises WorkerDied."""
        if self._death is not None:
            raise self._death
        with node_errors(self._gone):
            return self._get(getattr(self.node.actor, method).remote(*given), wait_s)

    def _get(self, asked: Any, wait_s: float = _ANSWER_S) -> Any:
        return self.node.ray.get(asked, timeout=wait_s)

    def _gone(self, why: str) -> WorkerDied:
        """The error to raise, always the same: the node is gone."""
        if self._death is None:
            self._death = WorkerDied(
                f"{self.node.label} was lost: {why}; what it had measured of this level is lost with it"
            )
        return self._death

    def _listen(self) -> None:
        """On a thread of its own: hand over what the node says, as long as it says anything."""
        try:
            while not self._is_closing:
                with node_errors(self._gone):
                    news = self._get(self.node.actor.news.remote(_NEWS_S))
                for message in news:
                    self._hear(message)
                self._tell(len(news))
        except WorkerDied as death:
            self._came.append(death)
            self._tell(1)

    def _hear(self, message: Any) -> None:
        back_ns = -self._clock.offset_ns
        if isinstance(message, Gone):
            raise self._gone(message.words)
        if isinstance(message, Ended):
            self._ended += 1
            message = replace(message, intended_ns=message.intended_ns + back_ns, end_ns=message.end_ns + back_ns)
        elif isinstance(message, Alive):
            message = replace(message, said_ns=message.said_ns + back_ns)
        elif isinstance(message, SegmentEnd):
            message = replace(shifted_end(message, back_ns), nodes=(self._marks(message),))
        self._came.append(message)

    def _marks(self, end: SegmentEnd) -> NodeMarks:
        before, after = self._clock, read_clock(self._now)
        return NodeMarks(
            node=self.node.label,
            requests=self._ended,
            offset_ns=before.offset_ns,
            bound_ns=before.bound_ns,
            drift_ns=after.offset_ns - before.offset_ns,
            drift_bound_ns=before.bound_ns + after.bound_ns,
            cpu_share=end.cpu_share,
            lag_max_ns=end.lag_max_ns,
        )

    def _tell(self, messages: int) -> None:
        if messages and not self._is_closing:
            self.heard = time.monotonic()
            os.write(self._wake, b".")
