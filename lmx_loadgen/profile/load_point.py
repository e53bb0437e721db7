"""What a level is: the load that it puts on a server.

A kind of load is a class with the properties of `_Point`, and a name in `LoadPoint`, which `kind` tells apart.
"""

import math
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from lmx_loadgen.profile.fields import InFlight
from lmx_loadgen.profile.shape import Shape

# As many requests as an open loop has in flight at most, unless its user says otherwise.
DEFAULT_IN_FLIGHT = 256
_ASSUMED_ANSWER_S = 10.0
_ASSUMED_IN_REPLAY = 32

Arrivals = Literal["poisson", "constant"]


class _Point(BaseModel):
    """What every kind of load says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # What stands before `cell` in a sentence, and where there is little room.
    IN_WORDS: ClassVar[str] = ""
    IN_SHORT: ClassVar[str] = ""
    # Whether requests are due at times of their own, whatever became of those before them.
    IS_OPEN: ClassVar[bool] = False

    @property
    def cell(self) -> str:
        """For a column or an axis that is headed by what it counts: `4`."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """For sentences: `concurrency 4`."""
        return f"{self.IN_WORDS}{self.cell}"

    @property
    def short(self) -> str:
        """The same where there is little room: `C=4`."""
        return f"{self.IN_SHORT}{self.cell}"

    @property
    def slots(self) -> int:
        """The most requests that it has in flight."""
        raise NotImplementedError

    @property
    def likely_in_flight(self) -> int:
        """About how many requests it will have in flight, where nobody knows yet."""
        return self.slots

    @property
    def order(self) -> tuple[float, ...]:
        """Points are shown by their kind, and within a kind from the lightest load to the heaviest."""
        raise NotImplementedError


class Closed(_Point):
    """A closed loop: so many users, each of whom asks, reads the whole answer, and asks again."""

    IN_WORDS: ClassVar[str] = "concurrency "
    IN_SHORT: ClassVar[str] = "C="

    kind: Literal["closed"] = "closed"
    concurrency: InFlight
    shape: Shape | None = Field(default=None, exclude_if=lambda value: value is None)

    @property
    def cell(self) -> str:
        return f"{self._of_shape}{self.concurrency:,}"

    @property
    def label(self) -> str:
        return f"{self._of_shape}{self.IN_WORDS}{self.concurrency}"

    @property
    def short(self) -> str:
        return f"{self._of_shape}{self.IN_SHORT}{self.concurrency}"

    @property
    def _of_shape(self) -> str:
        return "" if self.shape is None else f"{self.shape.label} at "

    @property
    def slots(self) -> int:
        return self.concurrency

    @property
    def order(self) -> tuple[float, ...]:
        """Points are shown by their kind, and within a kind from the lightest load to the heaviest."""
        shape = (0, 0) if self.shape is None else (self.shape.prompt, self.shape.answer)
        return (0, *shape, self.concurrency)


class Open(_Point):
    """An open loop: `rate` requests a second come, however long the server takes, and none waits for another.

    A request that would be one more than `max_in_flight` is dropped.
    """

    IS_OPEN: ClassVar[bool] = True

    kind: Literal["open"] = "open"
    rate: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]
    arrivals: Arrivals = "poisson"
    max_in_flight: InFlight = DEFAULT_IN_FLIGHT

    @property
    def cell(self) -> str:
        constant = " constant" if self.arrivals == "constant" else ""
        return f"{self.rate:.6g} req/s{constant}"

    @property
    def slots(self) -> int:
        return self.max_in_flight

    @property
    def likely_in_flight(self) -> int:
        return min(self.max_in_flight, math.ceil(self.rate * _ASSUMED_ANSWER_S))

    @property
    def order(self) -> tuple[float, ...]:
        return (1, self.rate)


class Replay(_Point):
    """Requests come at the times of a recording; `file` is its name without its folder."""

    IN_WORDS: ClassVar[str] = "replay of "
    IN_SHORT: ClassVar[str] = "replay "
    IS_OPEN: ClassVar[bool] = True

    kind: Literal["replay"] = "replay"
    file: Annotated[str, Field(min_length=1, max_length=300)]
    max_in_flight: InFlight = DEFAULT_IN_FLIGHT

    @property
    def cell(self) -> str:
        return self.file

    @property
    def slots(self) -> int:
        return self.max_in_flight

    @property
    def likely_in_flight(self) -> int:
        return min(self.max_in_flight, _ASSUMED_IN_REPLAY)

    @property
    def order(self) -> tuple[float, ...]:
        return (2, 0.0)


class Sessions(_Point):
    """So many users, each of whom leads one chat after the other, turn by turn."""

    IN_WORDS: ClassVar[str] = ""
    IN_SHORT: ClassVar[str] = ""

    kind: Literal["sessions"] = "sessions"
    users: InFlight

    @property
    def cell(self) -> str:
        return f"{self.users} user{'' if self.users == 1 else 's'}"

    @property
    def slots(self) -> int:
        return self.users

    @property
    def order(self) -> tuple[float, ...]:
        return (3, self.users)


LoadPoint = Annotated[Closed | Open | Replay | Sessions, Field(discriminator="kind")]
# One request in flight at a time.
ALONE = Closed(concurrency=1)
_ADAPTER: TypeAdapter[LoadPoint] = TypeAdapter(LoadPoint)


def load_point(value: Any) -> LoadPoint:
    """The point that a stored object like `{"kind": "closed", "concurrency": 4}` means. Raises ValidationError."""
    found: LoadPoint = _ADAPTER.validate_python(value)
    return found


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
