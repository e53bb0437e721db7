"""What a section of the page is made of, beside tables, charts and forests; `templates/parts.html` draws each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.report.charts import Chart
from lmx_loadgen.report.sanitize import sanitize

_FACT = 400


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; with `kind` warn or bad, a banner."""

    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Grid:
    """Charts beside each other, with the choice that they share."""

    charts: Sequence[Chart]
    columns: int = 1
    choice: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values in two columns; what is unknown is left out."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Quote:
    """What a model wrote, as it wrote it."""

    text: str


@dataclass(frozen=True, slots=True)
class Folded:
    """Parts behind a line that opens them."""

    title: str
    parts: Sequence[Any]
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A card with its title and chips; `look` is the index of its series. Two of them stand side by side."""

    title: str
    parts: Sequence[Any]
    look: int | None = None
    beside: str = ""
    chips: Sequence[str] = ()
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Boxes:
    """Cards; more than a few are folded, so that the page can be overlooked."""

    boxes: Sequence[Box]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with a heading, and its place in the list of contents."""

    key: str
    title: str
    parts: Sequence[Any] = field(default_factory=list)


def facts(*pairs: tuple[str, object]) -> Facts:
    """The facts that are known."""
    return Facts([(name, sanitize(value, _FACT)) for name, value in pairs if value not in (None, "")])


def flattened(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Nested values as dotted names and short texts; what is unset is left out."""
    for name, value in values.items():
        dotted = f"{path}{sanitize(name, 60)}"
        if isinstance(value, Mapping):
            yield from flattened(value, f"{dotted}.")
        elif value not in (None, "", []):
            yield dotted, _fact(value)


def _fact(value: Any) -> str:
    if isinstance(value, list):
        return sanitize(", ".join(_fact(item) for item in value), _FACT)
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {text}" for name, text in flattened(value))
    return ("yes" if value else "no") if isinstance(value, bool) else sanitize(value, _FACT)
