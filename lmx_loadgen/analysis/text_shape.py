"""What is known of an answer's text: read from the text itself or, where `--no-text` left it out, from its line."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lmx_loadgen.analysis.quality import classify_coherence, coherence, compute_repetition_ratio, is_garbled
from lmx_loadgen.analysis.records import answer_text
from lmx_loadgen.store.result import Coherence

NOT_KEPT = "texts were not kept (--no-text)"

# Some servers leave reasoning in the content, and some templates write the opening tag themselves.
_THINKING = re.compile(r"\s*<think>|.*</think>", re.DOTALL)
_OPEN_THOUGHT = re.compile(r"\s*<think>(?!.*</think>)", re.DOTALL)
_MARKS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class TextShape:
    """A text in figures. `has_thought`: thoughts stand in the content itself; `is_open_thought`: and do not end."""

    repetition_ratio: float
    is_garbled: bool
    has_thought: bool
    is_open_thought: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def shape_of(text: str) -> TextShape:
    """The shape of a text."""
    thoughts = [pattern.match(text) is not None for pattern in (_THINKING, _OPEN_THOUGHT)]
    return TextShape(compute_repetition_ratio(text), is_garbled(text), *thoughts)


def stored_shape(line: Mapping[str, Any]) -> TextShape | None:
    """The shape in a request line, or in the answer of a check; None where the text itself is there."""
    found = line.get("shape")
    return TextShape(**{name: found[name] for name in TextShape.__slots__}) if isinstance(found, Mapping) else None


def coherence_of(line: Mapping[str, Any], natural: bool, count: int, limit: int) -> Coherence:
    """The coherence flag of a request line's answer, as `quality.classify_coherence` gives it."""
    stored = stored_shape(line)
    if stored is None:
        return classify_coherence(answer_text(line), natural, count, limit)
    return coherence(stored.repetition_ratio, stored.is_garbled, natural, count, limit)


def repetition_ratio_of(line: Mapping[str, Any]) -> float:
    """The share of repeated 5-grams in a request line's answer."""
    stored = stored_shape(line)
    return compute_repetition_ratio(answer_text(line)) if stored is None else stored.repetition_ratio


def has_thought(line: Mapping[str, Any]) -> bool:
    """Whether thoughts stand in the content of an answer, with or without their opening tag."""
    stored = stored_shape(line)
    return _THINKING.match(answer_text(line)) is not None if stored is None else stored.has_thought


def is_open_thought(line: Mapping[str, Any]) -> bool:
    """Whether an answer is a thought that was cut off."""
    stored = stored_shape(line)
    return _OPEN_THOUGHT.match(answer_text(line)) is not None if stored is None else stored.is_open_thought


def kept_text(line: Mapping[str, Any]) -> str | None:
    """The text of an answer; None where it was not kept."""
    return None if "shape" in line else answer_text(line)


def has_code(text: str, code: str) -> bool:
    """Whether a code stands in a text, whatever marks the model wrote between, such as another dash."""
    return _letters(code) in _letters(text)


def _letters(text: str) -> str:
    return _MARKS.sub("", text).upper()
