"""The request lines of an event log by where they stand in its file: a run may have more of them than memory holds."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from operator import eq
from pathlib import Path
from typing import Any, overload

from lmx_loadgen.errors import ResultError
from lmx_loadgen.store.segment_key import SegmentKey

Line = dict[str, Any]


class LinePlaces:
    """Where each request line of a log stands, which segment it is of, and what its times have to be shifted by."""

    def __init__(self) -> None:
        self.at = array("Q")
        self.length = array("I")
        self.shift = array("H")
        self.key = array("I")
        self.keys: dict[SegmentKey, int] = {}
        self.shifts_ns: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.at)

    def add(self, at: int, length: int, shift_ns: int, key: SegmentKey) -> None:
        self.at.append(at)
        self.length.append(length)
        self.shift.append(self.shifts_ns.setdefault(shift_ns, len(self.shifts_ns)))
        self.key.append(self.keys.setdefault(key, len(self.keys)))


class RequestLines(Sequence[Line]):
    """Some of a log's request lines, in their order; each is read from the file when it is asked for.

    Args:
        path: the log.
        places: where all request lines of the log stand.
        numbers: which of them these are, counted from 0.
        parse: makes a line of its bytes and of what its times are shifted by.
        voided_by: what to say of each in `superseded_by`; None where they count.

    Raises ResultError where the file cannot be read any more.
    """

    def __init__(
        self,
        path: Path,
        places: LinePlaces,
        numbers: Sequence[int],
        parse: Callable[[bytes, int], dict[str, Any]],
        voided_by: Sequence[int | None] | None = None,
    ) -> None:
        self._path = path
        self._places = places
        self.numbers = numbers
        self._parse = parse
        self.voided_by = voided_by or ()

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> Line: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Line]: ...
    def __getitem__(self, place: int | slice) -> Line | Sequence[Line]:
        if isinstance(place, slice):
            return list(self._read(range(len(self))[place]))
        return next(self._read([range(len(self))[place]]))

    def __iter__(self) -> Iterator[Line]:
        return self._read(range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    @property
    def keys(self) -> list[SegmentKey]:
        """Their segments, in the order of the first line of each."""
        names, key = list(self._places.keys), self._places.key
        return [names[code] for code in dict.fromkeys(key[number] for number in self.numbers)]

    def _read(self, places: Sequence[int]) -> Iterator[Line]:
        stands, shifts_ns = self._places, list(self._places.shifts_ns)
        try:
            with self._path.open("rb") as file:
                for place in places:
                    number = self.numbers[place]
                    file.seek(stands.at[number])
                    line = self._parse(file.read(stands.length[number]), shifts_ns[stands.shift[number]])
                    yield line | {"superseded_by": self.voided_by[place]} if self.voided_by else line
        except (OSError, ValueError) as error:
            raise ResultError(f"{self._path} cannot be read any more: {error}") from None
