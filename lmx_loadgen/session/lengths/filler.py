"""Text of any length, word by word: a longer one begins with every shorter one."""

import random
from functools import cache

from lmx_loadgen.profile.prompt import Prompt, asked
from lmx_loadgen.profile.shape import Shape
from lmx_loadgen.profile.words import WORDS

# A model that does not know how to stop at a limit should not want to.
_ASK = "Continue this text for as long as you can:"
_TAIL = " a"


@cache
def _words(thousands: int) -> list[str]:
    chance = random.Random("filler")
    return [chance.choice(WORDS) for _ in range(1000 * thousands)]


def filler(words: int, tail: int = 0) -> str:
    """A text with so many words; `tail` short ones at its end bring it nearer to a length in tokens."""
    body = "".join(f" {word}" for word in _words(words // 1000 + 1)[:words])
    return f"{_ASK}{body}{_TAIL * tail}"


def filler_prompt(shape: Shape, words: int, tail: int) -> Prompt:
    """The prompt of a shape; its kind is what figures by prompt class go by."""
    return asked(f"{shape.text}-1", filler(words, tail), shape.text)
