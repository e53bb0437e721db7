"""Results as Opta-LMX's benchmark plan has them: a folder of them, one a file, and the fields that its reader knows."""

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic_core
from pydantic import BaseModel, ValidationError

from lmx_loadgen.errors import ResultError, StorageError, first_fault
from lmx_loadgen.store.result import (
    BenchmarkResult,
    BenchmarkRunStats,
    SkillsBenchmark,
    ToolCallBenchmark,
    write_whole,
)
from lmx_loadgen.system import folders

# Where Opta-LMX keeps its results.
PLAN_FOLDER = Path("~/.opta-lmx/benchmarks")

_MAX_BYTES = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_log = logging.getLogger(__name__)


class BenchmarkResultStore:
    """The results in one folder. What it does with a model's name cannot lead outside it.

    Args:
        directory: need not exist yet; `~` is the user's home.
    """

    def __init__(self, directory: str | os.PathLike[str] = PLAN_FOLDER) -> None:
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


def _read_or_warn(path: Path) -> BenchmarkResult | None:
    try:
        return read_benchmark(path)
    except ResultError as error:
        _log.warning("skipped %s", error)
        return None


# ---- the plan's fields ------------------------------------------------------------------------------

# What our models have beyond the plan's fields.
_OURS: dict[type[BaseModel], frozenset[str]] = {
    BenchmarkResult: frozenset({"origin"}),
    BenchmarkRunStats: frozenset({"token_counts"}),
    ToolCallBenchmark: frozenset({"form", "error"}),
}
_MAY_BE_NULL = frozenset({"tool_call", "raw_tool_call"})


def only_plan_keys(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of a result's JSON what the plan has a field for; values are left as they are, whatever they are."""
    kept: dict[str, Any] = _plan_part(found, BenchmarkResult)
    if isinstance(stats := kept.get("stats"), Mapping):
        kept["stats"] = stats = _plan_part(stats, BenchmarkRunStats)
        stats["tool_call"] = _plan_part(stats.get("tool_call"), ToolCallBenchmark)
        if isinstance(skills := stats.get("skills"), list):
            stats["skills"] = [_plan_part(skill, SkillsBenchmark) for skill in skills]
    return kept


def _plan_part(found: Any, model: type[BaseModel]) -> Any:
    if not isinstance(found, Mapping):
        return found
    return {key: found[key] for key in model.model_fields if key in found and key not in _OURS.get(model, ())}


def plan_fields(result: BenchmarkResult) -> dict[str, Any]:
    """The result as plain values with the plan's keys, all of them and no other; a version not known is empty."""
    return only_plan_keys(result.model_dump(mode="json")) | {"lmx_version": result.lmx_version or ""}


def identity(result: BenchmarkResult) -> str:
    """The same for two results that say the same in the plan's fields, wherever they lie."""
    return json.dumps(plan_fields(result), sort_keys=True)


def undefined(result: BenchmarkResult) -> list[str]:
    """The figures that Opta-LMX's reader demands and that are not defined here; with none it reads the result."""
    stats = plan_fields(result)["stats"]
    if stats is None:
        return ["stats"]
    of_call = {f"tool_call.{key}": value for key, value in (stats["tool_call"] or {}).items()}
    return [
        key
        for key, value in (stats | of_call).items()
        if value is None and key.removeprefix("tool_call.") not in _MAY_BE_NULL
    ]
