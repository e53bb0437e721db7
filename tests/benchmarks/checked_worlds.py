"""Fair and unfair pairs for the checks that go by texts and by answers to questions of their own."""

import random
from collections.abc import Callable
from typing import Any

from tests.helpers.made_checks import check_line, settings

Line = dict[str, Any]
Change = Callable[[Line, random.Random], Line]
# The answers of one side to what it is asked beside the load.
Asked = Callable[[str, random.Random], list[Line]]

_PROMPTS = 12


def finding(share: float) -> Asked:
    """Codes that are found in this share of long prompts."""

    def ask(side: str, draw: random.Random) -> list[Line]:
        return [
            check_line(side, kind, f"text-{n}", "KX-4127" if draw.random() < share else "none", expects="KX-4127")
            for kind in ("needle", "new_nonce", "same_nonce")
            for n in range(4)
        ]

    return ask


def waiting(spread: float, *, hits: float = 0.0, prefix_cache: bool = False) -> Asked:
    """TTFTs that scatter; `hits` of the texts that come again are answered from a cache."""

    def ask(side: str, draw: random.Random) -> list[Line]:
        def ttft(cached: bool = False) -> float:
            return (30.0 if cached else 500.0) * draw.lognormvariate(0, spread)

        return [
            *(check_line(side, "needle", f"text-{n}", ttft=ttft()) for n in range(4)),
            *(check_line(side, "new_nonce", f"text-{n}", ttft=ttft(draw.random() < hits)) for n in range(4)),
            *(check_line(side, "same_nonce", f"text-{n}", ttft=ttft(prefix_cache)) for n in range(4)),
        ]

    return ask


def changing(share: float) -> Asked:
    """Answers at temperature 0, of which this share is another when asked for again."""

    def ask(side: str, draw: random.Random) -> list[Line]:
        first = [" ".join(_words(f"{n}")) for n in range(3)]
        again = [" ".join(_words(f"{n}/2")) if draw.random() < share else text for n, text in enumerate(first)]
        return settings(side, first=first, again=again)

    return ask


def pausing(share: float) -> Change:
    """Answers of which this share has a long pause after its first word."""

    def change(line: Line, draw: random.Random) -> Line:
        pause = 300_000_000 if draw.random() < share else 0
        first, *others = line["arrivals"]
        return line | {"arrivals": [first, *([at_ns + pause, size] for at_ns, size in others)]}

    return change


def counting(spread: float, more: float = 1.0) -> Change:
    """Texts with as many characters a token as chance has it, and a count of tokens that is `more` than there are."""

    def change(line: Line, draw: random.Random) -> Line:
        tokens = len(line["events"])
        events = [
            [index, kind, "x" * max(1, round(4 * draw.lognormvariate(0, spread))) + " "]
            for index, kind, _ in line["events"]
        ]
        return line | {"events": events, "usage": line["usage"] | {"completion_tokens": round(more * tokens)}}

    return change


def saying(weights: str, changed: float) -> Change:
    """Answers to a dozen prompts, of which the nonce and the weights change a share of the words."""

    def change(line: Line, draw: random.Random) -> Line:
        prompt = f"short-{draw.randrange(_PROMPTS):02d}"
        own, other = _words(prompt), _words(f"{weights}/{draw.random()}")
        words = [y if draw.random() < changed else x for x, y in zip(own, other, strict=True)]
        size = len(words) // len(line["events"])
        events = [
            [index, kind, " ".join(words[place * size : (place + 1) * size]) + " "]
            for place, (index, kind, _) in enumerate(line["events"])
        ]
        return line | {"prompt_id": prompt, "events": events}

    return change


def _words(seed: str) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(3)) for _ in range(60)]
