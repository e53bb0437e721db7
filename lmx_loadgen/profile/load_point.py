"""What a level is: the load that it puts on a server.

Today every load is a closed loop. Another kind of load is one class more, with the same properties, and one name more
in `LoadPoint`, which `kind` then tells apart.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, TypeAdapter

from lmx_loadgen.profile.shape import Shape


class Closed(BaseModel):
    """A closed loop: so many users, each of whom asks, reads the whole answer, and asks again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # What stands before `cell` in a sentence, and where there is little room.
    IN_WORDS: ClassVar[str] = "concurrency "
    IN_SHORT: ClassVar[str] = "C="

    kind: Literal["closed"] = "closed"
    concurrency: Annotated[int, Strict(), Field(ge=1, le=2**31)]
    shape: Shape | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def cell(self) -> str:
        """For a column or an axis that is headed by what it counts: `4`, or `512→128 at 4`."""
        return f"{self._of_shape}{self.concurrency:,}"

    @property
    def label(self) -> str:
        """For sentences: `concurrency 4`, or `512→128 at concurrency 4`."""
        return f"{self._of_shape}{self.IN_WORDS}{self.concurrency}"

    @property
    def short(self) -> str:
        """The same where there is little room: `C=4`, or `512→128 at C=4`."""
        return f"{self._of_shape}{self.IN_SHORT}{self.concurrency}"

    @property
    def _of_shape(self) -> str:
        return "" if self.shape is None else f"{self.shape.label} at "

    @property
    def slots(self) -> int:
        """The most requests that it has in flight."""
        return self.concurrency

    @property
    def order(self) -> tuple[float, ...]:
        """Points are shown by their kind, and within a kind from the lightest load to the heaviest."""
        shape = (0, 0) if self.shape is None else (self.shape.prompt, self.shape.answer)
        return (0, *shape, self.concurrency)


# With a second kind: Annotated[Closed | Open, Field(discriminator="kind")].
LoadPoint = Closed
# One request in flight at a time.
ALONE = Closed(concurrency=1)
_ADAPTER: TypeAdapter[LoadPoint] = TypeAdapter(LoadPoint)


def load_point(value: Any) -> LoadPoint:
    """The point that a stored object like `{"kind": "closed", "concurrency": 4}` means. Raises ValidationError."""
    return _ADAPTER.validate_python(value)


def concurrency_of(point: LoadPoint) -> int | None:
    """The plain number beside a closed loop's point, for scripts that look for it; None for any other kind."""
    return point.concurrency if point.kind == "closed" else None


def shape_of(point: LoadPoint) -> Shape | None:
    """The lengths that a point asks for; None where it takes prompts as they come."""
    return point.shape if point.kind == "closed" else None


def labels(points: Iterable[LoadPoint]) -> str:
    """Several points in a sentence: `concurrency 1, 4`."""
    return _joined((point.IN_WORDS, point.label) for point in points)


def short_labels(points: Iterable[LoadPoint]) -> str:
    """The same where there is little room: `C=1, 4`."""
    return _joined((point.IN_SHORT, point.short) for point in points)


def _joined(named: Iterable[tuple[str, str]]) -> str:
    """Words after each other, with what they begin with only once where it is the same."""
    found: list[str] = []
    before = ""
    for start, words in named:
        found.append(words.removeprefix(start) if start == before else words)
        before = start
    return ", ".join(found)
