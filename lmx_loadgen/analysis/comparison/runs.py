"""Separate runs compared: each is one observation, and how far runs of the same work lie apart is what decides.

Pieces of one run are no replicates: what a run has of its own, the heat of that hour or where its memory lay, is in all
of them. Better or worse therefore takes several runs of each side, or earlier ones that did the same work.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lmx_loadgen.analysis.asked import asked_of
from lmx_loadgen.analysis.comparison.audit import audit
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Arm, Block, run_as_block
from lmx_loadgen.analysis.comparison.document import comparison_of
from lmx_loadgen.analysis.comparison.figure import LevelBlocks
from lmx_loadgen.analysis.comparison.finding import At
from lmx_loadgen.analysis.comparison.judge import JudgeOptions, judge
from lmx_loadgen.analysis.comparison.shift import log_value
from lmx_loadgen.analysis.comparison.sides import Rules, Side, basis_at, machine_of, places_of, refusals_at, starts_of
from lmx_loadgen.store.comparison import AuditLine, Comparison

_SEVERITY = ("failed", "unknown", "passed")


def compare_runs(a: Side, b: Side, rules: Rules | None = None) -> Comparison:
    """Runs of B against runs of A, each one observation, at every load point the first of both were measured at.

    Raises ResultError when there is none.
    """
    rules = rules or Rules()
    first_a, first_b = a.runs[0], b.runs[0]
    places = places_of(first_a, first_b)
    pairs = [(a.runs[n % len(a.runs)], b.runs[n % len(b.runs)]) for n in range(max(len(a.runs), len(b.runs)))]
    lines = _worst_of([audit(one, other, places_of(one, other)) for one, other in pairs])
    levels = [
        LevelBlocks((_runs(a.runs, at), _runs(b.runs, at)), refusals_at(at, lines, rules), scatter=_scatter((a, b), at))
        for at in places
    ]
    options = JudgeOptions(False, rules.margin, rules.comparisons, starts_of(first_a, first_b))
    return comparison_of(a, b, rules, lines, places, judge(levels, options))


def does_same_work(header: dict[str, Any], target: str, other: Arm) -> bool:
    """Whether a run, by its header, had that target do what it did in `other`, on the same machine."""
    mine = next((one for one in header["targets"] if one["name"] == target), None)
    if mine is None or any(mine.get(key) != other.target.get(key) for key in ("name", "dialect", "model")):
        return False
    theirs = other.header
    is_same_place = machine_of(header) == machine_of(theirs)
    is_same_load = header["profile"].get("load") == theirs["profile"].get("load")
    return is_same_place and is_same_load and not any(asked_of(header).differences(asked_of(theirs)))


def _runs(runs: Iterable[Arm], at: At) -> list[Block]:
    """Each run that was measured at the load point, as one block."""
    found = [run_as_block(run, at.load_point, basis_at(at)) for run in runs if at.load_point in run.load_points]
    return [replace(block, number=number) for number, block in enumerate(found) if block is not None]


def _scatter(sides: Sequence[Side], at: At) -> dict[str, list[list[float]]]:
    """By figure, the values of each side's earlier runs."""
    groups = [_runs(side.earlier, at) for side in sides if side.earlier]
    return {
        name: [[log for run in group if (log := log_value(run, one)) is not None] for group in groups]
        for name, one in COMPARED.items()
    }


def _worst_of(audits: Sequence[list[AuditLine]]) -> list[AuditLine]:
    """One audit of several pairs of runs: of each check what the pair found that did worst in it."""
    by_key: dict[str, list[list[AuditLine]]] = {}
    for lines in audits:
        for key in dict.fromkeys(line.key for line in lines):
            by_key.setdefault(key, []).append([line for line in lines if line.key == key])
    return [
        line
        for found in by_key.values()
        for line in min(found, key=lambda lines: min(_SEVERITY.index(line.status) for line in lines))
    ]
