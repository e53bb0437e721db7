"""The records of a run that may have more of them than memory holds, and how some of them are chosen.

A page of records is kept in memory while it is used, and put aside else; so are the reads of each answer. Whoever goes
through `Records` should take what it needs of each and let it go.
"""

import marshal
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

from lmx_loadgen.analysis.read_records import record
from lmx_loadgen.analysis.records import Reads, Record, Stall
from lmx_loadgen.analysis.text_shape import TextShape
from lmx_loadgen.store.segment_key import SegmentKey
from lmx_loadgen.store.spool import Spool

Key = TypeVar("Key", bound=Hashable)

PAGE = 1024
PAGES_KEPT = 4
# The fields that are put aside as they are, in order; those behind them are made anew of plain tuples.
_PLAIN = slice(Record._fields.index("key"))


class RecordStore:
    """All records of a log, each with a number from 0.

    `line_of` gives a record's line by its number.
    """

    def __init__(self, line_of: Callable[[int], Mapping[str, Any]]) -> None:
        self._line_of = line_of
        self._spool = Spool()
        self._reads_at, self._reads_length = array("Q"), array("I")
        self._keys: dict[SegmentKey, int] = {}
        self._pages: OrderedDict[int, list[Record]] = OrderedDict()
        self._put_aside: dict[int, tuple[int, int]] = {}
        self._count = 0
        self._lock = threading.RLock()  # a stored run may be looked at from several threads

    def __len__(self) -> int:
        return self._count

    def add(self, line: Mapping[str, Any], by_loop: bool) -> None:
        """Take in the record of a request line; `by_loop` as in `record`."""
        found = record(line, by_loop)
        reads = found.reads
        parts = (reads.at_ns, reads.events, reads.characters, reads.running)
        at, length = self._spool.put(marshal.dumps([part.tobytes() for part in parts]))
        self._reads_at.append(at)
        self._reads_length.append(length)
        self._keys.setdefault(found.key, len(self._keys))
        at = self._count // PAGE
        if self._count % PAGE == 0:
            self._keep(at, [])
        self._page(at).append(found._replace(number=self._count, source=self))
        self._put_aside.pop(at, None)  # it is not whole
        self._count += 1

    def reads(self, number: int) -> Reads:
        """The reads of text of a record's answer."""
        parts = marshal.loads(self._spool.get(self._reads_at[number], self._reads_length[number]))
        return Reads(*(array(kind, part) for kind, part in zip("qIIq", parts, strict=True)))

    def line(self, number: int) -> Mapping[str, Any]:
        """The line that a record was read from."""
        return self._line_of(number)

    def some(self, numbers: Sequence[int]) -> Iterator[Record]:
        """The records with these numbers, in this order."""
        at, page = -1, list[Record]()
        for number in numbers:
            if number // PAGE != at:
                at = number // PAGE
                page = self._page(at)
            yield page[number % PAGE]

    def _page(self, at: int) -> list[Record]:
        with self._lock:
            page = self._pages.get(at)
            if page is None:
                page = self._taken_back(at)
                self._keep(at, page)
            else:
                self._pages.move_to_end(at)
            return page

    def _keep(self, at: int, page: list[Record]) -> None:
        self._pages[at] = page
        while len(self._pages) > PAGES_KEPT:
            oldest, records = self._pages.popitem(last=False)
            if oldest not in self._put_aside:
                self._put_aside[oldest] = self._spool.put(self._packed(records))

    def _packed(self, page: Sequence[Record]) -> bytes:
        rebuilt = [
            (self._keys[one.key], tuple(map(tuple, one.stalls)), tuple(one.shape)) for one in page
        ]  # fmt: skip
        return marshal.dumps(([one[_PLAIN] for one in page], rebuilt))

    def _taken_back(self, at: int) -> list[Record]:
        plain, rebuilt = marshal.loads(self._spool.get(*self._put_aside[at]))
        keys, first = list(self._keys), at * PAGE
        page = []
        for number, (row, (key, stalls, shape)) in enumerate(zip(plain, rebuilt, strict=True), first):
            was = tuple(map(Stall._make, stalls)) if stalls else ()
            page.append(Record._make((*row, keys[key], was, TextShape._make(shape), number, self)))
        return page


class Records(Sequence[Record]):
    """Some of the records of a store, in an order, by their numbers."""

    def __init__(self, store: RecordStore, numbers: Sequence[int]) -> None:
        self._store = store
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> "Records": ...
    def __getitem__(self, place: int | slice) -> "Record | Records":
        if isinstance(place, slice):
            return self.of(self.numbers[place])
        return next(self._store.some([self.numbers[place]]))

    def __iter__(self) -> Iterator[Record]:
        return self._store.some(self.numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def of(self, numbers: Sequence[int]) -> "Records":
        """Others of the same store."""
        return Records(self._store, numbers)


def where(records: Sequence[Record], wanted: Callable[[Record], bool]) -> Sequence[Record]:
    """Those records that are wanted."""
    if isinstance(records, Records):
        return records.of(array("I", (one.number for one in records if wanted(one))))
    return [one for one in records if wanted(one)]


def grouped(records: Sequence[Record], key: Callable[[Record], Key]) -> dict[Key, Sequence[Record]]:
    """The records by what `key` says of them, in their order."""
    if not isinstance(records, Records):
        lists: dict[Key, list[Record]] = {}
        for one in records:
            lists.setdefault(key(one), []).append(one)
        return dict(lists)
    numbers: dict[Key, array[int]] = {}
    for one in records:
        numbers.setdefault(key(one), array("I")).append(one.number)
    return {name: records.of(mine) for name, mine in numbers.items()}


def by_time(records: Sequence[Record], moment_ns: Callable[[Record], int]) -> Sequence[Record]:
    """The records in the order of a moment of theirs."""
    if not isinstance(records, Records):
        return sorted(records, key=moment_ns)
    import numpy as np

    moments = np.fromiter(map(moment_ns, records), np.int64, len(records))
    numbers = np.array(records.numbers, np.uint32)[moments.argsort(kind="stable")]
    return records.of(array("I", numbers.tobytes()))


def joined(parts: Sequence[Sequence[Record]]) -> Sequence[Record]:
    """The records of all parts, one after the other."""
    if parts and all(isinstance(part, Records) for part in parts):
        numbers = array("I")
        for part in parts:
            numbers.extend(part.numbers)  # type: ignore[attr-defined]
        return parts[0].of(numbers)  # type: ignore[attr-defined, no-any-return]
    return [one for part in parts for one in part]
