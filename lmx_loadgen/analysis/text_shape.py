"""What is known of an answer's text: read from the text itself or, where `--no-text` left it out, from its line."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from lmx_loadgen.analysis.quality import coherence, compute_repetition_ratio, is_garbled
from lmx_loadgen.analysis.text_events import answer_text
from lmx_loadgen.store.result import Coherence

NOT_KEPT = "texts were not kept (--no-text)"

# Some servers leave reasoning in the content, and some templates write the opening tag themselves.
_THINKING = re.compile(r"\s*<think>|.*</think>", re.DOTALL)
_OPEN_THOUGHT = re.compile(r"\s*<think>(?!.*</think>)", re.DOTALL)
_MARKS = re.compile(r"[\W_]+")


class TextShape(NamedTuple):
    """A text in figures. `has_thought`: thoughts stand in the content itself; `is_open_thought`: and do not end."""

    repetition_ratio: float
    is_garbled: bool
    has_thought: bool
    is_open_thought: bool

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()


def shape_of(text: str) -> TextShape:
    """The shape of a text."""
    thoughts = [pattern.match(text) is not None for pattern in (_THINKING, _OPEN_THOUGHT)]
    return TextShape(compute_repetition_ratio(text), is_garbled(text), *thoughts)


def stored_shape(line: Mapping[str, Any]) -> TextShape | None:
    """The shape in a request line, or in the answer of a check; None where the text itself is there."""
    found = line.get("shape")
    return TextShape(**{name: found[name] for name in TextShape._fields}) if isinstance(found, Mapping) else None


def shape_of_line(line: Mapping[str, Any]) -> TextShape:
    """The shape of the answer of a request line, or of a check."""
    stored = stored_shape(line)
    return shape_of(answer_text(line)) if stored is None else stored


def coherence_of(shape: TextShape, natural: bool, count: int, limit: int) -> Coherence:
    """The coherence flag of an answer, as `quality.classify_coherence` gives it of a text."""
    return coherence(shape.repetition_ratio, shape.is_garbled, natural, count, limit)


def kept_text(line: Mapping[str, Any]) -> str | None:
    """The text of an answer; None where it was not kept."""
    return None if "shape" in line else answer_text(line)


def has_code(text: str, code: str) -> bool:
    """Whether a code stands in a text, whatever marks the model wrote between, such as another dash."""
    return _letters(code) in _letters(text)


def _letters(text: str) -> str:
    return _MARKS.sub("", text).upper()
