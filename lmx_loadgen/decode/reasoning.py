"""Thoughts, told from the answer that a person reads: in fields of their own, in parts, and in tags in the text."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lmx_loadgen.decode.fields import text_of

Event = tuple[int, str, str]

# The first that has text counts: servers that fill two of them say the same in both.
_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_text", "reasoning_details", "thinking_blocks")
REASONING_FIELDS = frozenset(_FIELDS)
_PARTS = frozenset({"thinking", "reasoning", "thought", "reasoning_text", "summary_text"})
_TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    # gpt-oss, whose channels some servers leave in the text
    ("<|channel|>analysis", "<|channel|>final<|message|>"),
    ("<|start|>assistant<|channel|>analysis", "<|channel|>final<|message|>"),
)
_OPENING = tuple(dict.fromkeys(opening for opening, _ in _TAGS))
_CLOSING = tuple(dict.fromkeys(closing for _, closing in _TAGS))
_CLOSES = re.compile("|".join(map(re.escape, _CLOSING)))
_OPENING_OF = {closing: opening for opening, closing in reversed(_TAGS)}
_SPACE = re.compile(r"\s*")
_QUOTES = frozenset("`'\"“”‘’«»")
# A tag that a sentence speaks of: a space before it, and a punctuation mark or a small letter to go on with after it.
_GOES_ON = re.compile(r"[.,;:!?)]|\s[a-z]")


class Thoughts:
    """The thoughts in the fields of one answer's deltas, each counted once."""

    def __init__(self) -> None:
        self._field = ""
        self._parts: list[str] = []
        self._size = 0

    def in_fields(self, delta: Mapping[str, Any]) -> str:
        """The new thought of a delta; empty where it has none.

        Some servers send the whole thought again at its end, under another name: that is nothing new.
        """
        text = text_of(delta.get(self._field))
        if not text:
            field = next((field for field in _FIELDS if text_of(delta.get(field))), "")
            text = text_of(delta.get(field))
            if not text or (len(text) == self._size and text == "".join(self._parts)):
                return ""
            self._field = self._field or field
        self._parts.append(text)
        self._size += len(text)
        return text


def content_parts(value: Any) -> list[tuple[str, str]]:
    """(kind, text) of a `content` that is a list of parts or one part; neighbors of a kind are one."""
    found: list[tuple[str, str]] = []
    for part in value if isinstance(value, list) else [value]:
        text = text_of(part)
        if not text:
            continue
        kind = "reasoning" if _is_thought(part) else "content"
        if found and found[-1][0] == kind:
            found[-1] = kind, found[-1][1] + text
        else:
            found.append((kind, text))
    return found


def _is_thought(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    return (isinstance(kind, str) and kind in _PARTS) or part.get("thought") is True


def split_thoughts(events: list[Event], choices: Iterable[Sequence[int]]) -> list[Event]:
    """The events of an answer with the thoughts in its content made `reasoning`, the tags included.

    `choices` has the places of the text events of each choice. An event that ends a thought and begins the answer
    becomes two; white space alone after the tag stays with it.
    """
    changed: dict[int, list[Event]] = {}
    for places in choices:
        content = [place for place in places if events[place][1] == "content"]
        thought_before = len(content) < len(places) and events[places[0]][1] == "reasoning"
        left = thought_end("".join([events[place][2] for place in content]), thought_before=thought_before)
        for place in content:
            if left <= 0:
                break
            index, _, text = events[place]
            cut = left if text[left:].strip() else len(text)
            changed[place] = [(index, "reasoning", text[:cut])]
            if cut < len(text):
                changed[place].append((index, "content", text[cut:]))
            left -= len(text)
    if not changed:
        return events
    return [split for place, event in enumerate(events) for split in changed.get(place, (event,))]


def thought_end(text: str, *, thought_before: bool = False) -> int:
    """How many characters at the start of an answer's text are thoughts, their tags included.

    A thought stands at the head of the text, opened by its tag; one that is not closed goes on to the end. Where the
    template wrote the opening tag, only the closing one is in the text. `thought_before`: thoughts have come in a field
    of their own, so that a closing tag can only be left over at the head.
    """
    end, at = 0, _SPACE.match(text).end()  # type: ignore[union-attr]
    while text.startswith(_OPENING, at):
        opening, closing = next(tag for tag in _TAGS if text.startswith(tag[0], at))
        closed = text.find(closing, at + len(opening))
        if closed < 0:
            return len(text)
        end = closed + len(closing)
        at = _SPACE.match(text, end).end()  # type: ignore[union-attr]
    if end or not any(closing in text for closing in _CLOSING):
        return end
    if thought_before:
        leftover = _CLOSES.match(text, at)
        return leftover.end() if leftover is not None else 0
    return _end_of_opened_by_template(text)


def _end_of_opened_by_template(text: str) -> int:
    """The end of the first closing tag that is meant as one."""
    fences = reached = 0
    opened: dict[str, int] = {}
    for closing in _CLOSES.finditer(text):
        fences += text.count("```", reached, closing.start())
        reached = closing.start()
        opening = _OPENING_OF[closing[0]]
        if opening not in opened:
            opened[opening] = text.find(opening)
        pair = opened[opening] if opened[opening] < closing.start() else -1
        if fences % 2 == 0 and not _is_spoken_of(text, closing, pair):
            return closing.end()
    return 0


def _is_spoken_of(text: str, closing: "re.Match[str]", pair: int) -> bool:
    """Whether a closing tag is only written about, as in an explanation of templates; `pair` is the place of an opening
    tag amid the text before it, -1 where there is none."""
    before, after = text[max(0, closing.start() - 1) : closing.start()], text[closing.end() : closing.end() + 2]
    if before in _QUOTES or after[:1] in _QUOTES:
        return True
    if pair < 0:
        return before == " " and _GOES_ON.match(after) is not None
    # The thought speaks of the opening tag where that one stands in a sentence, and the closing one on its own line.
    return text[pair - 1] == "\n" or not (before == "\n" and after.startswith(("\n", "\r")))
