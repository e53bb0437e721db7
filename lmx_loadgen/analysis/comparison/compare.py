"""Two sides compared: audited first, then judged block by block or run by run, then said in words."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lmx_loadgen.analysis.comparison import carry_over, verdict
from lmx_loadgen.analysis.comparison.audit import At, audit, refuses
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Arm, Block, arm_of, blocks_of_arm, run_as_block
from lmx_loadgen.analysis.comparison.judge import JudgeOptions, LevelBlocks, judge
from lmx_loadgen.analysis.comparison.looks import Look, look_after
from lmx_loadgen.analysis.comparison.sentences import headlines, of_level
from lmx_loadgen.analysis.comparison.shift import log_value
from lmx_loadgen.analysis.conditions import conditions
from lmx_loadgen.analysis.level import basis_of, level_at
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.errors import ResultError
from lmx_loadgen.store.comparison import (
    AuditLine,
    ComparedSide,
    Comparison,
    LevelComparison,
    MetricComparison,
    ReasonCode,
)
from lmx_loadgen.store.eventlog import LogContents

_SEVERITY = ("failed", "unknown", "passed")


@dataclass(frozen=True)
class Rules:
    """What a comparison goes by. `accepted` is the reason for which failed checks are overridden; `comparisons` counts
    the levels of all targets of a run that is not over, or has several comparisons."""

    margin: float = verdict.MARGIN
    accepted: str | None = None
    comparisons: int | None = None


@dataclass(frozen=True)
class Side:
    """One side of separate runs: its runs, each one observation, and `earlier` ones of the same work, which only tell
    how far such runs lie apart."""

    runs: Sequence[Arm]
    earlier: Sequence[Arm] = ()


def compare(a: Arm, b: Arm, rules: Rules | None = None) -> Comparison:
    """B against A at every concurrency both were measured at. Raises ResultError when there is none."""
    if a.run_id != b.run_id:
        return compare_runs(Side([a]), Side([b]), rules)
    rules = rules or Rules()
    places = _places(a, b)
    lines = audit(a, b, places)
    blocks = [_blocks(at) for at in places]
    carried = {at.concurrency: _carry_overs(at, of_both) for at, of_both in zip(places, blocks, strict=True)}
    lines += carry_over.audit_lines(carried, (a.label, b.label), rules.margin)
    failed = carry_over.found_carry_over(list(carried.values()), rules.margin)
    levels = [
        LevelBlocks(of_both, _refusals(at, lines, rules), _look(at, of_both), {} if rules.accepted else of_level)
        for at, of_both, of_level in zip(places, blocks, failed, strict=True)
    ]
    options = JudgeOptions(True, rules.margin, rules.comparisons, _starts(a, b), (a.label, b.label))
    return _told(Side([a]), Side([b]), rules, lines, places, judge(levels, options))


def compare_runs(a: Side, b: Side, rules: Rules | None = None) -> Comparison:
    """Runs of B against runs of A, each one observation, at every concurrency the first of both were measured at.

    Raises ResultError when there is none.
    """
    rules = rules or Rules()
    first_a, first_b = a.runs[0], b.runs[0]
    places = _places(first_a, first_b)
    pairs = [(a.runs[n % len(a.runs)], b.runs[n % len(b.runs)]) for n in range(max(len(a.runs), len(b.runs)))]
    lines = _worst_of([audit(one, other, _places(one, other)) for one, other in pairs])
    levels = [
        LevelBlocks((_runs(a.runs, at), _runs(b.runs, at)), _refusals(at, lines, rules), scatter=_scatter((a, b), at))
        for at in places
    ]
    options = JudgeOptions(False, rules.margin, rules.comparisons, _starts(first_a, first_b))
    return _told(a, b, rules, lines, places, judge(levels, options))


def comparisons_of(log: LogContents) -> list[Comparison]:
    """Of one run: each other target against the first, at the levels both have answers at."""
    names = [target["name"] for target in log.header["targets"]]
    # Of several comparisons each is one more chance of a false finding.
    rules = Rules(accepted=log.header.get("accepted"), comparisons=_comparisons(log) if len(names) > 2 else None)
    found = []
    for name in names[1:]:
        with contextlib.suppress(ResultError):  # cut short before both were measured
            found.append(compare(arm_of(log, names[0]), arm_of(log, name), rules))
    return found


def conclusive(log: LogContents, level: int) -> bool:
    """Whether every verdict on a primary figure at a level is conclusive, of a run that is still being measured.

    A refused one is conclusive too: more blocks would not mend what it was refused for.
    """
    names = [target["name"] for target in log.header["targets"]]
    plan = log.header["plan"]
    concurrency = next(segment["concurrency"] for segment in plan if segment["level"] == level)
    rules = Rules(accepted=log.header.get("accepted"), comparisons=_comparisons(log))
    options = JudgeOptions(True, rules.margin, rules.comparisons, is_final=False)
    for name in names[1:]:
        a, b = arm_of(log, names[0]), arm_of(log, name)
        if not a.at(concurrency) or not b.at(concurrency):
            return True
        at = _at(a, b, concurrency)
        blocks = _blocks(at)
        refusals = _refusals(at, audit(a, b, [at]), rules)
        (carried,) = carry_over.found_carry_over([_carry_overs(at, blocks)], rules.margin)
        look = look_after(_pairs(blocks), _planned(at))
        (found,) = judge([LevelBlocks(blocks, refusals, look, {} if rules.accepted else carried)], options)
        primary = [found[one.name].verdict for one in COMPARED.values() if one.is_primary and one.name not in refusals]
        if any(one in ("undecided", "refused") for one in primary):
            return False
    return True


def _places(a: Arm, b: Arm) -> list[At]:
    shared = sorted(set(a.levels) & set(b.levels))
    places = [_at(a, b, concurrency) for concurrency in shared if a.at(concurrency) and b.at(concurrency)]
    if not places:
        raise ResultError(
            f"{a.label} and {b.label} were measured at no concurrency in common "
            f"({_concurrencies(a)} against {_concurrencies(b)}): there is nothing to compare"
        )
    return places


def _told(
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
        until_conclusive=is_paired and _goes_on_until_conclusive(a.runs[0]),
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


def _comparisons(log: LogContents) -> int:
    """How many levels a run compares in all: those of each target but the first."""
    levels = {segment["level"] for segment in log.header["plan"]}
    return len(levels) * max(1, len(log.header["targets"]) - 1)


def _starts(a: Arm, b: Arm) -> tuple[float, float]:
    starts = [arm.unix_s(arm.log.header["clock"]["mono_ns"]) for arm in (a, b)]
    return starts[0], starts[1]


def _basis(at: At) -> Basis:
    return at.basis or Basis("events", False, False)


def _blocks(at: At) -> tuple[list[Block], list[Block]]:
    a, b = (blocks_of_arm(arm, at.concurrency, _basis(at)) for arm in (at.a, at.b))
    return a, b


def _runs(runs: Iterable[Arm], at: At) -> list[Block]:
    """Each run that was measured at the concurrency, as one block."""
    found = [run_as_block(run, at.concurrency, _basis(at)) for run in runs if at.concurrency in run.levels]
    return [replace(block, number=number) for number, block in enumerate(found) if block is not None]


def _scatter(sides: Sequence[Side], at: At) -> dict[str, list[list[float]]]:
    """By figure, the values of each side's earlier runs."""
    groups = [_runs(side.earlier, at) for side in sides if side.earlier]
    return {
        name: [[log for run in group if (log := log_value(run, one)) is not None] for group in groups]
        for name, one in COMPARED.items()
    }


def _refusals(at: At, lines: Sequence[AuditLine], rules: Rules) -> dict[str, tuple[ReasonCode, str]]:
    if rules.accepted is not None:
        return {}
    found: dict[str, tuple[ReasonCode, str]] = {}
    for name in COMPARED:
        mine = [line for line in lines if line.key != "carry_over" and refuses(line, name, at.concurrency)]
        if mine:
            code: ReasonCode = "tainted" if all(line.key == "tainted" for line in mine) else "audit"
            found[name] = code, "; ".join(line.sentence for line in mine)
    return found


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


def _carry_overs(at: At, blocks: tuple[Sequence[Block], Sequence[Block]]) -> list[carry_over.CarryOver]:
    return carry_over.carry_overs(*blocks, (at.a.name, at.b.name))


def _goes_on_until_conclusive(arm: Arm) -> bool:
    """Whether the run's own results decided how long it went on."""
    return bool(arm.log.header.get("until_conclusive"))


def _look(at: At, blocks: tuple[Sequence[Block], Sequence[Block]]) -> Look | None:
    """The look that the blocks of a stored run are: the last one, unless the run may still be resumed."""
    if not _goes_on_until_conclusive(at.a):
        return None
    look = look_after(_pairs(blocks), _planned(at))
    is_over = at.a.log.end is not None and at.a.log.end["complete"]
    return replace(look, is_last=True) if look is not None and is_over else look


def _pairs(blocks: tuple[Sequence[Block], Sequence[Block]]) -> int:
    return len({block.number for block in blocks[0]} & {block.number for block in blocks[1]})


def _planned(at: At) -> int:
    level = at.a.levels[at.concurrency]
    return len({one["block"] for one in at.a.log.header["plan"] if one["level"] == level})


def _at(a: Arm, b: Arm, concurrency: int) -> At:
    basis = common_basis(a, b, concurrency)
    results = level_at(a.log, a.target, concurrency), level_at(b.log, b.target, concurrency)
    return At(a, b, concurrency, basis, results)


def common_basis(a: Arm, b: Arm, concurrency: int) -> Basis | None:
    """What can be counted in the answers of both: tokens, else characters, else nothing."""
    answers = [[one for one in arm.at(concurrency) if one.ok] for arm in (a, b)]
    bases = [basis_of(arm.target, of_arm) for arm, of_arm in zip((a, b), answers, strict=True)]
    prompt_exact = all(one.prompt_exact for one in bases)
    if all(one.kind == bases[0].kind and one.exact for one in bases):
        return Basis(bases[0].kind, True, prompt_exact)
    usage = [basis_of(arm.target, of_arm, tokenizer=False) for arm, of_arm in zip((a, b), answers, strict=True)]
    if all(one.kind == "usage" and one.exact for one in usage):
        return Basis("usage", True, all(one.prompt_exact for one in usage))
    if all(answer.characters for of_arm in answers for answer in of_arm):
        return Basis("characters", False, False)
    return None


def _in_units(at: At, metrics: dict[str, MetricComparison]) -> LevelComparison:
    basis = at.basis
    if basis is not None and basis.kind == "characters":
        for found in metrics.values():
            found.unit = "characters/s" if found.unit == "tok/s" else found.unit
    return LevelComparison(
        concurrency=at.concurrency, token_basis=basis.kind if basis is not None else None, metrics=metrics
    )


def _compared_side(arm: Arm) -> ComparedSide:
    return ComparedSide(
        label=arm.label,
        target=arm.name,
        run_id=arm.run_id,
        model=str(arm.target["model"]),
        started_at=str(arm.log.header["started_at"]),
    )


def _notes(a: Side, b: Side, interleaved: bool) -> list[str]:
    notes = [] if interleaved else _notes_on_runs(a, b)
    for arm in (*a.runs, *b.runs):
        notes += [f"{arm.label}: {words}" if not interleaved else words for words in conditions(arm.log)]
    return list(dict.fromkeys(notes))


def _notes_on_runs(a: Side, b: Side) -> list[str]:
    one, other = a.runs[0], b.runs[0]
    notes = [
        f"{one.label} and {other.label} were measured in separate runs: whatever else changed in between looks like a "
        "difference (measure both in one run, or compare several runs of each)"
    ]
    if a.earlier or b.earlier:
        count = len({run.run_id for side in (a, b) for run in side.earlier})
        notes.append(f"the scatter between runs is that of {count} runs of the same work")
    hosts = {run.log.header["host"].get("name") for side in (a, b) for run in side.runs}
    if len(hosts) > 1:
        notes.append(f"{one.label} and {other.label} were measured on different machines")
    return notes


def _concurrencies(arm: Arm) -> str:
    return ", ".join(map(str, sorted(arm.levels))) or "none"
