"""Which characters a reader sees."""

import unicodedata
from collections import Counter
from functools import cache

# Letters and symbols that are drawn as nothing, and marks that only change how the one before them looks.
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_UNSEEN_KINDS = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


@cache
def is_visible(character: str) -> bool:
    """Whether it leaves a trace on the screen: no white space, nothing of no width, no filler."""
    kind = unicodedata.category(character)
    is_selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return kind not in _UNSEEN_KINDS and not is_selector and character not in _BLANK


def visible_count(text: str) -> int:
    """How many of a text's characters are visible."""
    return sum(count for character, count in Counter(text).items() if is_visible(character))
