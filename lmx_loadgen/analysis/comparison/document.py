"""A comparison as it is stored and shown: both sides, the audit, the verdicts, and sentences for reading."""

from collections.abc import Sequence

from lmx_loadgen.analysis.comparison.blocks import Arm
from lmx_loadgen.analysis.comparison.finding import At
from lmx_loadgen.analysis.comparison.sentences import headlines, of_level
from lmx_loadgen.analysis.comparison.sides import Rules, Side, are_several_machines
from lmx_loadgen.store.comparison import AuditLine, ComparedSide, Comparison, LevelComparison, MetricComparison


def comparison_of(
    a: Side,
    b: Side,
    rules: Rules,
    lines: list[AuditLine],
    places: Sequence[At],
    found: list[dict[str, MetricComparison]],
) -> Comparison:
    """The whole comparison, with its sentences."""
    is_paired = a.runs[0].run_id == b.runs[0].run_id
    for line in lines:
        line.accepted = line.status == "failed" and rules.accepted is not None
    comparison = Comparison(
        a=_compared_side(a.runs[0]),
        b=_compared_side(b.runs[0]),
        mode="interleaved" if is_paired else "sequential",
        until_conclusive=is_paired and goes_on_until_conclusive(a.runs[0]),
        margin=rules.margin,
        runs_a=[] if is_paired else [run.run_id for run in a.runs],
        runs_b=[] if is_paired else [run.run_id for run in b.runs],
        scatter_runs=list(dict.fromkeys(run.run_id for side in (a, b) for run in side.earlier)),
        accepted=rules.accepted,
        audit=lines,
        levels=[_in_units(at, metrics) for at, metrics in zip(places, found, strict=True)],
        notes=_notes(a, b, is_paired),
    )
    for level in comparison.levels:
        level.sentences = of_level(level, comparison)
    comparison.sentences = headlines(comparison)
    return comparison


def goes_on_until_conclusive(arm: Arm) -> bool:
    """Whether the run's own results decided how long it went on."""
    return bool(arm.header.get("until_conclusive"))


def _in_units(at: At, metrics: dict[str, MetricComparison]) -> LevelComparison:
    basis = at.basis
    if basis is not None and basis.kind == "characters":
        for found in metrics.values():
            found.unit = "characters/s" if found.unit == "tok/s" else found.unit
    return LevelComparison(
        load_point=at.load_point, token_basis=basis.kind if basis is not None else None, metrics=metrics
    )


def _compared_side(arm: Arm) -> ComparedSide:
    return ComparedSide(
        label=arm.label,
        target=arm.name,
        run_id=arm.run_id,
        model=str(arm.target["model"]),
        started_at=str(arm.header["started_at"]),
    )


def _notes(a: Side, b: Side, interleaved: bool) -> list[str]:
    notes = [] if interleaved else _notes_on_runs(a, b)
    for arm in (*a.runs, *b.runs):
        notes += [f"{arm.label}: {words}" if not interleaved else words for words in arm.run.conditions]
    return list(dict.fromkeys(notes))


def _notes_on_runs(a: Side, b: Side) -> list[str]:
    one, other = a.runs[0], b.runs[0]
    notes = []
    if min(len(a.runs), len(b.runs)) == 1:
        notes.append(
            f"{one.label} and {other.label} were measured in separate runs: whatever else changed in between looks "
            "like a difference (measure both in one run, or compare several runs of each)"
        )
    if a.earlier or b.earlier:
        count = len({run.run_id for side in (a, b) for run in side.earlier})
        notes.append(f"the scatter between runs is that of {count} runs of the same work")
    if are_several_machines(run.header for side in (a, b) for run in side.runs):
        notes.append(f"{one.label} and {other.label} were measured on different machines")
    return notes
