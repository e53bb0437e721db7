"""A text that no server has read before, with one code far from its end: who finds it has read the text there."""

import random
from dataclasses import dataclass

# The least that stands behind the code, and how many words the shortest text has.
WORDS_AFTER = 200
_LEAST_WORDS = 320
_LAST_WORDS = WORDS_AFTER + 20
_MOST_CHARACTERS = 400_000
# How deep the code lies in each text, as a share of what stands before its last words: a server that drops the
# beginning or the middle misses some or all.
DEPTHS = (0.3, 0.5, 0.7, 0.9)
MORE_DEPTHS = (0.2, 0.4, 0.6, 0.8)

_WHO = (
    "The baker", "A young pilot", "The night nurse", "My neighbor", "The old painter", "Her cousin", "The librarian",
    "A bus driver", "The gardener", "Our teacher", "The carpenter", "A tall stranger", "The mayor", "His sister",
    "The fisherman", "A retired judge", "The postman", "Their guide", "The violinist", "A quiet student",
)  # fmt: skip
_DID = (
    "counted", "carried", "painted", "hid", "sold", "repaired", "borrowed", "photographed", "weighed", "found",
    "described", "washed", "forgot", "wrapped", "collected", "measured", "traded", "guarded", "dropped", "sketched",
)  # fmt: skip
_WHAT = (
    "seven wooden crates", "a broken umbrella", "three silver spoons", "the green bicycle", "a bag of walnuts",
    "an empty birdcage", "two heavy ledgers", "a roll of blue cloth", "the brass telescope", "nine clay jars",
    "a pair of boots", "the last candle", "four paper lanterns", "a map of the valley", "the stubborn goat",
    "a basket of pears", "an iron kettle", "the wet sails", "six woolen blankets", "a jar of honey",
)  # fmt: skip
_WHERE = (
    "near the old harbor", "behind the mill", "under the stone bridge", "beside the railway", "at the edge of town",
    "in the narrow courtyard", "on the upper landing", "outside the chapel", "along the canal", "next to the well",
    "in the cold cellar", "by the orchard wall", "at the ferry landing", "in the back room", "on the market square",
    "above the bakery", "near the lighthouse", "across from the school", "in the empty barn", "at the crossroads",
)  # fmt: skip
_WHEN = (
    "before sunrise", "on a rainy Tuesday", "after the concert", "during the long drought", "late in October",
    "while the others slept", "at noon", "without a word", "for the second time", "to everyone's surprise",
    "when the bells rang", "in a great hurry", "just before winter", "on the way home", "after a short rest",
)  # fmt: skip
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
QUESTIONS = (
    "What is the code for the north gate in the text above? Answer with the code only.",
    "Which code opens the north gate, according to this text? Reply with nothing but the code.",
)


@dataclass(frozen=True, slots=True)
class NeedleText:
    """The text and the code in it, the only one of its kind there."""

    text: str
    code: str


def needle_text(seed: str, depth: float, characters: int) -> NeedleText:
    """A text of about so many characters (a few hundred words at least) with a code at `depth`, never with fewer than
    `WORDS_AFTER` words after it. The same seed gives the same text."""
    draw = random.Random(seed)
    sentences: list[str] = []
    words = length = 0
    wanted = min(characters, _MOST_CHARACTERS)
    while words < _LEAST_WORDS or length < wanted:
        sentences.append(" ".join(draw.choice(part) for part in (_WHO, _DID, _WHAT, _WHERE, _WHEN)) + ".")
        words += sentences[-1].count(" ") + 1
        length += len(sentences[-1]) + 1
    code = "".join(draw.choice(_LETTERS) for _ in range(2)) + f"-{draw.randrange(1000, 10_000)}"
    place = int(depth * (1 - _LAST_WORDS / words) * len(sentences))
    sentences.insert(place, f"The code for the north gate is {code}.")
    return NeedleText(" ".join(sentences), code)
