"""One bounded question to a server: what came back, how long it took, or why nothing did."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pydantic_core

from lmx_loadgen.decode.errors import plain, refusal
from lmx_loadgen.system.clock import NS, now_ns
from lmx_loadgen.wire.ending import QUIET_S, cut_from, end_of_done, finished_ns
from lmx_loadgen.wire.timing import RequestTiming

_MAX_BYTES = 4 * 1024 * 1024
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class CheckReply:
    """An answer as it came: `headers` by lower-case names, times in ns. `error` says why there is none."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    latency_ns: int
    error: str | None = None

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
        verify: the TLS context, or whether to check certificates.
        stop: asked twenty times a second whether the run is to end.
    """

    def __init__(self, verify: Any, stop: Callable[[], bool]) -> None:
        self._verify = verify
        self._stop = stop

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: Any = None, *, timeout_s: float
    ) -> CheckReply:
        """The whole answer, or why there is none. Never raises."""
        return anyio.run(self._bounded, method, url, headers, body, timeout_s)

    async def _bounded(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, timeout_s: float
    ) -> CheckReply:
        began = now_ns()
        replies: list[CheckReply] = []

        async def asked() -> None:
            replies.append(await self._asked(method, url, headers, body, began))
            group.cancel_scope.cancel()

        with anyio.move_on_after(timeout_s) as limit:
            async with anyio.create_task_group() as group:
                group.start_soon(asked)
                while not self._stop():  # noqa: ASYNC110 - set by a signal handler, which can wake nobody
                    await anyio.sleep(_LOOK_S)
                group.cancel_scope.cancel()
        if replies:
            return replies[0]
        why = f"no answer within {timeout_s:g} s" if limit.cancelled_caught else "the run was stopped"
        return CheckReply(None, {}, b"", now_ns() - began, why)

    async def _asked(self, method: str, url: str, headers: Mapping[str, str], body: Any, began: int) -> CheckReply:
        # Whoever asks sets one bound for the whole; a model may be silent for most of it.
        timeout = httpx.Timeout(None, connect=10.0)
        try:
            async with (
                httpx.AsyncClient(timeout=timeout, verify=self._verify, trust_env=False) as client,
                client.stream(method, url, headers=dict(headers), json=body) as response,
            ):
                timing = RequestTiming()
                await _take(response, timing, streamed=isinstance(body, dict) and bool(body.get("stream")))
                if len(timing.body) > _MAX_BYTES:
                    return CheckReply(None, {}, b"", now_ns() - began, f"an answer over {_MAX_BYTES // 2**20} MB")
                latency_ns = (timing.end_ns or now_ns()) - began
                return CheckReply(response.status_code, response.headers, bytes(timing.body), latency_ns)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError, ValueError) as error:
            return CheckReply(None, {}, b"", now_ns() - began, plain(str(error)) or _words(error))


async def _take(response: httpx.Response, timing: RequestTiming, *, streamed: bool) -> None:
    """Take in the body until it ends or is too large; a streamed one until its answer is over, which `end_ns` says."""
    pieces = response.aiter_bytes()
    while len(timing.body) <= _MAX_BYTES:
        finished = finished_ns(timing) if streamed else None
        left_s = math.inf if finished is None else QUIET_S - (now_ns() - finished) / NS
        with anyio.move_on_after(left_s) as quiet:
            piece = await anext(pieces, None)
        if quiet.cancelled_caught:
            timing.end_ns = now_ns()
            return
        if piece is None:
            return
        timing.body += piece
        timing.arrival_ns.append(now_ns())
        timing.arrival_bytes.append(len(piece))
        if streamed and (end := end_of_done(timing.body)) is not None:
            cut_from(timing, end)
            return


def _words(error: Exception) -> str:
    """What an error without words of its own means."""
    if isinstance(error, httpx.TransportError | OSError):
        return "the connection was lost"
    return "the answer could not be read"
