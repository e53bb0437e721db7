"""One request and its answer as they passed through, and by how much the passing delayed them."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from lmx_loadgen.decode.chat import RawAnswer
from lmx_loadgen.decode.encoding import Undecodable, unpacked
from lmx_loadgen.system.clock import now_ns

# Of a longer answer the rest is passed on and not kept.
_MOST_KEPT = 64 * 1024 * 1024


@dataclass
class PassedRequest:
    """What passed. Times are in ns on this machine's monotonic clock; header names are in lower case.

    `is_whole` says that the answer came to its end. `body` is the answer's, as it was framed by HTTP: chunks apart.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    request: bytes
    sent_ns: int = 0
    status: int | None = None
    answer_headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    is_whole: bool = False
    ended_ns: int = 0

    def take(self, data: bytes, at_ns: int) -> None:
        """A piece of the answer's body has come."""
        if len(self.body) + len(data) <= _MOST_KEPT:
            self.body += data
            self.arrivals.append((at_ns - self.sent_ns, len(data)))

    def end(self, *, is_whole: bool) -> None:
        self.is_whole, self.ended_ns = is_whole, now_ns()

    @property
    def plain_body(self) -> bytes:
        """The answer's body, unpacked where it was compressed; empty where that fails."""
        encoding = dict(self.answer_headers).get("content-encoding", "identity").strip().lower()
        if encoding in ("", "identity"):
            return bytes(self.body)
        try:
            return unpacked(encoding, bytes(self.body), [(0, len(self.body))], whole=self.is_whole)[0]
        except Undecodable:
            return b""

    @property
    def raw(self) -> RawAnswer:
        """The answer as it is decoded."""
        failure = None if self.is_whole else ("truncated", "the connection closed before the answer ended")
        return RawAnswer(self.status, self.answer_headers, bytes(self.body), self.arrivals, failure)


class Delays:
    """How long pieces took from the read that brought them to the write that passed them on, in ns: the counts of a
    histogram whose steps are a twentieth, so that a day of traffic takes no memory."""

    _STEP = 1.05

    def __init__(self) -> None:
        self._edges = [0, *(round(1000 * self._STEP**step) for step in range(300))]
        self._counts = [0] * len(self._edges)
        self.number = 0

    def add(self, delay_ns: int) -> None:
        self._counts[bisect_right(self._edges, delay_ns) - 1] += 1
        self.number += 1

    def percentile_ms(self, percent: float) -> float | None:
        """What that share of the pieces did not exceed, rounded up to a step; None where nothing passed."""
        left = self.number * percent / 100
        for place, (_, edge) in enumerate(pairwise([*self._edges, round(self._edges[-1] * self._STEP)])):
            left -= self._counts[place]
            if self.number and left <= 0:
                return edge / 1e6
        return None
