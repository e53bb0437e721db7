"""One bounded question to a server: what came back, how long it took, or why nothing did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pydantic_core

from lmx_loadgen.decode.errors import plain, refusal
from lmx_loadgen.system.clock import now_ns

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
                taken = bytearray()
                async for piece in response.aiter_bytes():
                    taken += piece
                    if len(taken) > _MAX_BYTES:
                        return CheckReply(None, {}, b"", now_ns() - began, f"an answer over {_MAX_BYTES // 2**20} MB")
                return CheckReply(response.status_code, response.headers, bytes(taken), now_ns() - began)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, UnicodeError, ValueError) as error:
            return CheckReply(None, {}, b"", now_ns() - began, plain(str(error)) or _words(error))


def _words(error: Exception) -> str:
    """What an error without words of its own means."""
    if isinstance(error, httpx.TransportError | OSError):
        return "the connection was lost"
    return "the answer could not be read"
