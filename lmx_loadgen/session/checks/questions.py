"""The short requests by which a comparison is checked, asked of every target in the same words after its load.

What each shows is judged later (`analysis.comparison`): whether the whole prompt is read, whether answers come out of a
cache, and whether `max_tokens`, `temperature` and `seed` are kept. All targets get the same nonces, so that two servers
with the same weights give the same answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lmx_loadgen.load.request import nonce_for
from lmx_loadgen.profile.models import Request
from lmx_loadgen.profile.prompt import Prompt
from lmx_loadgen.profile.prompts import PromptBook, with_nonce
from lmx_loadgen.session.checks.needle_text import DEPTHS, MORE_DEPTHS, QUESTIONS, NeedleText, needle_text
from lmx_loadgen.targets.base import text_of

Kind = Literal["needle", "new_nonce", "same_nonce", "settings"]
# Answers of a code, of anything that shows when the first token comes, and of what can be compared word by word.
NEEDLE_TOKENS, SHORT_TOKENS, FEWEST_TOKENS, TEXT_TOKENS = 20, 8, 4, 32
PAIRS = 3


@dataclass(frozen=True, slots=True)
class Question:
    """One request: `name` tells it from others of its kind, `expects` is what a right answer holds."""

    kind: Kind
    name: str
    nonce: str
    messages: Sequence[Mapping[str, Any]]
    settings: Request
    expects: str | None = None


class CheckQuestions:
    """Makes the questions of a run. `key` is the run's own, so that no server has seen them before."""

    def __init__(self, request: Request, book: PromptBook, key: str) -> None:
        self._request = request
        self._book = book
        self._key = key
        longest = max(len(_text(prompt)) for prompt in book.measured)
        self._texts = [
            needle_text(f"{key}/{place}", depth, longest) for place, depth in enumerate(DEPTHS + MORE_DEPTHS)
        ]

    def needle(self) -> list[Question]:
        """The code in each of some texts, which are as long as the longest prompt of the run."""
        return [self._code("needle", place, "", 0, NEEDLE_TOKENS) for place in range(len(DEPTHS))]

    def more_needles(self) -> list[Question]:
        """The same of more texts, which tell of a prompt that is read in part."""
        return [self._code("needle", len(DEPTHS) + place, "", 0, NEEDLE_TOKENS) for place in range(len(MORE_DEPTHS))]

    def caching(self) -> list[Question]:
        """The same texts under nonces of their own, each followed by the same beginning with another end."""
        return [
            question
            for place in range(len(DEPTHS))
            for question in (
                self._code("new_nonce", place, "again", 0, SHORT_TOKENS),
                self._code("same_nonce", place, "again", 1, SHORT_TOKENS),
            )
        ]

    def settings(self) -> list[Question]:
        """The run's shortest prompts: each twice in the very same words, twice with a smaller limit, and where answers
        are drawn by lot once with another seed."""
        found = []
        for place in range(PAIRS):
            found += [self._own(place, name, "", TEXT_TOKENS, 0) for name in ("first", "again")]
            found += [self._own(place, name, name, FEWEST_TOKENS, 0) for name in ("short", "short-again")]
            if self._request.temperature > 0 and self._request.seed is not None:
                found.append(self._own(place, "other-seed", "", TEXT_TOKENS, 1))
        return found

    def _code(self, kind: Kind, place: int, salt: str, wording: int, tokens: int) -> Question:
        found: NeedleText = self._texts[place]
        prompt: list[dict[str, Any]] = [{"role": "user", "content": f"{found.text}\n\n{QUESTIONS[wording]}"}]
        return self._question(kind, f"text-{place}", prompt, f"text/{place}/{salt}", tokens, 0, found.code)

    def _own(self, place: int, name: str, salt: str, tokens: int, more: int) -> Question:
        by_length = sorted(self._book.measured, key=lambda prompt: len(_text(prompt)))
        prompt = by_length[place % len(by_length)]
        return self._question(
            "settings", f"{name}-{place}", list(prompt.messages), f"own/{place}/{salt}", tokens, more, None
        )

    def _question(
        self, kind: Kind, name: str, messages: list[Any], salt: str, tokens: int, more: int, expects: str | None
    ) -> Question:
        nonce = nonce_for(f"{self._key}/{salt}", "check", 0, repeat=False)
        seed = None if self._request.seed is None else self._request.seed + more
        limit = min(tokens, self._request.max_tokens)
        settings = self._request.model_copy(update={"max_tokens": limit, "seed": seed, "ignore_eos": False})
        return Question(kind, name, nonce, with_nonce(messages, nonce), settings, expects)


def _text(prompt: Prompt) -> str:
    return "\n".join(text_of(message.get("content")) for message in prompt.messages)
