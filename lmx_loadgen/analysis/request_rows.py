"""The requests of a run as flat rows, for spreadsheets and scripts: seconds and counts, None where undefined."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmx_loadgen.analysis.level import basis_of, sample_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.record_store import by_time, grouped, where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis, output_tokens, prompt_tokens
from lmx_loadgen.profile.load_point import concurrency_of
from lmx_loadgen.system.clock import NS, Anchor

_SECONDS = ("ttft", "ttfo", "tpot", "e2e", "longest_stall")
COLUMNS = (
    *("run_id", "target", "load_point", "concurrency", "block", "phase", "prompt_id", "started_at", "start_s"),
    *(f"{name}_s" for name in _SECONDS),
    *("prompt_tokens", "output_tokens", "token_basis", "outcome", "reason"),
)


def request_rows(run: MeasuredRun) -> Iterator[dict[str, Any]]:
    """A row with all `COLUMNS` for each request that ended, warm-ups and probes too, in the order they began.

    A request that did not go well has no times but that of its beginning; tokens are counted as in its level. It began
    when it was sent, or was due where it never was; `start_s` is since the run began.
    """
    known = where(run.records, lambda one: one.target in run.targets)
    levels = grouped(known, lambda one: (one.target, one.load_point))
    bases = {(target, point): _basis(run, target, of_level) for (target, point), of_level in levels.items()}
    for record in by_time(known, _start_ns):
        yield _row(run.header, record, bases[record.target, record.load_point])


def _basis(run: MeasuredRun, target: str, of_level: Sequence[Record]) -> Basis:
    chosen, _ = sample_of(where(of_level, lambda one: one.measured), of_level[0].load_point)
    return basis_of(run.targets[target], chosen)


def _start_ns(record: Record) -> int:
    return record.intended_ns if record.send_ns is None else record.send_ns


def _row(header: Mapping[str, Any], record: Record, basis: Basis) -> dict[str, Any]:
    anchor = Anchor(**header["clock"])
    start_ns = _start_ns(record)
    values = {
        "run_id": header["run_id"],
        "load_point": record.load_point.label,
        "concurrency": concurrency_of(record.load_point),
        **{name: getattr(record, name) for name in ("target", "block", "phase", "prompt_id", "outcome")},
        "started_at": anchor.iso(start_ns),
        "start_s": (start_ns - anchor.mono_ns) / NS,
        **{f"{name}_s": _seconds(name, record, basis, header["profile"]) for name in _SECONDS},
        "prompt_tokens": prompt_tokens(record, basis),
        "output_tokens": output_tokens(record, basis),
        "token_basis": basis.kind,
        "reason": record.reason,
    }
    return {name: values[name] for name in COLUMNS}


def _seconds(name: str, record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    of = METRICS[name].of
    return of(record, basis, profile) if record.ok and of is not None else None
