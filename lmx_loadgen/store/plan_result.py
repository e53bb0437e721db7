"""A folder of `BenchmarkResult` files, one a file, as the benchmark plan for Opta-LMX keeps them."""

import logging
import os
import re
from pathlib import Path
from typing import Any

import pydantic_core
from pydantic import ValidationError

from lmx_loadgen.errors import ResultError, StorageError
from lmx_loadgen.store.result import BenchmarkResult, write_whole
from lmx_loadgen.system import folders

_MAX_BYTES = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_log = logging.getLogger(__name__)


class BenchmarkResultStore:
    """The results in one folder. What it does with a model's name cannot lead outside it.

    Args:
        directory: need not exist yet; `~` is the user's home.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = folders.expanded(Path(directory))

    def save(self, result: BenchmarkResult) -> Path:
        """Store a result under a name no other has, `<model slug>_<timestamp>.json`. Raises StorageError."""
        stem = f"{slug(result.model_id)}_{slug(result.timestamp)}"
        return write_new(self.directory, stem, result.model_dump_json(indent=1).encode() + b"\n")

    def files(self) -> list[Path]:
        """The files there may be results in."""
        return json_files(self.directory)

    def load_all(self, model_id: str | None = None) -> list[BenchmarkResult]:
        """All results, or those of one model, oldest first. A file that is no result is skipped with a warning."""
        found = [result for path in self.files() if (result := _read_or_warn(path)) is not None]
        return sorted(
            (result for result in found if model_id in (None, result.model_id)), key=lambda result: result.timestamp
        )


def slug(text: str) -> str:
    """The text as part of a file's name, 60 characters at most; it leads nowhere."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", text)[:60]


def json_files(folder: Path) -> list[Path]:
    """The `*.json` files right in a folder, by name; none where there is no such folder."""
    return sorted(path for path in folder.glob("*.json") if path.is_file())


def write_new(directory: Path, stem: str, data: bytes) -> Path:
    """Write a file of that name, or of the next that is free; two writers never take the same. Raises StorageError."""
    path = _claim(directory, stem)
    try:
        write_whole(path, data)
    except StorageError:
        path.unlink(missing_ok=True)  # the name was taken with an empty file, which is no result
        raise
    return path


def _claim(directory: Path, stem: str) -> Path:
    number = 1
    try:
        directory.mkdir(parents=True, exist_ok=True)
        while True:
            path = directory / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
            try:
                path.touch(exist_ok=False)
                return path
            except FileExistsError:
                number += 1
    except OSError as error:
        raise StorageError(f"cannot write to {directory}: {error.strerror or error}") from None


def read_json(path: Path) -> Any:
    """The JSON of a file, of bounded size and depth. Raises ResultError."""
    try:
        if not path.is_file():  # a pipe would be waited on for ever
            raise ResultError(f"{path}: no such file" if not path.exists() else f"{path}: not a file")
        if path.stat().st_size > _MAX_BYTES:
            raise ResultError(f"{path}: larger than any result (the limit is {_MAX_BYTES >> 20} MB)")
        return pydantic_core.from_json(path.read_bytes().removeprefix(_BOM), allow_inf_nan=False)
    except OSError as error:
        raise ResultError(f"{path}: {error.strerror or error}") from None
    except ValueError as problem:
        raise ResultError(f"{path}: not JSON: {problem}") from None


def read_benchmark(path: Path) -> BenchmarkResult:
    """The result in a file of a store. Raises ResultError, whose words name file and key."""
    try:
        return BenchmarkResult.model_validate(read_json(path))
    except ValidationError as problem:
        raise ResultError(f"{path}: {first_fault(problem)}") from None


def first_fault(problem: ValidationError) -> str:
    """The first thing that is wrong, in words without any of the file's own control characters."""
    first = problem.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    words = f"{place}: {first['msg']}" if place else first["msg"]
    return "".join(character if character.isprintable() else "?" for character in words[:300])


def _read_or_warn(path: Path) -> BenchmarkResult | None:
    try:
        return read_benchmark(path)
    except ResultError as error:
        _log.warning("skipped %s", error)
        return None
