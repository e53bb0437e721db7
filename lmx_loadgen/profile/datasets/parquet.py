"""Parquet, the form that most published datasets come in; it takes the extra `datasets`."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.profile.datasets.forms import without_half_characters
from lmx_loadgen.profile.datasets.rows import NEEDS_EXTRA, chosen_column

# Rows that are in memory at a time, beside the file's own row group.
_AT_A_TIME = 256


def parquet_cells(path: Path, column: str | None) -> Iterator[tuple[int, Any]]:
    """The cells of one column with the numbers of their rows, from 1. Raises ProfileError."""
    if find_spec("pyarrow") is None:
        raise ProfileError(f"{path}: a Parquet file {NEEDS_EXTRA}")
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            name = chosen_column(list(file.schema_arrow.names), column, path)
            for batch in file.iter_batches(batch_size=_AT_A_TIME, columns=[name]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    yield number, without_half_characters(_without_nulls(value))
    except pyarrow.ArrowException as error:
        words = " ".join(str(error).split())[:120]
        raise ProfileError(f"{path}, after row {number}: not a Parquet file that can be read ({words})") from None


def _without_nulls(value: Any) -> Any:
    """Rows of a column have all keys that any of them has: what a message lacks is null there."""
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    return value
