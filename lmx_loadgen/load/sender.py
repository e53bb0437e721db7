"""One request on one connection: when it is sent is no concern of the sender."""

import asyncio
from collections.abc import Callable

import httpx

from lmx_loadgen.load.health import LagMeter
from lmx_loadgen.load.messages import FinishedRequest, Job
from lmx_loadgen.load.request import Turn, nonce_for
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.wire.timing import Limits, RequestTiming
from lmx_loadgen.wire.transport import StampedStream, StampedTransport

# The outcome of a request that was due and found as many in flight as may be.
DROPPED = "dropped"
_FULL = "as many requests as --max-in-flight allows were in flight when it was due"

Emit = Callable[[FinishedRequest], None]


def build(url: httpx.URL | str, headers: httpx.Headers | None, body: bytes, limits: Limits) -> httpx.Request:
    """The whole request, made before its clock starts; its trace is in `extensions["trace"]`.

    Parsing an address costs more than all the rest: whoever sends many requests passes an `httpx.URL`.
    """
    return httpx.Request(
        "POST", url, headers=headers, content=body, extensions={"trace": RequestTiming(), "limits": limits}
    )


async def perform(transport: StampedTransport, request: httpx.Request) -> RequestTiming:
    """Send the request and take in the whole answer. Failures are in the trace, not raised.

    When cancelled, the connection is closed, the trace says `cancelled`, and the cancellation goes on.
    """
    timing: RequestTiming = request.extensions["trace"]
    try:
        response = await transport.handle_async_request(request)
        stream = response.stream
        assert isinstance(stream, StampedStream)
        try:
            await stream.wait()
        except asyncio.CancelledError:
            await stream.aclose()
            raise
    except httpx.TransportError:
        assert timing.failure is not None
    return timing


class Sender:
    """Sends the requests of one job, each on the connection that it is given, and emits each as it ends.

    `stopped` is why requests in flight are being cancelled.
    """

    def __init__(self, job: Job, emit: Emit, meter: LagMeter) -> None:
        self.stopped: Stop | None = None
        self._job = job
        self._emit = emit
        self._meter = meter
        self._url = httpx.URL(job.url)
        self._headers = httpx.Headers(job.headers)

    async def connect(self, connection: StampedTransport) -> None:
        """Open the connection ahead of its first request. Raises an httpx.TransportError."""
        await connection.connect(self._url, self._job.limits)

    def made(self, turn: Turn) -> httpx.Request:
        """The request of a turn, which takes longer to make than to send."""
        job = self._job
        templates = job.templates if turn.phase == "measured" else job.warmup_templates
        return build(self._url, self._headers, templates[turn.template].fill(self._nonce(turn)), job.limits)

    def _nonce(self, turn: Turn) -> str:
        return nonce_for(self._job.nonce_key, turn.phase, turn.number, self._job.repeat)

    def drop(self, turn: Turn) -> None:
        """Emit that a request was due and is not sent."""
        at_ns = now_ns()
        timing = RequestTiming(end_ns=at_ns, failure=(DROPPED, _FULL))
        self._emit(self._finished(turn, timing, None, []))

    async def send(
        self, connection: StampedTransport, turn: Turn, request: httpx.Request | None = None
    ) -> RequestTiming:
        """Send the request of a turn, made ahead or now, and take in the whole answer; its trace, in which `end_ns` is
        set."""
        request = request or self.made(turn)
        timing: RequestTiming = request.extensions["trace"]
        try:
            await perform(connection, request)
        except asyncio.CancelledError:
            if timing.failure is None or timing.failure[0] == "cancelled":
                why = self.stopped
                told = "the run was stopped" if why is None or why.is_interruption else why.message
                timing.failure = ("cancelled", told)
            raise
        finally:
            timing.end_ns = timing.end_ns or now_ns()
            began = timing.send_ns if timing.send_ns is not None else turn.due_ns
            lag = self._meter.worst_between(began, timing.end_ns)
            stalls = self._meter.stalls_at(self._stamped_by_loop(connection, timing))
            self._emit(self._finished(turn, timing, lag, stalls))
        return timing

    def _finished(
        self, turn: Turn, timing: RequestTiming, lag: int | None, stalls: list[tuple[int, int]]
    ) -> FinishedRequest:
        return FinishedRequest(
            self._job.segment,
            turn.slot,
            turn.number,
            turn.phase,
            turn.first_wave,
            turn.template,
            self._nonce(turn),
            turn.due_ns,
            timing,
            lag,
            stalls,
        )

    def _stamped_by_loop(self, connection: StampedTransport, timing: RequestTiming) -> list[int]:
        """The moments of a request that a stall of the loop falsifies: its send; and its reads, where the kernel does
        not say when they came."""
        if timing.send_ns is None:
            return []
        by_kernel = connection.stamped_by_kernel(self._url)
        return [timing.send_ns] if by_kernel else [timing.send_ns, *timing.arrival_ns]
