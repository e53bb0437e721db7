"""One bounded question to a server: what came back, how long it took, or why nothing did.

It is timed like a measured request: by the same transport, on a connection that is open already, from just before the
question is written to the last byte of the answer.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pydantic_core

from lmx_loadgen.decode.encoding import Undecodable, unpacked
from lmx_loadgen.decode.errors import plain, refusal
from lmx_loadgen.load.sender import perform
from lmx_loadgen.session.stop_flag import unless_stopped
from lmx_loadgen.system import priority
from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.wire.stamps import StampSource
from lmx_loadgen.wire.timing import Limits, RequestTiming
from lmx_loadgen.wire.transport import StampedTransport

_MAX_BYTES = 4 * 1024 * 1024
_CONNECT_S = 10.0
_HEADERS = {"User-Agent": "lmx-loadgen", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class CheckReply:
    """An answer as it came: `headers` by lower-case names, times in ns. `error` says why there is none; `arrivals` are
    (since the question was sent, bytes of the body) of each read."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    latency_ns: int
    error: str | None = None
    arrivals: Sequence[tuple[int, int]] = ()

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return pydantic_core.from_json(self.body)
        except ValueError:
            return None

    def refusal(self) -> str:
        """What an answer with a status of no success says."""
        return refusal(self.status or 0, [], self.body)


class CheckClient:
    """Asks one target. Every question ends by itself: when it takes too long, says too much, or `stop` says so.

    Args:
        tls: whom to trust over TLS; None for the public authorities.
        stop: asked twenty times a second whether the run is to end.
        stamps: where the times of arrivals are taken.
    """

    def __init__(
        self, tls: ssl.SSLContext | None, stop: Callable[[], bool], stamps: StampSource = StampSource.LOOP
    ) -> None:
        self._tls = tls
        self._stop = stop
        self._stamps = stamps

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: Any = None, *, timeout_s: float
    ) -> CheckReply:
        """The whole answer, or why there is none. Never raises."""
        with priority.measuring():
            return anyio.run(self._bounded, method, url, headers, body, timeout_s)

    async def _bounded(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, timeout_s: float
    ) -> CheckReply:
        began = now_ns()
        replies: list[CheckReply] = []
        with anyio.move_on_after(timeout_s) as limit:
            replies = await unless_stopped(lambda: self._asked(method, url, headers, body, timeout_s), self._stop)
        if replies:
            return replies[0]
        why = f"no answer within {timeout_s:g} s" if limit.cancelled_caught else "the run was stopped"
        return CheckReply(None, {}, b"", now_ns() - began, why)

    async def _asked(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, timeout_s: float
    ) -> CheckReply:
        began, timing = now_ns(), RequestTiming()
        # Whoever asks sets one bound for the whole; a model may be silent for most of it.
        later = 2 * timeout_s + _CONNECT_S
        limits = Limits(_CONNECT_S, first_token=later, gap=later, request=later)
        is_streamed = isinstance(body, dict) and bool(body.get("stream"))
        extensions = {"trace": timing, "limits": limits, "is_streamed": is_streamed}
        transport = StampedTransport(ssl_context=self._tls, stamps=self._stamps)
        try:
            request = httpx.Request(method, url, headers={**_HEADERS, **headers}, json=body, extensions=extensions)
            await transport.connect(request.url, limits)
            return _reply(await perform(transport, request))
        except (httpx.TransportError, httpx.InvalidURL, UnicodeError, ValueError) as error:
            return CheckReply(None, {}, b"", now_ns() - began, plain(str(error)) or "the connection was lost")
        finally:
            await transport.aclose()


def _reply(timing: RequestTiming) -> CheckReply:
    """What a request left behind, as an answer."""
    last_ns = timing.arrival_ns[-1] if timing.arrival_ns else timing.headers_ns
    latency_ns = (last_ns or timing.end_ns or now_ns()) - (timing.send_ns or now_ns())
    if timing.failure is not None:
        return CheckReply(None, {}, b"", latency_ns, timing.failure[1])
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in timing.headers}
    encoding = headers.get("content-encoding", "identity").strip().lower() or "identity"
    body = bytes(timing.body)
    sent_ns = timing.send_ns or 0
    arrivals = [(at_ns - sent_ns, n) for at_ns, n in zip(timing.arrival_ns, timing.arrival_bytes, strict=True)]
    try:
        if encoding != "identity":
            body, arrivals = unpacked(encoding, body, arrivals, whole=True)
    except Undecodable as problem:
        return CheckReply(None, {}, b"", latency_ns, plain(str(problem)) or "the answer could not be read")
    if len(body) > _MAX_BYTES:
        return CheckReply(None, {}, b"", latency_ns, f"an answer over {_MAX_BYTES // 2**20} MB")
    return CheckReply(timing.status, headers, body, latency_ns, arrivals=arrivals)
