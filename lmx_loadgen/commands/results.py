"""`results`: list, show, import and export, from their arguments to their output."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from lmx_loadgen.analysis.formats import plural
from lmx_loadgen.analysis.plan_importer import ImportedResults, results_in
from lmx_loadgen.analysis.stored_results import StoredResult, all_results, of_model
from lmx_loadgen.commands.lookup import find_result, find_results
from lmx_loadgen.errors import ResultError
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.store.imported import imported_store, origin_note
from lmx_loadgen.store.plan_result import (
    PLAN_FOLDER,
    identity,
    json_files,
    plan_fields,
    read_json,
    slug,
    undefined,
    write_new,
)
from lmx_loadgen.store.result import BenchmarkResult
from lmx_loadgen.system import folders

_MAX_FAULTS_SHOWN = 5
# What servers often do not tell and a tokenizer does.
_COUNTED = frozenset({"prompt_tokens", "output_tokens", "output_token_count", "completed_naturally"})


def print_list(results_dir: Path, model: str | None, as_json: bool) -> None:
    """Print every stored result, newest first."""
    results = of_model(all_results(results_dir, _warn), model)
    if as_json:
        click.echo(_json([_row(stored) for stored in results]))
    elif not results:
        click.echo(f"no result{' of such a model' if model else ''} in {sanitize(results_dir, 300)}", err=True)
    else:
        from rich.console import Console

        from lmx_loadgen.report.results_table import print_results

        print_results(results, Console())


def print_one(word: str, results_dir: Path, as_json: bool) -> None:
    """Print one result in full. Raises InputError or ResultError."""
    found = find_result(word, results_dir, _warn)
    if as_json:
        of_result = found.result.model_dump(mode="json")
        click.echo(
            _json({**of_result, "from": found.place, "path": str(found.path), "note": origin_note(found.result)})
        )
        return
    from rich.console import Console

    from lmx_loadgen.report.results_table import print_result

    print_result(found, Console())


def import_results(paths: Sequence[Path], results_dir: Path) -> None:
    """Import what Opta-LMX or an older tool of its kind stored, each result once. What is skipped is said why.

    Raises ResultError when nothing at all could be read, StorageError when it cannot be kept.
    """
    store = imported_store(results_dir)
    known = {identity(one.result) for one in all_results(results_dir, lambda words: None)}
    taken = there = skipped = 0
    for path in _files(paths):
        read = _read(path)
        skipped += len(read.faults)
        _warn_of_faults(path, read.faults)
        for result in read.results:
            if (same := identity(result)) in known:
                there += 1
                continue
            store.save(result)
            known.add(same)
            taken += 1
    if not taken and not there:
        raise ResultError("nothing was imported: no result could be read")
    kept = f"{plural(taken, 'result')} imported into {store.directory}"
    click.echo(_joined([kept, there and f"{there} there already", skipped and f"{skipped} skipped"]))


def export_results(words: Sequence[str], results_dir: Path, to: Path, model: str | None) -> None:
    """Write results into a folder as Opta-LMX reads them. What it could not read is said why, and left out.

    Raises ResultError when there is none that could be, StorageError when the folder cannot be written.
    """
    folder = folders.expanded(to)
    chosen = of_model(find_results(words, results_dir, _warn), model)
    known = {identity(result) for path in json_files(folder) for result in _read(path).results}
    written = there = 0
    for one in chosen:
        if (why := _unfit(one.result)) is not None:
            _warn(f"{one.result.model_id} ({one.place}): {why}", "not exported")
            continue
        if (same := identity(one.result)) in known:
            there += 1
            continue
        write_new(folder, _plan_stem(one.result), _plan_json(one.result))
        known.add(same)
        written += 1
    if not written and not there:
        raise ResultError(
            f"nothing was exported: {'none of the results can be read by Opta-LMX' if chosen else 'there is no result'}"
        )
    refused = len(chosen) - written - there
    kept = f"{plural(written, 'result')} exported to {folder}"
    click.echo(_joined([kept, there and f"{there} there already", refused and f"{refused} left out"]))


def _row(found: StoredResult) -> dict[str, Any]:
    """A row of the list as plain data; None where undefined."""
    result, stats = found.result, found.result.stats
    tool_call = stats.tool_call if stats else None
    return {
        "number": found.number,
        "timestamp": result.timestamp,
        "model_id": result.model_id,
        "backend": result.backend,
        "toks_per_sec_mean": stats.toks_per_sec_mean if stats else None,
        "ttft_mean_sec": stats.ttft_mean_sec if stats else None,
        "coherence_flag": stats.coherence_flag if stats else None,
        "tools": None if tool_call is None else "pass" if tool_call.passed else "fail",
        "status": result.status,
        "origin": result.origin,
        "from": found.place,
        "path": str(found.path),
    }


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files at these places, or in Opta-LMX's own folder. A place that has none is warned of."""
    if not paths and not folders.expanded(PLAN_FOLDER).is_dir():
        raise ResultError(f"{PLAN_FOLDER} is not there: name the file or the folder to import from")
    files: list[Path] = []
    for path in map(folders.expanded, paths or [PLAN_FOLDER]):
        if not _is_folder(path):
            files.append(path)  # also one that is not there, to be told of
        elif inside := json_files(path):
            files.extend(inside)
        else:
            _warn(f"{path}: no *.json file is in it")
    return files


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name too long, a folder above that is locked
        return False


def _read(path: Path) -> ImportedResults:
    try:
        return results_in(read_json(path), path.name)
    except ResultError as error:
        return ImportedResults(faults=[str(error).removeprefix(f"{path}: ")])


def _warn_of_faults(path: Path, faults: Sequence[str]) -> None:
    for fault in faults[:_MAX_FAULTS_SHOWN]:
        _warn(f"{path}: {fault}")
    if len(faults) > _MAX_FAULTS_SHOWN:
        _warn(f"{path}: {len(faults) - _MAX_FAULTS_SHOWN} more entries")


def _unfit(result: BenchmarkResult) -> str | None:
    """Why Opta-LMX could not read it, or would take it for more than it is."""
    if result.status != "ok":
        return "insufficient_data, fewer than two runs were completed"
    if not (missing := undefined(result)):
        return None
    hint = "; a tokenizer in the profile counts them" if result.origin is None and _COUNTED & set(missing) else ""
    return f"Opta-LMX demands what is not known: {', '.join(missing)}{hint}"


def _plan_stem(result: BenchmarkResult) -> str:
    """The name that Opta-LMX gives such a file; a timestamp of others cannot lead elsewhere."""
    stamp = re.sub(r"[^a-zA-Z0-9_+-]", "_", re.sub(r"[:.]", "-", result.timestamp))
    return f"{slug(result.model_id)}_{stamp[:60]}"


def _plan_json(result: BenchmarkResult) -> bytes:
    return json.dumps(plan_fields(result), indent=2, allow_nan=False).encode() + b"\n"


def _json(data: Any) -> str:
    """JSON in ASCII, and of that nothing a terminal acts upon."""
    return json.dumps(data, indent=1).replace("\x7f", "\\u007f")


def _joined(parts: Sequence[str | int]) -> str:
    return sanitize(", ".join(str(part) for part in parts if part), 600)


def _warn(words: str, what: str = "skipped") -> None:
    click.echo(f"{what}: {sanitize(words, 400)}", err=True)
