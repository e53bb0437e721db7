"""Results that this tool did not measure: where they are kept, and what is known of how they came to be."""

from pathlib import Path

from lmx_loadgen.store.plan_result import BenchmarkResultStore
from lmx_loadgen.store.result import BenchmarkResult

FOLDER = "imported"

# What stands beside such a result, by its `origin`.
ORIGINS = {
    "opta-lmx": "measured by Opta-LMX of itself, not by this tool: its p95 of tok/s is the best end (5 % of runs reach "
    "it), its tok/s counts one token too many, and its prompt tokens are words",
    "opta-lmx-older": "measured by an older benchmark of Opta-LMX, not by this tool: its tok/s may be over the whole "
    "answer, the time to the first token included; percentiles are made of its runs",
    "lmx-loadgen": "measured by lmx-loadgen and exported, by the name of its backend; its run is not here, and so "
    "neither intervals nor the tool's own error",
    "elsewhere": "not measured by this tool; how is not known",
}


def imported_store(results_dir: Path) -> BenchmarkResultStore:
    """Where imported results of a results folder are kept."""
    return BenchmarkResultStore(results_dir / FOLDER)


def imported_results(results_dir: Path) -> list[BenchmarkResult]:
    """All imported results, oldest first, each with an `origin`. A damaged file is skipped with a logged warning."""
    return [marked(result) for result in imported_store(results_dir).load_all()]


def marked(result: BenchmarkResult) -> BenchmarkResult:
    """The result with an origin: what lies among imports was not measured here, also where its file does not say so."""
    return result if result.origin else result.model_copy(update={"origin": "elsewhere"})


def origin_note(result: BenchmarkResult) -> str | None:
    """What is known of who measured it and how; None where this tool did, in the run it stands in."""
    return None if result.origin is None else note_on(result.origin)


def note_on(origin: str | None) -> str:
    """What stands beside results of this origin; those of none that is known are from elsewhere."""
    return ORIGINS.get(origin or "elsewhere", ORIGINS["elsewhere"])
