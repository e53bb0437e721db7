"""`recompute`: a run's result out of its event log alone, as this version computes it."""

from collections.abc import Sequence
from pathlib import Path

import click
import pydantic_core

from lmx_loadgen import __version__
from lmx_loadgen.analysis.measured_run import read_run
from lmx_loadgen.analysis.metrics import VERSION
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.errors import LoadgenError, ResultError, StorageError
from lmx_loadgen.store import eventlog, result
from lmx_loadgen.store.result import as_bytes, read_result, write_whole


def recompute_command(folders: Sequence[Path]) -> None:
    """Recompute every run and print what came of it. Raises the last run's error once all others are done."""
    failed: LoadgenError | None = None
    for folder in folders:
        try:
            click.echo(recompute(folder))
        except LoadgenError as error:
            if failed is not None:
                click.echo(f"Error: {failed}", err=True)
            failed = error
    if failed is not None:
        raise failed


def recompute(folder: Path) -> str:
    """Compute the result of a run anew and store it, a former one that differs beside it. Answers what came of it.

    The same version always gives the same bytes, and then nothing is written. Raises ResultError for a run that cannot
    be read, or whose result is of a later version; StorageError where the new one cannot be stored.
    """
    log = folder / eventlog.NAME
    if not log.is_file():
        raise ResultError(f"{folder} has no event log ({eventlog.NAME}): there is nothing to compute a result from")
    new = as_bytes(summarize(read_run(log)))
    path = folder / result.NAME
    old = _stored(path)
    if old == new:
        return f"{folder}: the same, byte for byte ({_versions()})"
    if old is None:
        write_whole(path, new)
        return f"{folder}: there was no result; made one ({_versions()})"
    label, why = _former(folder, old)
    kept = _keep(folder, label, old)
    write_whole(path, new)
    return f"{folder}: recomputed ({_versions()}); {why}, and is kept as {kept.name}"


def _versions() -> str:
    return f"lmx-loadgen {__version__}, metric definitions {VERSION}"


def _stored(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror or error}") from None


def _former(folder: Path, old: bytes) -> tuple[str, str]:
    """What to call a former result, and a word on why it differs. Raises ResultError for one of a later version."""
    try:
        found = read_result(folder)
    except ResultError:
        if _is_later(old):
            raise
        return "unreadable", "the former one cannot be read"
    if found.metrics_version > VERSION:
        raise ResultError(
            f"{folder / result.NAME} was computed by later metric definitions ({found.metrics_version}, this version "
            f"has {VERSION}): update lmx-loadgen to recompute it"
        )
    by, version = found.tool.computed_by, found.metrics_version
    if (by, version) == (__version__, VERSION):
        return "changed", "the former one is not what this version makes of the log (it, or the log, was changed)"
    return f"{by}-metrics-{version}", f"the former one is by lmx-loadgen {by}, metric definitions {version}"


def _is_later(old: bytes) -> bool:
    try:
        schema = pydantic_core.from_json(old).get("schema")
    except (ValueError, AttributeError):
        return False
    return type(schema) is int and schema > result.SCHEMA


def _keep(folder: Path, label: str, old: bytes) -> Path:
    """Write the former result beside the new one, under a name that nothing else has."""
    for turn in range(1, 1000):
        path = folder / f"result.{_plain(label)}{f'.{turn}' if turn > 1 else ''}.json"
        try:
            if not path.exists():
                write_whole(path, old)
                return path
            if path.read_bytes() == old:
                return path
        except OSError as error:
            raise StorageError(f"cannot keep the former result as {path}: {error.strerror or error}") from None
    raise StorageError(f"{folder} holds a thousand former results: move some of them away")


def _plain(label: str) -> str:
    return "".join(sign if sign.isalnum() or sign in ".-+" else "_" for sign in label)[:60]
