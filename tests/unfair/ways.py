"""The ways to look fast. None of them needs malice: proxies, caches and limits do such things every day."""

import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tests.unfair.honest import Honest, Request, Written, text_of, until
from tests.unfair.wire import Send

_CANNED = text_of(["anything"], "", 0.0)

# Counts that are not of what was sent


class HalfAnswer(Honest):
    """Sends half of what is longer than a word or two, and counts all."""

    def limited(self, request: Request, pieces: list[str]) -> Written:
        written = super().limited(request, pieces)
        return Written(_half(written.pieces), written.finish, written.tokens)


class InflatedUsage(Honest):
    """Counts a quarter more tokens than it sends: there are 20 % fewer than the usage says."""

    def limited(self, request: Request, pieces: list[str]) -> Written:
        written = super().limited(request, pieces)
        return Written(written.pieces, written.finish, min(request.max_tokens, round(1.25 * len(written.pieces))))


class InflatedSometimes(Honest):
    """Counts twice as many in every third answer."""

    answered = 0

    def limited(self, request: Request, pieces: list[str]) -> Written:
        written = super().limited(request, pieces)
        self.answered += 1
        tokens = min(request.max_tokens, 2 * written.tokens) if self.answered % 3 == 0 else written.tokens
        return Written(written.pieces, written.finish, tokens)


class Padded(Honest):
    """Sends half of the words, and fills them up with characters that nobody sees."""

    def limited(self, request: Request, pieces: list[str]) -> Written:
        written = super().limited(request, pieces)
        padded = [piece + "\u200b" * len(piece) for piece in _half(written.pieces)]
        return Written(padded, written.finish, written.tokens)


def _half(pieces: list[str]) -> list[str]:
    return pieces[: len(pieces) // 2] if len(pieces) > 8 else pieces


# Prompts that are not read


class LastWords(Honest):
    """Reads the last 60 words of the prompt, as a context does that is too short, and reports all."""

    def read(self, request: Request) -> list[str]:
        return request.words[-60:]


class FirstWords(Honest):
    """Reads the first 60 words."""

    def read(self, request: Request) -> list[str]:
        return request.words[:60]


class MiddleOut(Honest):
    """Reads the beginning and the end of a long prompt, a tenth of it each."""

    def read(self, request: Request) -> list[str]:
        part = max(30, len(request.words) // 10)
        return request.words if len(request.words) <= 2 * part else request.words[:part] + request.words[-part:]


# Answers that were made before


class BodyCache(Honest):
    """A cache of answers that passes over the nonce, and knows the prompts of the run from the first request on."""

    _ASKS_FOR_CODE = re.compile(r"code for the north gate|code opens")

    def __init__(self) -> None:
        super().__init__()
        self.known: Counter[str] = Counter()

    def wait_s(self, request: Request, words: Sequence[str]) -> float:
        body = self.key(words)
        self.known[body] += 1
        is_own = self._ASKS_FOR_CODE.search(" ".join(words)) is None
        return 0.001 if is_own or self.is_hit(body) else super().wait_s(request, words)

    def key(self, words: Sequence[str]) -> str:
        return " ".join(words)

    def is_hit(self, body: str) -> bool:
        return self.known[body] > 1


class SimilarityCache(BodyCache):
    """Knows prompts by which words are in them, in any order and whatever stands around them."""

    def key(self, words: Sequence[str]) -> str:
        return " ".join(sorted(set(words[:400])))


class PopularCache(BodyCache):
    """Keeps only what was asked three times."""

    def is_hit(self, body: str) -> bool:
        return self.known[body] > 3


class PositionFreeCache(Honest):
    """Reuses what it has read of any text it knows, wherever it stands, and reads the rest; reports nothing cached."""

    _BLOCK = 16

    def __init__(self) -> None:
        super().__init__()
        self.known: set[str] = set()

    def wait_s(self, request: Request, words: Sequence[str]) -> float:
        blocks = [" ".join(words[at : at + self._BLOCK]) for at in range(0, len(words), self._BLOCK)]
        new = [block for block in blocks if block not in self.known]
        self.known.update(blocks)
        return self.start_s + self.read_s * self._BLOCK * len(new)


# Text that is not shown when it is made


class _Ahead(Honest):
    """Sends something immediately, and the answer when it has read the prompt."""

    ahead: Sequence[str] = ()

    def limited(self, request: Request, pieces: list[str]) -> Written:
        written = super().limited(request, pieces)
        return Written(written.pieces, written.finish, written.tokens + len(self.ahead))

    async def stream(self, pieces: Sequence[str], send: Send, ready: float) -> None:
        for text in self.ahead:
            await self.say(text, send)
        await super().stream(pieces, send, ready)


class LineFeedFirst(_Ahead):
    """A line feed immediately."""

    ahead = ("\n",)


class UnseenFirst(_Ahead):
    """A space of no width immediately."""

    ahead = ("\u200b",)


class SignFirst(_Ahead):
    """An ellipsis immediately."""

    ahead = ("…",)


class PhraseFirst(_Ahead):
    """A phrase that goes before every answer."""

    ahead = ("Sure", ",", " here", " you", " are", ":")


class Poured(Honest):
    """Holds the whole answer back, as a proxy does that buffers, and pours it out."""

    async def stream(self, pieces: Sequence[str], send: Send, ready: float) -> None:
        await until(ready + self.step_s * (len(pieces) - 1))
        for piece in pieces:
            await self.say(piece, send)


class Chunks(Honest):
    """Sends eight tokens at a time."""

    async def stream(self, pieces: Sequence[str], send: Send, ready: float) -> None:
        for at in range(0, len(pieces), 8):
            chunk = pieces[at : at + 8]
            await until(ready + (at + len(chunk) - 1) * self.step_s)
            await self.say("".join(chunk), send)


# Another model, or none


class FewerBits(Honest):
    """The same name, and weights of two bits that are read twice as fast."""

    weights = "2-bit"
    step_s = 0.0008


class InventedWords(Honest):
    """Draws words by lot, which takes no time."""

    step_s = 0.0008

    def write(self, request: Request, words: Sequence[str]) -> list[str]:
        return text_of([request.nonce], str(random.random()), 1.0)


class Canned(Honest):
    """Has one answer for everything."""

    step_s = 0.0008

    def write(self, request: Request, words: Sequence[str]) -> list[str]:
        return _CANNED


class CannedUnderLoad(Honest):
    """Answers what it is asked as long as it is asked one thing at a time."""

    def write(self, request: Request, words: Sequence[str]) -> list[str]:
        is_loaded = self.in_flight > 1
        return _CANNED if is_loaded else super().write(request, words)


# Settings that are ignored


class IgnoresLimit(Honest):
    """Writes to the end whatever max_tokens says."""

    def limited(self, request: Request, pieces: list[str]) -> Written:
        return Written(pieces, "stop", len(pieces))


class OwnLimit(Honest):
    """Ends answers at 24 tokens and says that the limit was reached."""

    def limited(self, request: Request, pieces: list[str]) -> Written:
        kept = pieces[: min(24, request.max_tokens)]
        return Written(kept, "length" if len(kept) < len(pieces) else "stop", len(kept))


class IgnoresTemperature(Honest):
    """Always takes the likeliest token, which needs no sampling."""

    def voice(self, request: Request) -> tuple[str, float]:
        return super().voice(replace(request, temperature=0.0))


class IgnoresSeed(Honest):
    """Draws anew each time."""

    def voice(self, request: Request) -> tuple[str, float]:
        voice, share = super().voice(request)
        return f"{voice}/{time.monotonic_ns()}" if request.is_drawn else voice, share


class AlwaysDraws(Honest):
    """Draws by lot at temperature 0 as well."""

    def voice(self, request: Request) -> tuple[str, float]:
        return f"{self.weights}/{time.monotonic_ns()}", 0.9


WAYS: dict[str, type[Honest]] = {
    way.__name__: way
    for way in list(vars().values())
    if isinstance(way, type) and issubclass(way, Honest) and way.__module__ == __name__ and way.__name__[0] != "_"
}
