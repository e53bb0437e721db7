"""One small request to a server that is probed, and its answer as read: by the transport that measures."""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pydantic_core

from lmx_loadgen.decode.chat import TEXT_KINDS, Answer, RawAnswer, read_answer, usage_counts
from lmx_loadgen.decode.errors import plain, words_of_body
from lmx_loadgen.decode.fields import from_json, name_of, text_of
from lmx_loadgen.decode.sse import decode
from lmx_loadgen.load.sender import perform
from lmx_loadgen.system.clock import NS
from lmx_loadgen.targets.base import Target, keys_of
from lmx_loadgen.wire.stamps import StampSource, kernel_stamps_available
from lmx_loadgen.wire.timing import Limits, RequestTiming
from lmx_loadgen.wire.transport import StampedTransport

WITHIN_S = 120.0
_CONNECT_S = 10.0
_STAMPS = StampSource.KERNEL if kernel_stamps_available() else StampSource.LOOP
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class CardReply:
    """An answer. `chunks` are the JSON objects of its stream; `cut` is whether it was closed once enough had come."""

    status: int | None
    body: bytes
    answer: Answer
    chunks: Sequence[Mapping[str, Any]]
    send_ns: int
    cut: bool = False

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300 and self.answer.outcome in ("ok", "empty")

    @property
    def refusal(self) -> str | None:
        """The server's words where it refused."""
        if self.ok or self.cut:
            return None
        return self.answer.reason or words_of_body(self.body) or f"HTTP {self.status}"

    @property
    def texts(self) -> list[str]:
        return [text for _, kind, text in self.answer.events if kind in TEXT_KINDS]

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def text_times(self) -> list[float]:
        """When each text event came, in seconds since the request was sent."""
        arrivals = self.answer.arrivals
        return [arrivals[index][0] / NS for index, kind, _ in self.answer.events if kind in TEXT_KINDS]

    @property
    def usage(self) -> tuple[int | None, int | None, int | None]:
        """(prompt, output, cached) tokens by the server's own word."""
        return usage_counts(self.answer.usage)


class CardClient:
    """Asks one target; `requests` counts. No answer raises: what went wrong is in the reply."""

    def __init__(self, target: Target, tls: ssl.SSLContext | None) -> None:
        self.target = target
        self.requests = 0
        self._tls = tls
        self._keys = keys_of([target])

    async def chat(self, body: Mapping[str, Any], *, enough: int | None = None) -> CardReply:
        """A chat of this target's model; closed once the stream has `enough` events."""
        whole = {"model": self.target.model, "stream": True, **body}
        return await self.post(pydantic_core.to_json(whole), is_streamed=bool(whole["stream"]), enough=enough)

    async def post(self, content: bytes, *, is_streamed: bool, enough: int | None = None) -> CardReply:
        """Any body to the chat endpoint."""
        self.requests += 1
        timing = RequestTiming()
        extensions = {"trace": timing, "limits": Limits(_CONNECT_S, WITHIN_S, WITHIN_S, WITHIN_S)}
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "lmx-loadgen"}
        request = httpx.Request(
            "POST",
            f"{self.target.base_url}/chat/completions",
            headers={**headers, **self.target.headers},
            content=content,
            extensions={**extensions, "is_streamed": is_streamed},
        )
        transport = StampedTransport(ssl_context=self._tls, stamps=_STAMPS)
        try:
            cut = await _performed(transport, request, timing, enough)
        finally:
            await transport.aclose()
        return self._reply(timing, is_streamed=is_streamed, cut=cut)

    def _reply(self, timing: RequestTiming, *, is_streamed: bool, cut: bool) -> CardReply:
        body = self._keys.redact_bytes(bytes(timing.body))
        start = timing.send_ns or 0
        pairs = zip(timing.arrival_ns, timing.arrival_bytes, strict=True)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in timing.headers]
        raw = RawAnswer(timing.status, headers, body, [(at - start, size) for at, size in pairs], timing.failure)
        answer = None if is_streamed else _whole_answer(raw)
        answer = answer or read_answer(raw, "chat", self.target.dialect.rules)
        return CardReply(timing.status, body, answer, _chunks(body) if is_streamed else (), start, cut)


async def _performed(
    transport: StampedTransport, request: httpx.Request, timing: RequestTiming, enough: int | None
) -> bool:
    """Send, and take in the answer, or as many events of it as are enough: whether it was cut there."""
    cut = False
    async with anyio.create_task_group() as group:

        async def whole() -> None:
            await perform(transport, request)
            group.cancel_scope.cancel()

        group.start_soon(whole)
        while enough is not None:
            await anyio.sleep(_LOOK_EVERY_S)
            if timing.body.count(b"data:") >= enough:
                cut = True
                group.cancel_scope.cancel()
                break
    return cut


def _whole_answer(raw: RawAnswer) -> Answer | None:
    """An answer that was asked for whole; None where it is none."""
    data = _object(raw.body)
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    if choice is None or raw.status is None or not 200 <= raw.status < 300:
        return None
    message, finish, usage = choice.get("message"), choice.get("finish_reason"), data.get("usage")
    text = text_of(message.get("content")) if isinstance(message, dict) else ""
    return Answer(
        events=[(0, "content", text)] if text and raw.arrivals else [],
        arrivals=raw.arrivals,
        outcome="ok",
        reason=None,
        model=name_of(data.get("model")),
        usage=usage if isinstance(usage, dict) else None,
        finish_reason=finish if isinstance(finish, str) else None,
    )


def _chunks(body: bytes) -> list[dict[str, Any]]:
    found = []
    for item in decode(body):
        if not item.comment and (chunk := _object(item.data.encode())):
            found.append(chunk)
    return found


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = from_json(data.decode("utf-8", "replace"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def shown(words: str | None) -> str | None:
    """A server's words as the card keeps them."""
    return plain(words, 200) if words else None
