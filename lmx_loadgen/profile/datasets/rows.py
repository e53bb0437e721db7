"""The entries of a file, one after the other: lines, JSON Lines, a JSON array, or a table as CSV."""

import contextlib
import csv
import json
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.datasets.forms import COLUMNS, is_message, without_half_characters

_MEGABYTE = 1024 * 1024
_LONGEST_LINE = 64 * _MEGABYTE
# A larger array is read piece by piece, which takes another package.
_LARGE_JSON = 50 * _MEGABYTE
NEEDS_EXTRA = "needs an extra package: pip install 'lmx-loadgen[datasets]'"


class Row(NamedTuple):
    """One entry. `where` is how its user finds it, `size` about how many bytes it takes."""

    id: str
    value: Any
    where: str
    size: int


def lines_of(path: Path, what: str = "prompts file") -> Iterator[tuple[int, str]]:
    """The lines of a text that are not empty, with their numbers: without line ends, and without a byte order mark.
    Raises ProfileError for one that is not UTF-8, or has no end."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise ProfileError(f"{path}, line {number}: longer than {_LONGEST_LINE // _MEGABYTE} MB")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                utf16 = " (it looks like UTF-16)" if number == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
                raise ProfileError(
                    f"the {what} {path} is not UTF-8 text{utf16}, line {number}: save it as UTF-8"
                ) from None
            if text:
                yield number, text


def _text_rows(path: Path, column: str | None) -> Iterator[Row]:
    for number, line in lines_of(path):
        yield Row(f"line-{number}", line, f"{path}, line {number}", len(line))


def _jsonl_rows(path: Path, column: str | None) -> Iterator[Row]:
    for number, line in lines_of(path):
        where = f"{path}, line {number}"
        try:
            entry = _whole(json.loads(line), line)
        except (ValueError, RecursionError):
            raise ProfileError(f"{where}: not JSON") from None
        yield Row(f"line-{number}", entry, where, len(line))


def _json_rows(path: Path, column: str | None) -> Iterator[Row]:
    """One array of prompts, or one conversation."""
    size = path.stat().st_size
    entries = _streamed_entries(path) if size > _LARGE_JSON else _entries(path)
    for number, entry in enumerate(entries, 1):
        yield Row(f"entry-{number}", entry, f"{path}, entry {number}", len(str(entry)))


def _entries(path: Path) -> list[Any]:
    text = path.read_text(encoding="utf-8-sig")
    try:
        data = _whole(json.loads(text), text)
    except RecursionError:
        raise ProfileError(f"{path}: nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ProfileError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}); a file of one object a line is called .jsonl"
        ) from None
    if isinstance(data, dict) or (isinstance(data, list) and data and is_message(data[0])):
        data = [data]
    if not isinstance(data, list):
        raise ProfileError(f"{path}: needs an array of prompts, of conversations, or of messages")
    return data


def _streamed_entries(path: Path) -> Iterator[Any]:
    """The entries of an array that is too large to be in memory as a whole."""
    if find_spec("ijson") is None:
        raise ProfileError(f"{path}: a JSON array of over {_LARGE_JSON // _MEGABYTE} MB {NEEDS_EXTRA}")
    import ijson

    with path.open("rb") as file:
        if file.read(3) != b"\xef\xbb\xbf":
            file.seek(0)
        try:
            for entry in ijson.items(file, "item", use_float=True):
                yield without_half_characters(entry)
        except ijson.JSONError as error:
            words = " ".join(str(error).split())[:120]
            raise ProfileError(f"{path}: not a JSON array ({words})") from None


def _whole(entry: Any, text: str) -> Any:
    """The entry without halves of characters, which only escapes can bring in."""
    return without_half_characters(entry) if "\\u" in text else entry


def _csv_rows(path: Path, column: str | None) -> Iterator[Row]:
    """A table with a header: the cells of one column."""
    with path.open(encoding="utf-8-sig", newline="") as file, _long_cells():
        reader = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            place = header.index(chosen_column(header, column, path))
            for cells in reader:
                where = f"{path}, line {reader.line_num}"
                if cells and place >= len(cells):
                    raise ProfileError(f"{where}: has {len(cells)} cells, and {header[place]!r} is cell {place + 1}")
                if cells:
                    yield Row(f"line-{reader.line_num}", _cell(cells[place]), where, len(cells[place]))
        except csv.Error as error:
            raise ProfileError(f"{path}, line {reader.line_num}: not CSV ({error})") from None


def _cell(text: str) -> Any:
    """A cell of text, or of messages as JSON."""
    if text.lstrip()[:1] != "[":
        return text
    try:
        found = _whole(json.loads(text), text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, list) and found and isinstance(found[0], dict) else text


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    """The csv module's limit on a cell is one for the whole process, and lower than a long prompt."""
    former = csv.field_size_limit(_LONGEST_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(former)


def chosen_column(names: list[str], column: str | None, path: Path) -> str:
    """The column of a table to read. Raises ProfileError where it has none of that name, or none that is known."""
    wanted = COLUMNS if column is None else (column,)
    if (found := next((name for name in wanted if name in names), None)) is not None:
        return found
    has = f"(it has: {', '.join(names)[:200] or 'none'})"
    if column is not None:
        raise ProfileError(f"{path}: has no column {column!r}, which --column names {has}")
    raise ProfileError(f"{path}: has no column called {', '.join(COLUMNS)}: name one with --column {has}")


def _parquet_rows(path: Path, column: str | None) -> Iterator[Row]:
    from lmx_loadgen.profile.datasets.parquet import parquet_cells

    for number, value in parquet_cells(path, column):
        yield Row(f"row-{number}", value, f"{path}, row {number}", len(str(value)))


READERS: Mapping[str, Callable[[Path, str | None], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".ndjson": _jsonl_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".parquet": _parquet_rows,
}
# Of these a row is a single value already, whatever its column is called.
IS_TABLE = frozenset({".csv", ".tsv", ".parquet"})


def rows_of(path: Path, column: str | None = None) -> Iterator[Row]:
    """The entries of a file, by its name's ending; any other is text with a prompt a line. Raises ProfileError, and
    what opening it raises."""
    return READERS.get(path.suffix.lower(), _text_rows)(path, column)
