"""How often verdicts are right, over hundreds of sessions whose truth is known:

python -m tests.benchmarks.verdicts [--world NAME] [--sessions N] [--output reference/verdicts.md]

A world fails only where chance does not explain it: where the 99 % bound (Clopper and Pearson, Biometrika 26, 1934) of
a share lies beyond its limit. The exit code is 1 then.
"""

import argparse
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from statistics import fmean

from lmx_loadgen.analysis.comparison.blocks import COMPARED, Block
from lmx_loadgen.analysis.comparison.carry_over import carry_overs, found_carry_over
from lmx_loadgen.analysis.comparison.figure import Figure, LevelBlocks
from lmx_loadgen.analysis.comparison.judge import JudgeOptions, judge
from lmx_loadgen.analysis.comparison.looks import LOOK_EVERY, MOST_BLOCKS, Look, look_after
from lmx_loadgen.analysis.comparison.shift import shift_between
from lmx_loadgen.analysis.comparison.verdict import MARGIN
from lmx_loadgen.store.comparison import MetricComparison
from tests.benchmarks.made_sides import Session, World, long_tails, made_run, one_in_ten_far_slower, student_2

SESSIONS = 400
MOST_FALSE = 0.05
PRIMARY = [one.name for one in COMPARED.values() if one.is_primary]
_CONFIDENCE = 0.99

Figures = dict[str, MetricComparison]
Blocks = tuple[list[Block], list[Block]]


def planned(world: World, seed: int) -> list[Figures]:
    """A session as planned, every two targets, judged at its end."""
    session = Session(world, seed)
    measured = [session.planned(point) for point in world.profile.load.points()]
    levels: list[LevelBlocks] = []
    for names in combinations(world.targets, 2):
        blocks = [(level[names[0]], level[names[1]]) for level in measured]
        failed = found_carry_over([carry_overs(*of_both, names) for of_both in blocks], MARGIN)
        levels += [LevelBlocks(of_both, carry_over=of_level) for of_both, of_level in zip(blocks, failed, strict=True)]
    return judge(levels, JudgeOptions(True, is_final=False))


def until_conclusive(world: World, seed: int) -> list[Figures]:
    """A session that adds two rounds to a level until its primary verdicts are conclusive, then goes on to the next."""
    session = Session(world, seed)
    levels, looks = [], []
    for point in world.profile.load.points():
        found = session.planned(point)
        while (have := len(found["a"])) < MOST_BLOCKS and not _is_conclusive(world, (found["a"], found["b"])):
            more = session.more(point, range(have, have + LOOK_EVERY))
            found = {name: found[name] + more[name] for name in found}
        levels.append((found["a"], found["b"]))
        looks.append(have)
    return _judged(levels, ("a", "b"), len(levels), looks, world.blocks)


def separate_runs(runs: int) -> Callable[[World, int], list[Figures]]:
    """So many runs of each side. The only one of B is throttled, or one in four of all."""

    def judged(world: World, seed: int) -> list[Figures]:
        def side(is_b: bool) -> list[Block]:
            return [
                made_run(world, seed, n, is_b=is_b, throttled=_throttled(seed, n, is_b), requests=world.requests or 48)
                for n in range(runs)
            ]

        def _throttled(seed: int, number: int, is_b: bool) -> bool:
            return is_b if runs == 1 else random.Random(f"{seed}/{number}/{is_b}").random() < 0.25

        return judge([LevelBlocks((side(False), side(True)))], JudgeOptions(False, is_final=False))

    return judged


def judged_session(levels: Sequence[Blocks]) -> list[Figures]:
    """The verdicts on a session of two targets, that nobody looked at before its end."""
    return _judged(levels, ("a", "b"), len(levels))


def _judged(
    levels: Sequence[Blocks], names: tuple[str, str], comparisons: int, looks: Sequence[int] = (), first: int = 0
) -> list[Figures]:
    options = JudgeOptions(True, comparisons=comparisons, is_final=False)
    failed = found_carry_over([carry_overs(*blocks, names) for blocks in levels], MARGIN)
    made = [
        LevelBlocks(blocks, look=_last_look(looks[place], first) if looks else None, carry_over=failed[place])
        for place, blocks in enumerate(levels)
    ]
    return judge(made, options)


def _last_look(blocks: int, first: int) -> Look | None:
    look = look_after(blocks, first)
    return None if look is None else replace(look, is_last=True)


def _is_conclusive(world: World, blocks: Blocks) -> bool:
    options = JudgeOptions(True, comparisons=len(world.concurrency), is_final=False, with_tails=False)
    (failed,) = found_carry_over([carry_overs(*blocks, ("a", "b"))], MARGIN)
    look = look_after(len(blocks[0]), world.blocks)
    (found,) = judge([LevelBlocks(blocks, look=look, carry_over=failed)], options)
    return all(found[name].verdict != "undecided" for name in PRIMARY)


@dataclass(frozen=True)
class Case:
    """A world, how it is measured, and what is promised of it beside 5 % false verdicts: `power` by figure, and whether
    the intervals of the tail may cover more than 97 % (`wide_tails` says why). What is true of a figure is found by
    drawing many sessions where the world does not say it."""

    world: World
    way: Callable[[World, int], list[Figures]] = planned
    most_covered: float = 0.97
    power: Mapping[str, float] = field(default_factory=dict)
    wide_tails: str = ""
    covers: bool = True
    all_covered: float = 0.95

    @cached_property
    def truths(self) -> dict[str, float]:
        """B's figures over A's by name, or less A's where they are shares."""
        ratio, world = self.world.ratio, self.world
        known = {name: 1 / ratio if one.higher_is_better else ratio for name, one in COMPARED.items()}
        if world.first_b is None and ratio == 1:
            return known | {"slo_share": 0.0}
        of_slo = {name for name, one in COMPARED.items() if one.of_slo}
        unknown = of_slo if world.first_b is None else set(COMPARED)
        return known | drawn_truths(world, unknown - of_slo if world.slo_s is None else unknown)


def drawn_truths(world: World, names: Set[str]) -> dict[str, float]:
    """The same of these figures, out of a machine that holds still, and many requests."""
    if not names:
        return {}
    still = replace(world, wander=0.0, trend=0.0, requests=200 * world.blocks, concurrency=(1,))
    sides: Blocks = ([], [])
    for seed in range(40):
        found = Session(still, seed).planned(still.profile.load.points()[0])
        for side, name in zip(sides, ("a", "b"), strict=True):
            side.extend(found[name])
    truths = {}
    for name in names:
        one = COMPARED[name]
        if one.statistic == "median":
            shifts = (shift_between(*pair, one) for pair in zip(*sides, strict=True))
            truths[name] = math.exp(fmean(shift.log for shift in shifts if shift is not None))
        else:
            a, b = Figure(one, LevelBlocks(sides), sides).values(is_paired=True)
            assert a is not None
            assert b is not None
            truths[name] = b - a if one.in_points else b / a
    return truths


_EVERY_MAIN = dict.fromkeys(("ttft_p50", "decode_tok_s_p50", "output_tok_s", "e2e_p50"), 0.95)
CASES: dict[str, Case] = {
    "plain": Case(World()),
    "wander and drift": Case(World(wander=0.03, trend=0.10)),
    "lognormal": Case(World(noise=0.3)),
    "t(2)": Case(World(shape=student_2)),
    "bimodal 20 %": Case(World(slow_share=0.2)),
    "bimodal 50 %": Case(World(slow_share=0.5)),
    "prompt mixtures": Case(World(mixture=True)),
    "outlier blocks": Case(World(outliers=0.1)),
    "carry-over after B": Case(World(after_b=0.03)),
    "carry-over after B, 12 blocks": Case(World(after_b=0.03, blocks=12)),
    "unequal variance": Case(World(noise=0.01, noise_b=0.10)),
    "heavy tails": Case(World(shape=long_tails)),
    "8 levels": Case(World(concurrency=(1, 2, 3, 4, 6, 8, 12, 16))),
    "3 blocks": Case(World(blocks=3)),
    "12 blocks": Case(World(blocks=12)),
    "throttling within a round": Case(World(throttle=0.2)),
    "sequential, offsets of 2 %": Case(World(offset=0.02), separate_runs(1), covers=False),
    "sequential, late throttling": Case(World(throttle=0.3), separate_runs(1), covers=False),
    "3 runs against 3, offsets of 2 %": Case(World(offset=0.02), separate_runs(3)),
    "5 runs against 5, offsets of 2 %": Case(World(offset=0.02), separate_runs(5)),
    "5 runs against 5, late throttling": Case(World(offset=0.02, throttle=0.3), separate_runs(5)),
    "until conclusive, plain": Case(World(), until_conclusive, 0.98),
    "until conclusive, carry-over": Case(World(after_b=0.03), until_conclusive, 0.98),
    "until conclusive, bimodal": Case(World(slow_share=0.2), until_conclusive, 0.98),
    "until conclusive, lognormal": Case(World(noise=0.3), until_conclusive, 0.98),
    "three targets": Case(World(targets=("a", "b", "c"))),
    # Here either family can be wrong: that of the differences and that of the equivalences.
    "B 3 % slower, the margin": Case(World(ratio=1 + MARGIN), all_covered=0.90),
    "B 5 % slower": Case(World(ratio=1.05), power=_EVERY_MAIN),
    "B 10 % slower, bimodal 20 %": Case(World(ratio=1.1, slow_share=0.2), power={"ttft_p50": 0.6}),
    "B 5 % slower, until conclusive": Case(World(ratio=1.05), until_conclusive, 0.98, _EVERY_MAIN),
}

_SLOW_BLOCK = "a slow block may be all of the tail"
_LONG = World(blocks=12, requests=240, slo_s=0.208)
TAIL_CASES: dict[str, Case] = {
    "tails, plain": Case(_LONG),
    "tails, wander and drift": Case(replace(_LONG, wander=0.03, trend=0.10, slo_s=0.215)),
    "tails, 6 blocks": Case(replace(_LONG, blocks=6)),
    "tails, bursts of slow requests": Case(replace(_LONG, bursts=0.03, slo_s=0.22)),
    "tails, heavy": Case(replace(_LONG, shape=long_tails, slo_s=0.25)),
    "tails, lognormal": Case(replace(_LONG, noise=0.3, slo_s=0.3)),
    "tails, t(2)": Case(replace(_LONG, shape=student_2)),
    "tails, bimodal 20 %": Case(replace(_LONG, slow_share=0.2, slo_s=0.3)),
    "tails, prompt mixtures": Case(replace(_LONG, mixture=True, slo_s=1.95)),
    "tails, outlier blocks": Case(replace(_LONG, outliers=0.1)),
    "tails, throttling within a round": Case(replace(_LONG, throttle=0.2), wide_tails=_SLOW_BLOCK),
    "tails, 12 blocks of 50": Case(replace(_LONG, requests=600)),
    "tails, until conclusive": Case(replace(_LONG, blocks=6), until_conclusive, 0.98),
    "tails, 5 runs against 5": Case(World(offset=0.02, requests=120, slo_s=0.21), separate_runs(5)),
    "B's tail 3 times A's, medians alike": Case(
        replace(_LONG, requests=600, first_b=one_in_ten_far_slower, slo_s=0.25),
        power={"ttft_p95": 0.8, "slo_share": 0.8},
        all_covered=0.90,
    ),
    # A machine that holds still: what share of B's is within the SLO depends on its state, and is not the same twice.
    "B 10 % slower, tails": Case(
        replace(_LONG, ratio=1.1, slo_s=0.227, wander=0.0, trend=0.0), power=dict.fromkeys(("ttft_p95", "goodput"), 0.9)
    ),
}
ALL_CASES = CASES | TAIL_CASES
TAILS = [name for name, one in COMPARED.items() if one.family == "tail"]
MIDDLES = [name for name in COMPARED if name not in TAILS]


@dataclass
class Tally:
    """What came out of the sessions of one world. Counts by figure are over all levels and targets; `covered` has, for
    each session, how many intervals cover the truth and how many there are."""

    case: Case
    sessions: int = 0
    false: int = 0
    falsely_equivalent: int = 0
    all_covered: int = 0
    n: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    equivalent: Counter[str] = field(default_factory=Counter)
    covered: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    blocks: Counter[str] = field(default_factory=Counter)

    def add(self, levels: Sequence[Figures], targets: int) -> None:
        self.sessions += 1
        wrong = equal = False
        all_covered = True
        covered: dict[str, list[bool]] = {}
        for place, figures in enumerate(levels):
            with_c = targets > 2 and place >= len(self.case.world.concurrency)  # C is as fast as A, and so is B there
            for name, one in figures.items():
                if one.p is None and one.verdict == "undecided" and COMPARED[name].family == "tail":
                    continue  # too few requests for this percentile
                none = 0.0 if COMPARED[name].in_points else 1.0
                truth = none if with_c else self.case.truths[name]
                is_worse = truth != none and (truth < none) == COMPARED[name].higher_is_better
                wrong |= one.verdict in ("better", "worse") and (truth == none or (one.verdict == "worse") != is_worse)
                far = abs(truth - none) if COMPARED[name].in_points else max(truth, 1 / truth) - 1
                equal |= one.verdict == "equivalent" and far >= MARGIN * (1 - 1e-9)
                self.n[name] += 1
                self.found[name] += one.verdict == ("worse" if is_worse or truth == none else "better")
                self.equivalent[name] += one.verdict == "equivalent"
                self.blocks[name] += one.n
                covered.setdefault(name, []).append(_within(one.ci95_single, truth))
                all_covered &= _within(one.ci95, truth)
        for name, of_session in covered.items():
            self.covered.setdefault(name, []).append((sum(of_session), len(of_session)))
        self.false += wrong
        self.falsely_equivalent += equal
        self.all_covered += all_covered

    def faults(self) -> Iterator[str]:
        """A sentence for each limit that is broken, whatever chance does."""
        for what, count in (("false verdicts", self.false), ("false equivalences", self.falsely_equivalent)):
            if bounds(count, self.sessions)[0] > MOST_FALSE:
                yield f"{what} in {count / self.sessions:.1%} of the sessions, over {MOST_FALSE:.0%}"
        for name, wanted in self.case.power.items():
            if bounds(self.found[name], self.n[name])[1] < wanted:
                yield f"power for {name} {self.found[name] / self.n[name]:.1%}, below {wanted:.0%}"
        if self.case.covers:
            yield from self._faults_of_intervals()

    def _faults_of_intervals(self) -> Iterator[str]:
        """Intervals of one session depend on each other, and so sessions are what says that too many of them cover the
        truth. That too few do, which does harm, each interval says."""
        for name, counts in self.covered.items():
            _, high = bounds(sum(count for count, _ in counts), self.n[name])
            low, _ = bounds(sum(count / of for count, of in counts), len(counts))
            may_be_wide = name in TAILS and self.case.wide_tails
            if high < 0.93 or (low > self.case.most_covered and not may_be_wide):
                yield f"intervals of {name} cover {self.covered_share(name):.1%}"
        if bounds(self.all_covered, self.sessions)[1] < self.case.all_covered:
            yield f"all intervals together cover {self.all_covered / self.sessions:.1%}"

    def covered_share(self, name: str) -> float:
        return sum(count for count, _ in self.covered[name]) / self.n[name]


def _within(interval: tuple[float, float] | None, truth: float) -> bool:
    """Whether an interval covers the truth; one that so few requests do not bound covers everything."""
    return interval is None or interval[0] <= truth <= interval[1]


def bounds(count: float, n: int) -> tuple[float, float]:
    """Clopper and Pearson's bounds of a share, each at 99 %; `count` need not be whole."""
    from scipy.special import betaincinv

    rest = 1 - _CONFIDENCE
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, rest))
    return low, 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - rest))


def tallied(case: Case, seeds: Sequence[int]) -> Tally:
    """The outcomes of a session for each seed."""
    tally = Tally(case)
    for seed in seeds:
        tally.add(case.way(case.world, seed), len(case.world.targets))
    return tally


HEAD = (
    "| world | sessions | false | false equivalent | found: TTFT | decode | system | E2E | stall | equivalent: TTFT "
    "| decode | covered: TTFT | decode | system | E2E | stall | all together | rounds | |"
)
_TITLES = "TTFT p95 | TTFT p99 | E2E p95 | E2E p99 | goodput | share"
TAILS_HEAD = f"| world | sessions | false | found: {_TITLES} | covered: {_TITLES} | all together | rounds | |"


def row(name: str, tally: Tally) -> str:
    """One world's line of its table; shares in percent."""

    def share(counts: Counter[str], names: Sequence[str]) -> list[str]:
        return [f"{100 * counts[one] / tally.n[one]:.1f}" if tally.n[one] else "—" for one in names]

    def covered(names: Sequence[str]) -> list[str]:
        return [f"{100 * tally.covered_share(one):.1f}" if one in tally.covered else "—" for one in names]

    cells = [name, str(tally.sessions), f"{100 * tally.false / tally.sessions:.1f}"]
    if name in TAIL_CASES:
        cells += share(tally.found, TAILS) + covered(TAILS)
    else:
        cells.append(f"{100 * tally.falsely_equivalent / tally.sessions:.1f}")
        cells += share(tally.found, MIDDLES) + share(tally.equivalent, PRIMARY)
        cells += covered(MIDDLES) if tally.case.covers else ["—"] * len(MIDDLES)
    cells.append(f"{100 * tally.all_covered / tally.sessions:.1f}" if tally.case.covers else "—")
    cells.append(f"{sum(tally.blocks.values()) / sum(tally.n.values()):.1f}")
    cells.append("; ".join(tally.faults()) or "ok")
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", action="append", choices=list(ALL_CASES), help="only this one; repeatable")
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--output", type=Path, help="also write the table there")
    asked = parser.parse_args()
    names, lines, failed = asked.world or list(ALL_CASES), [], False
    for head, cases in ((HEAD, CASES), (TAILS_HEAD, TAIL_CASES)):
        if wanted := [name for name in names if name in cases]:
            lines += [_said("") if lines else "", _said(head), _said("|---" * (head.count("|") - 1) + "|")]
        for name in wanted:
            tally = tallied(cases[name], range(asked.sessions))
            failed |= any(True for _ in tally.faults())
            lines.append(_said(row(name, tally)))
    if asked.output is not None:
        text = INTRODUCTION.format(sessions=asked.sessions) + "\n".join(lines).lstrip("\n") + "\n"
        asked.output.write_text(text, encoding="utf-8")
    return 1 if failed else 0


def _said(line: str) -> str:
    print(line, flush=True)
    return line


INTRODUCTION = """# How often verdicts are right

Made by `python -m tests.benchmarks.verdicts --output reference/verdicts.md`: {sessions} simulated sessions in each
world, two levels (1 and 4 users) of six blocks unless it says otherwise, 3 % noise a request, a machine that wanders.
Shares in percent. `false` is a session in which any figure at any level was called better or worse and was not; it is
5 % at most. `found` is a figure called worse, `covered` an interval of one figure alone that covers the truth (93 to
97 %; up to 98 % until conclusive), `all together` a session whose simultaneous intervals all do. A world fails only
where the 99 % bound by Clopper and Pearson lies beyond a limit; that intervals are too wide, sessions decide, since
those of one session depend on each other. In one world they are: of p95 and of what the SLO counts, where a throttled
block may be all of the tail.
The second table is of percentiles of the tail and of what an SLO on TTFT counts: 12 blocks of 20 requests unless it
says otherwise. p99 takes 500 requests of each side and has no figures where there are fewer.

"""


if __name__ == "__main__":
    sys.exit(main())
