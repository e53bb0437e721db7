"""Does a block leave something behind for the next one?

Where servers take turns, a block may be slower after the other's (its model was pushed out of a cache), or one
server's blocks may leave the machine hot. Plain ABBA and a Williams design let that fall on both alike in the mean;
whether there is any, and whether it is uneven, is tested all the same, and the audit has it as a line. The test is
that of a 2 × 2 crossover (Jones and Kenward, Design and Analysis of Cross-Over Trials, 2014, chapter 2), with rounds
for subjects.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from lmx_loadgen.analysis.comparison.blocks import COMPARED, Block
from lmx_loadgen.analysis.comparison.shift import log_value, shift_between
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.comparison import AuditLine

SIGNIFICANT = 0.05
_FEWEST = 4


@dataclass(frozen=True, slots=True)
class CarryOver:
    """What a block leaves behind, as a logarithm of times or rates, and the p of nothing.

    Where it is `uneven`, `effect` is by how much it moves the difference: what a block is worth after B's against after
    A's. Else it is what a block is worth after the other's against after its own, which cancels out in the mean.
    """

    figure: str
    effect: float
    p: float
    uneven: bool


def carry_overs(a: Sequence[Block], b: Sequence[Block], names: tuple[str, str]) -> list[CarryOver]:
    """Both kinds in every figure at one level; `names` are the targets of A and of B. Empty below four rounds whose
    blocks all have one before them."""
    rounds = [(of_a, of_b) for of_a in a for of_b in b if of_a.number == of_b.number and of_a.after and of_b.after]
    found = []
    for figure, compared in COMPARED.items():
        if not compared.of_blocks:
            continue
        rows = []
        for of_a, of_b in rounds:
            shift, logs = shift_between(of_a, of_b, compared), (log_value(of_a, compared), log_value(of_b, compared))
            if shift is not None and logs[0] is not None and logs[1] is not None:
                sign = (of_b.after == names[0]) - (of_a.after == names[1])
                rows.append((float(sign), shift.log, fmean([logs[0], logs[1]])))
        signs = [sign for sign, _, _ in rows]
        for uneven, values in ((False, [log for _, log, _ in rows]), (True, [log for _, _, log in rows])):
            slope = _slope(signs, values)
            if slope is not None:
                found.append(CarryOver(figure, slope[0] * (2 if uneven else 1), slope[1], uneven))
    return found


def _slope(signs: Sequence[float], values: Sequence[float]) -> tuple[float, float] | None:
    """The slope of values over signs, and its two-sided p; None where there are too few of either sign."""
    from scipy.special import stdtr

    n = len(values)
    if n < _FEWEST or len(set(signs)) < 2:
        return None
    mean_x, mean_y = fmean(signs), fmean(values)
    spread = sum((x - mean_x) ** 2 for x in signs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(signs, values, strict=True)) / spread
    left = [y - mean_y - slope * (x - mean_x) for x, y in zip(signs, values, strict=True)]
    error = math.sqrt(sum(one**2 for one in left) / (n - 2) / spread)
    if error == 0:
        return slope, 1.0 if slope == 0 else 0.0
    return slope, float(2 * stdtr(n - 2, -abs(slope) / error))


def found_carry_over(levels: Sequence[Sequence[CarryOver]], margin: float) -> list[dict[str, CarryOver]]:
    """By level and figure, what chance does not explain and what is over the margin; Bonferroni over all tests."""
    tests = sum(map(len, levels))
    return [
        {
            one.figure: one
            for one in sorted(of_level, key=lambda one: -one.p)
            if one.p * tests < SIGNIFICANT and abs(one.effect) > math.log(1 + margin)
        }
        for of_level in levels
    ]


def audit_lines(
    levels: Mapping[LoadPoint, Sequence[CarryOver]], labels: tuple[str, str], margin: float
) -> list[AuditLine]:
    """The audit's lines on it: one for the levels where there is none, one for each other level."""
    failed = found_carry_over(list(levels.values()), margin)
    lines = [_failed(point, found, labels) for point, found in zip(levels, failed, strict=True) if found]
    untested = [point for point, tested in levels.items() if not tested]
    clean = [point for point, found in zip(levels, failed, strict=True) if not found and point not in untested]
    if untested:
        words = "too few rounds to tell whether a block leaves something behind for the next one"
        lines.append(_line("unknown", [] if len(untested) == len(levels) else untested, ("not tested",) * 2, words))
    if clean:
        lines.append(_line("passed", [] if len(clean) == len(levels) else clean, ("none", "none")))
    return lines


def words_of(one: CarryOver, labels: tuple[str, str]) -> str:
    title, change = METRICS[COMPARED[one.figure].metric].title, percent(math.expm1(one.effect), signed=True)
    if one.uneven:
        return f"{title} of a block depends on the one before it: {change} after {labels[0]}'s than after {labels[1]}'s"
    return f"{title} of a block is {change} after the other target's block than after its own"


def _failed(point: LoadPoint, found: Mapping[str, CarryOver], labels: tuple[str, str]) -> AuditLine:
    change = ", ".join(
        f"{METRICS[COMPARED[name].metric].title} {percent(math.expm1(one.effect), signed=True)}"
        for name, one in found.items()
    )
    sentence = f"{'; '.join(words_of(one, labels) for one in found.values())}: use a longer --pause or more --warmup"
    return _line("failed", [point], (change, change), sentence, list(found))


def _line(
    status: str,
    points: list[LoadPoint],
    observed: tuple[str, ...],
    sentence: str = "",
    metrics: list[str] | None = None,
) -> AuditLine:
    return AuditLine.model_validate(
        {"key": "carry_over", "title": "Carry-over", "status": status, "load_points": points, "metrics": metrics or []}
        | {"a": observed[0], "b": observed[1], "sentence": sentence}
    )
