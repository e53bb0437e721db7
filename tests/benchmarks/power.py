"""Whether `--detect` finds what it promises to find, over hundreds of seeded sessions whose truth is known:

python -m tests.benchmarks.power [--world NAME] [--sessions N] [--output reference/power.md]

Each world is measured once with equal servers and once with one that is slower by just what is to be found. A world
fails where the 99 % bound (Clopper and Pearson) says that false verdicts are over 5 % of the sessions, or that either
primary figure is found less often than promised.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from lmx_loadgen.analysis.comparison.power import MOST_ROUNDS, POWER, precision_of
from lmx_loadgen.profile.load_point import LoadPoint
from tests.benchmarks.made_sides import Session, World, long_tails, student_2
from tests.benchmarks.verdicts import MOST_FALSE, PRIMARY, Blocks, Figures, bounds, judged_session

SESSIONS = 200
FIRST = 2

WORLDS: dict[str, tuple[World, float]] = {
    "plain, 5 %": (World(), 0.05),
    "plain, 4 %": (World(), 0.04),
    "one level, 5 %": (World(concurrency=(1,)), 0.05),
    "noise of 10 %, 5 %": (World(noise=0.10, wander=0.02), 0.05),
    "noise of 30 %, 20 %": (World(noise=0.30), 0.20),
    "wander and drift, 5 %": (World(wander=0.03, trend=0.10), 0.05),
    "t(2), 5 %": (World(shape=student_2), 0.05),
    "heavy tails, 5 %": (World(shape=long_tails), 0.05),
}


def measured(world: World, seed: int, effect: float) -> tuple[list[Blocks], list[int]]:
    """The blocks of each level, and how many rounds were made there."""
    session, levels, made = Session(world, seed), [], []
    points = world.profile.load.points()
    for point in points:
        found = _level(session, point, effect, len(points))
        levels.append(found)
        made.append(len(found[0]))
    return levels, made


def _level(session: Session, point: LoadPoint, effect: float, levels: int) -> Blocks:
    """Rounds of one level as `Detect` adds them."""
    found, wanted = session.more(point, range(FIRST)), FIRST
    while (have := len(found["a"])) <= wanted:
        if have == wanted:
            precision = precision_of([(found["a"], found["b"])], levels, effect, MOST_ROUNDS)
            assert precision is not None
            if (wanted := min(MOST_ROUNDS, precision.needed)) <= have:
                break
        more = session.more(point, range(have, have + 2))
        found = {name: found[name] + more[name] for name in found}
    return found["a"], found["b"]


@dataclass
class Found:
    """What came of the sessions of one world."""

    sessions: int = 0
    false: int = 0
    figures: int = 0
    found: Counter[str] = field(default_factory=Counter)
    rounds: list[int] = field(default_factory=list)

    def faults(self) -> Iterator[str]:
        if bounds(self.false, self.sessions)[0] > MOST_FALSE:
            yield f"false verdicts in {self.false / self.sessions:.1%} of the sessions"
        for name in PRIMARY:
            if bounds(self.found[name], self.figures)[1] < POWER:
                yield f"power for {name} {self.found[name] / self.figures:.1%}, promised {POWER:.0%}"


def found_in(world: World, effect: float, seeds: Sequence[int]) -> Found:
    """The outcomes of a session with equal servers and of one with a slower B for each seed."""
    result = Found()
    for seed in seeds:
        equal, _ = measured(world, seed, effect)
        result.false += any(_is_different(figures) for figures in judged_session(equal))
        levels, made = measured(replace(world, ratio=1 + effect), seed, effect)
        for figures in judged_session(levels):
            result.figures += 1
            result.found.update(name for name in PRIMARY if figures[name].verdict == "worse")
        result.rounds += made
        result.sessions += 1
    return result


def _is_different(figures: Figures) -> bool:
    return any(one.verdict in ("better", "worse") for one in figures.values())


HEAD = "| world, difference | sessions | false | found: TTFT | decode | rounds | |"


def row(name: str, found: Found) -> str:
    """One world's line of the table; shares in percent."""
    cells = [name, str(found.sessions), f"{100 * found.false / found.sessions:.1f}"]
    cells += [f"{100 * found.found[figure] / found.figures:.1f}" for figure in PRIMARY]
    cells += [f"{fmean(found.rounds):.1f}", "; ".join(found.faults()) or "ok"]
    return f"| {' | '.join(cells)} |"


INTRODUCTION = """# How often `--detect` finds what it promises to

Made by `python -m tests.benchmarks.power --output reference/power.md`: {sessions} simulated sessions in each world,
each with equal servers (`false`: any figure called better or worse) and with one that is slower by just the difference
(`found`: called worse, promised 80 % at each level; more is found where all figures differ, since each that is found
makes it easier for the others). Two levels unless it says otherwise; how many rounds there are is decided by the
scatter of the first two. Shares in percent.

"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", action="append", choices=list(WORLDS), help="only this one; repeatable")
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--output", type=Path, help="also write the table there")
    asked = parser.parse_args()
    lines = [HEAD, "|---" * (HEAD.count("|") - 1) + "|"]
    print("\n".join(lines))
    failed = False
    for name in asked.world or WORLDS:
        found = found_in(*WORLDS[name], range(asked.sessions))
        failed |= any(True for _ in found.faults())
        lines.append(row(name, found))
        print(lines[-1], flush=True)
    if asked.output is not None:
        text = INTRODUCTION.format(sessions=asked.sessions) + "\n".join(lines) + "\n"
        asked.output.write_text(text, encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
