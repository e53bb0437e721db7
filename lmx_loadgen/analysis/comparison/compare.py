"""Two sides compared: audited first, then judged, then said in words; and whether a run may end."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from lmx_loadgen.analysis.comparison import carry_over
from lmx_loadgen.analysis.comparison.audit import audit
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Arm, Block, arm_of, blocks_of_arm
from lmx_loadgen.analysis.comparison.document import comparison_of, goes_on_until_conclusive
from lmx_loadgen.analysis.comparison.figure import LevelBlocks
from lmx_loadgen.analysis.comparison.finding import At
from lmx_loadgen.analysis.comparison.judge import JudgeOptions, judge
from lmx_loadgen.analysis.comparison.looks import Look, look_after
from lmx_loadgen.analysis.comparison.power import MOST_ROUNDS, Precision, precision_of
from lmx_loadgen.analysis.comparison.runs import compare_runs
from lmx_loadgen.analysis.comparison.sides import Rules, Side, basis_at, level_of, places_of, refusals_at, starts_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.errors import ResultError
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.comparison import AuditLine, Comparison, MetricComparison


def compare(a: Arm, b: Arm, rules: Rules | None = None) -> Comparison:
    """B against A at every load point both were measured at. Raises ResultError when there is none."""
    if a.run_id != b.run_id:
        return compare_runs(Side([a]), Side([b]), rules)
    rules = rules or Rules()
    found = _prepared(a, b, rules)
    return found.judged(judge(found.levels, _options(a, b, rules)), rules)


@dataclass(frozen=True)
class _Pair:
    """Two targets of one run, audited and ready to be judged."""

    a: Arm
    b: Arm
    places: list[At]
    lines: list[AuditLine]
    levels: list[LevelBlocks]

    def judged(self, found: list[dict[str, MetricComparison]], rules: Rules) -> Comparison:
        return comparison_of(Side([self.a]), Side([self.b]), rules, self.lines, self.places, found)


def _prepared(a: Arm, b: Arm, rules: Rules) -> _Pair:
    places = places_of(a, b)
    lines = audit(a, b, places)
    blocks = [_blocks(at) for at in places]
    carried = {at.load_point: _carry_overs(at, of_both) for at, of_both in zip(places, blocks, strict=True)}
    lines += carry_over.audit_lines(carried, (a.label, b.label), rules.margin)
    failed = carry_over.found_carry_over(list(carried.values()), rules.margin)
    levels = [
        LevelBlocks(
            of_both,
            refusals_at(at, lines, rules),
            _look(at, of_both),
            {} if rules.accepted else of_level,
            labels=(a.label, b.label),
        )
        for at, of_both, of_level in zip(places, blocks, failed, strict=True)
    ]
    return _Pair(a, b, places, lines, levels)


def _options(a: Arm, b: Arm, rules: Rules) -> JudgeOptions:
    return JudgeOptions(True, rules.margin, rules.comparisons, starts_of(a, b))


def comparisons_of(run: MeasuredRun, rules: Rules | None = None) -> list[Comparison]:
    """Of one run: every target against each one before it, at the levels both have answers at.

    All of them are one family: each is one more chance of a false finding.
    """
    names = list(run.targets)
    rules = rules or Rules(accepted=run.header.get("accepted"))
    rules = replace(rules, comparisons=_comparisons(run) if len(names) > 2 else None)
    pairs: list[_Pair] = []
    for first, second in pairs_of(names):
        with contextlib.suppress(ResultError):  # cut short before both were measured
            pairs.append(_prepared(arm_of(run, first), arm_of(run, second), rules))
    if not pairs:
        return []
    found = iter(judge([level for pair in pairs for level in pair.levels], _options(pairs[0].a, pairs[0].b, rules)))
    return [pair.judged([next(found) for _ in pair.levels], rules) for pair in pairs]


def conclusive(run: MeasuredRun, point: LoadPoint) -> bool:
    """Whether every verdict on a primary figure at a load point is conclusive, of a run that is still being measured.

    A refused one is conclusive too: more blocks would not mend what it was refused for.
    """
    rules = Rules(accepted=run.header.get("accepted"), comparisons=_comparisons(run))
    options = JudgeOptions(True, rules.margin, rules.comparisons, is_final=False, with_tails=False)
    for first, second in pairs_of(list(run.targets)):
        a, b = arm_of(run, first), arm_of(run, second)
        if not a.at(point) or not b.at(point):
            return True
        at = level_of(a, b, point)
        blocks = _blocks(at)
        refusals = refusals_at(at, audit(a, b, [at]), rules)
        (carried,) = carry_over.found_carry_over([_carry_overs(at, blocks)], rules.margin)
        look = look_after(_pairs(blocks), _planned(at))
        (found,) = judge([LevelBlocks(blocks, refusals, look, {} if rules.accepted else carried)], options)
        primary = [found[one.name].verdict for one in COMPARED.values() if one.is_primary and one.name not in refusals]
        if any(one in ("undecided", "refused") for one in primary):
            return False
    return True


def precision(run: MeasuredRun, point: LoadPoint, effect: float) -> Precision | None:
    """What the rounds of a level say by now of a run that is still being measured; None before there are two of any
    pair."""
    names = [name for name in run.targets if arm_of(run, name).at(point)]
    pairs = [_blocks(level_of(arm_of(run, a), arm_of(run, b), point)) for a, b in pairs_of(names)]
    return precision_of(pairs, _comparisons(run), effect, MOST_ROUNDS)


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """Which targets are compared: each one with all after it."""
    return list(combinations(names, 2))


def _comparisons(run: MeasuredRun) -> int:
    """How many levels a run compares in all: those of each pair of targets."""
    return len(run.load_points()) * max(1, len(pairs_of(list(run.targets))))


def _blocks(at: At) -> tuple[list[Block], list[Block]]:
    a, b = (blocks_of_arm(arm, at.load_point, basis_at(at)) for arm in (at.a, at.b))
    return a, b


def _carry_overs(at: At, blocks: tuple[Sequence[Block], Sequence[Block]]) -> list[carry_over.CarryOver]:
    return carry_over.carry_overs(*blocks, (at.a.name, at.b.name))


def _look(at: At, blocks: tuple[Sequence[Block], Sequence[Block]]) -> Look | None:
    """The look that the blocks of a stored run are: the last one, unless the run may still be resumed."""
    if not goes_on_until_conclusive(at.a):
        return None
    look = look_after(_pairs(blocks), _planned(at))
    end = at.a.run.log.end
    is_over = end is not None and end["complete"]
    return replace(look, is_last=True) if look is not None and is_over else look


def _pairs(blocks: tuple[Sequence[Block], Sequence[Block]]) -> int:
    return len({block.number for block in blocks[0]} & {block.number for block in blocks[1]})


def _planned(at: At) -> int:
    return len({key.block for key in at.a.run.plan if key.load_point == at.load_point})
