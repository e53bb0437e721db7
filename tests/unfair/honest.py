"""An honest server with a made-up model: it reads the whole prompt, writes what belongs to it, and counts it right.

What it writes depends on the prompt first, and a little on its nonce and on the weights, as with real models: at
temperature 0 the same request gets the same answer, and another nonce or other bits change a phrase here and there.
"""

import asyncio
import random
import re
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.unfair.wire import Send

_CODE = re.compile(r"[A-Z]{2}-\d{4}")
_SYLLABLES = (
    "ka",
    "lo",
    "mi",
    "ren",
    "sta",
    "vel",
    "por",
    "dun",
    "ice",
    "ath",
    "or",
    "ging",
    "lem",
    "tra",
    "sol",
    "ber",
)
_SENTENCES, _WORDS = 7, 7
# Of an answer's sentences, those that the nonce and the weights change, and those that are drawn.
_VARIED, _DRAWN = 0.2, 0.8


@dataclass(frozen=True)
class Request:
    """What a request asks for, its nonce apart from the words of the prompt."""

    nonce: str
    words: list[str]
    max_tokens: int
    temperature: float
    seed: int | None

    @property
    def is_drawn(self) -> bool:
        return self.temperature > 0


@dataclass
class Written:
    """An answer: its pieces, a token each; how it ends, and how many tokens the server says it has."""

    pieces: list[str]
    finish: str
    tokens: int


class Honest:
    """One server. The times are in seconds: before the first token, for each word of the prompt, and a token."""

    model: ClassVar[str] = "harbor-7b-instruct"
    weights: ClassVar[str] = "4-bit"
    template_tokens: ClassVar[int] = 12
    start_s: ClassVar[float] = 0.004
    read_s: ClassVar[float] = 0.0001
    step_s: ClassVar[float] = 0.0015

    def __init__(self) -> None:
        self.in_flight = 0
        self.sent = 0

    async def answer(self, body: dict[str, Any], send: Send) -> None:
        """Answer one request."""
        request = _request(body)
        self.in_flight += 1
        try:
            written = await self.run(request, send)
        finally:
            self.in_flight -= 1
        await send(self._event({}, written.finish))
        prompt = self.template_tokens + len(request.words) + 1
        usage = {"prompt_tokens": prompt, "completion_tokens": written.tokens, "total_tokens": prompt + written.tokens}
        await send({"id": "r", "model": self.model, "choices": [], "usage": usage})

    async def run(self, request: Request, send: Send) -> Written:
        """Read, write and send; what was written."""
        began = time.monotonic()
        words = self.read(request)
        ready = began + self.wait_s(request, words)
        written = self.limited(request, self.write(request, words))
        await self.stream(written.pieces, send, ready)
        return written

    def read(self, request: Request) -> list[str]:
        """The words of the prompt that the model gets to see."""
        return request.words

    def wait_s(self, request: Request, words: Sequence[str]) -> float:
        """From the request to the first token."""
        return self.start_s + self.read_s * len(words)

    def write(self, request: Request, words: Sequence[str]) -> list[str]:
        """The whole answer: a code where the end of the prompt asks for one and it is there, else a text."""
        if words[-1] in ("only.", "code."):
            codes = [code for word in words if (code := _CODE.search(word))]
            found = codes[0][0] if codes else "unknown"
            return [*(found[place : place + 2] for place in range(0, len(found), 2)), "."]
        return text_of(words, *self.voice(request))

    def voice(self, request: Request) -> tuple[str, float]:
        """What an answer depends on beside the prompt, and how much of it does."""
        voice = f"{self.weights}/{request.nonce}"
        return (f"{voice}/{request.seed}", _DRAWN) if request.is_drawn else (voice, _VARIED)

    def limited(self, request: Request, pieces: list[str]) -> Written:
        """The answer as far as the request lets it go."""
        kept = pieces[: request.max_tokens]
        return Written(kept, "length" if len(kept) < len(pieces) else "stop", len(kept))

    async def stream(self, pieces: Sequence[str], send: Send, ready: float) -> None:
        """Send the pieces, the first when the prompt is read and the others a step apart."""
        for place, piece in enumerate(pieces):
            await until(ready + place * self.step_s)
            await self.say(piece, send)

    async def say(self, text: str, send: Send) -> None:
        self.sent += 1
        await send(self._event({"content": text}, None))

    def _event(self, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
        return {"id": "r", "model": self.model, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


async def until(moment: float) -> None:
    """Wait for a moment of the monotonic clock."""
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


def text_of(words: Sequence[str], voice: str, share: float) -> list[str]:
    """A text about the prompt in made-up words, that share of its sentences after the voice."""
    topic = str(zlib.crc32(" ".join(words).encode()))
    own, varied = random.Random(topic), random.Random(topic + voice)
    pieces: list[str] = []
    for _ in range(_SENTENCES):
        sentence = [_word(own) for _ in range(_WORDS)]
        if varied.random() < share:
            sentence = [_word(varied) for _ in range(_WORDS)]
        pieces += [*(f" {word}" for word in sentence), "."]
    return pieces


def _word(draw: random.Random) -> str:
    return "".join(draw.choice(_SYLLABLES) for _ in range(draw.choice((1, 2, 2, 3))))


def _request(body: dict[str, Any]) -> Request:
    nonce, _, prompt = body["messages"][0]["content"].partition(" ")
    more = " ".join(message["content"] for message in body["messages"][1:])
    return Request(
        nonce, f"{prompt} {more}".split(), body["max_tokens"], body.get("temperature", 1.0), body.get("seed")
    )


class HonestCopy(Honest):
    """The same again on another port."""


class Mlx4Bit(Honest):
    """A model as MLX has it in 4 bits."""

    model = "mlx-community/Qwen2.5-7B-Instruct-4bit"
    weights = "MLX 4-bit"
    start_s = 0.006


class Q4KM(Honest):
    """The same model as Ollama has it in Q4_K_M: another template, other rounding, and so other answers."""

    model = "qwen2.5:7b-instruct-q4_K_M"
    weights = "Q4_K_M"
    template_tokens = 33
