"""Two sides compared: audited first, then judged block by block, then said in words."""

import contextlib
from dataclasses import dataclass, replace

from lmx_loadgen.analysis.comparison import verdict
from lmx_loadgen.analysis.comparison.audit import At, audit, refuses
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Arm, arm_of, blocks_of_arm
from lmx_loadgen.analysis.comparison.judge import JudgeOptions, LevelBlocks, judge
from lmx_loadgen.analysis.comparison.sentences import headlines, of_level
from lmx_loadgen.analysis.conditions import conditions
from lmx_loadgen.analysis.level import basis_of, level_at
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.errors import ResultError
from lmx_loadgen.store.comparison import AuditLine, ComparedSide, Comparison, LevelComparison, MetricComparison
from lmx_loadgen.store.eventlog import LogContents


@dataclass(frozen=True)
class Rules:
    """What a comparison goes by. `accepted` is the reason for which failed checks are overridden; `family` counts all
    verdicts of a run that is not over, or has several comparisons."""

    margin: float = verdict.MARGIN
    accepted: str | None = None
    family: int | None = None


def compare(a: Arm, b: Arm, rules: Rules | None = None) -> Comparison:
    """B against A at every concurrency both were measured at. Raises ResultError when there is none."""
    rules = rules or Rules()
    shared = sorted(set(a.levels) & set(b.levels))
    places = [_at(a, b, concurrency) for concurrency in shared if a.at(concurrency) and b.at(concurrency)]
    if not places:
        raise ResultError(
            f"{a.label} and {b.label} were measured at no concurrency in common "
            f"({_concurrencies(a)} against {_concurrencies(b)}): there is nothing to compare"
        )
    lines = audit(a, b, places)
    is_paired = a.run_id == b.run_id
    found = judge([_level(at, lines, rules) for at in places], _judge_options(a, b, rules))
    for line in lines:
        line.accepted = line.status == "failed" and rules.accepted is not None
    comparison = Comparison(
        a=_compared_side(a),
        b=_compared_side(b),
        mode="interleaved" if is_paired else "sequential",
        until_conclusive=is_paired and _is_sequential_test(a),
        margin=rules.margin,
        accepted=rules.accepted,
        audit=lines,
        levels=[_in_units(at, metrics) for at, metrics in zip(places, found, strict=True)],
        notes=_notes(a, b, is_paired),
    )
    for level in comparison.levels:
        level.sentences = of_level(level, comparison)
    comparison.sentences = headlines(comparison)
    return comparison


def comparisons_of(log: LogContents) -> list[Comparison]:
    """Of one run: each other target against the first, at the levels both have answers at."""
    names = [target["name"] for target in log.header["targets"]]
    # Of several comparisons each is one more chance of a false finding.
    rules = Rules(accepted=log.header.get("accepted"), family=_family(log) if len(names) > 2 else None)
    found = []
    for name in names[1:]:
        with contextlib.suppress(ResultError):  # cut short before both were measured
            found.append(compare(arm_of(log, names[0]), arm_of(log, name), rules))
    return found


def settled(log: LogContents, level: int) -> bool:
    """Whether every verdict on TTFT and decode tok/s at a level is settled, of a run that is still being measured.

    A refused one is settled too: more blocks would not mend what it was refused for.
    """
    names = [target["name"] for target in log.header["targets"]]
    plan = log.header["plan"]
    concurrency = next(segment["concurrency"] for segment in plan if segment["level"] == level)
    rules = Rules(accepted=log.header.get("accepted"), family=_family(log))
    for name in names[1:]:
        a, b = arm_of(log, names[0]), arm_of(log, name)
        if not a.at(concurrency) or not b.at(concurrency):
            return True
        at = _at(a, b, concurrency)
        options = replace(_judge_options(a, b, rules), is_final=False)
        one = _level(at, audit(a, b, [at]), rules)
        (found,) = judge([one], options)
        if any(found[name].verdict in ("undecided", "refused") and name not in one.refusals for name in PRIMARY):
            return False
    return True


def _family(log: LogContents) -> int:
    """How many verdicts a run gives in all: of each other target, at each level, in each figure."""
    levels = {segment["level"] for segment in log.header["plan"]}
    return len(COMPARED) * len(levels) * max(1, len(log.header["targets"]) - 1)


PRIMARY = ("ttft_p50", "decode_tok_s_p50")


def _judge_options(a: Arm, b: Arm, rules: Rules) -> JudgeOptions:
    starts = [arm.unix_s(arm.log.header["clock"]["mono_ns"]) for arm in (a, b)]
    return JudgeOptions(a.run_id == b.run_id, rules.margin, rules.family, (starts[0], starts[1]))


def _level(at: At, lines: list[AuditLine], rules: Rules) -> LevelBlocks:
    basis = at.basis or Basis("events", False, False)
    cut = at.a.run_id != at.b.run_id
    a, b = (blocks_of_arm(arm, at.concurrency, basis, cut=cut) for arm in (at.a, at.b))
    refusals = {} if rules.accepted is not None else _refusals(at, lines)
    pairs = len({block.number for block in a} & {block.number for block in b})
    return LevelBlocks((a, b), refusals, _alpha(at, pairs))


def _refusals(at: At, lines: list[AuditLine]) -> dict[str, str]:
    found = {name: [line.sentence for line in lines if refuses(line, name, at.concurrency)] for name in COMPARED}
    return {name: "; ".join(sentences) for name, sentences in found.items() if sentences}


def _is_sequential_test(arm: Arm) -> bool:
    """Whether the run's own results decided how long it went on."""
    return bool(arm.log.header.get("until_conclusive"))


def _alpha(at: At, pairs: int) -> float:
    """What a verdict at this level may spend: all of 5 %, or what the look it is made at leaves."""
    if at.a.run_id != at.b.run_id or not _is_sequential_test(at.a):
        return verdict.ALPHA
    level = at.a.levels[at.concurrency]
    planned = len({one["block"] for one in at.a.log.header["plan"] if one["level"] == level})
    return verdict.alpha_at_look(max(pairs, planned), planned)


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


def _notes(a: Arm, b: Arm, interleaved: bool) -> list[str]:
    notes = []
    if not interleaved:
        notes.append(
            f"{a.label} and {b.label} were measured one after the other: whatever else changed in between looks like "
            "a difference (measure both in one run to tell them apart)"
        )
        hosts = [arm.log.header["host"].get("name") for arm in (a, b)]
        if hosts[0] != hosts[1]:
            notes.append(f"{a.label} and {b.label} were measured on different machines")
    for arm in (a, b):
        notes += [f"{arm.label}: {words}" if not interleaved else words for words in conditions(arm.log)]
    return list(dict.fromkeys(notes))


def _concurrencies(arm: Arm) -> str:
    return ", ".join(map(str, sorted(arm.levels))) or "none"
