"""A folder of `BenchmarkResult` files, one a file, as the benchmark plan for Opta-LMX keeps them."""

import logging
import os
import re
from pathlib import Path

from pydantic import ValidationError

from lmx_loadgen.errors import StorageError
from lmx_loadgen.store.result import BenchmarkResult, write_whole

_MAX_BYTES = 16 * 1024 * 1024
_log = logging.getLogger(__name__)


class BenchmarkResultStore:
    """The results in one folder. What it does with a model's name cannot lead outside it.

    Args:
        directory: need not exist yet; `~` is the user's home.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory).expanduser()

    def save(self, result: BenchmarkResult) -> Path:
        """Store a result under a name no other has, `<model slug>_<timestamp>.json`. Raises StorageError."""
        path = self._claim(f"{_slug(result.model_id)}_{_slug(result.timestamp)}")
        write_whole(path, result.model_dump_json(indent=1).encode() + b"\n")
        return path

    def load_all(self, model_id: str | None = None) -> list[BenchmarkResult]:
        """All results, or those of one model, oldest first. A file that is no result is skipped with a warning."""
        found = [result for path in sorted(self.directory.glob("*.json")) if (result := _read(path)) is not None]
        return sorted(
            (result for result in found if model_id in (None, result.model_id)), key=lambda result: result.timestamp
        )

    def _claim(self, stem: str) -> Path:
        """An empty file of that name, or of the next that is free: two writers never take the same."""
        number = 1
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            while True:
                path = self.directory / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
                try:
                    path.touch(exist_ok=False)
                    return path
                except FileExistsError:
                    number += 1
        except OSError as error:
            raise StorageError(f"cannot write to {self.directory}: {error.strerror or error}") from None


def _slug(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", text)[:60]


def _read(path: Path) -> BenchmarkResult | None:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("larger than any result")
        return BenchmarkResult.model_validate_json(path.read_bytes())
    except OSError as error:
        why = error.strerror or str(error)
    except ValidationError as problem:
        first = problem.errors(include_url=False, include_input=False)[0]
        why = ": ".join([".".join(str(part) for part in first["loc"]), first["msg"]]).removeprefix(": ")
    except ValueError as problem:
        why = str(problem)
    _log.warning("skipped %s: %s", path, why)
    return None
