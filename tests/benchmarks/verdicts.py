"""How often verdicts are right, over hundreds of sessions whose truth is known. Prints a table:

python -m tests.benchmarks.verdicts
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lmx_loadgen.analysis.comparison.blocks import COMPARED, Block
from lmx_loadgen.analysis.comparison.compare import PRIMARY
from lmx_loadgen.analysis.comparison.judge import JudgeOptions, LevelBlocks, judge
from lmx_loadgen.analysis.comparison.verdict import ALPHA, LOOK_EVERY, MOST_BLOCKS, alpha_at_look
from lmx_loadgen.store.comparison import MetricComparison
from tests.benchmarks.made_sides import PROFILE, Session, World

LEVELS = range(len(PROFILE.load.concurrency))
PLANNED = 6
WAY = JudgeOptions(is_paired=True, is_final=False)
FAMILY = len(COMPARED) * len(LEVELS)

Blocks = tuple[list[Block], list[Block]]


@dataclass
class Tally:
    """What came out for one figure at one level: verdicts, and how many intervals covered the truth."""

    verdicts: Counter[str] = field(default_factory=Counter)
    covered: int = 0
    blocks: int = 0

    @property
    def n(self) -> int:
        return sum(self.verdicts.values())

    def share(self, *names: str) -> float:
        return sum(self.verdicts[name] for name in names) / self.n

    @property
    def coverage(self) -> float:
        return self.covered / self.n


Tallies = dict[tuple[int, str], Tally]


def default_plan(world: World, seed: int) -> list[dict[str, MetricComparison]]:
    """A session of six blocks a level, judged at its end."""
    session = Session(world, seed)
    return judge([LevelBlocks(session.planned(level)) for level in LEVELS], WAY)


def until_conclusive(world: World, seed: int) -> list[dict[str, MetricComparison]]:
    """A session that adds two rounds to a level until its primary verdicts are settled, then goes on to the next; what
    `run --until-conclusive` does."""
    session = Session(world, seed)
    levels = []
    for level in LEVELS:
        blocks = session.planned(level)
        while (have := len(blocks[0])) < MOST_BLOCKS and not _settled(blocks):
            more = session.more(level, range(have, have + LOOK_EVERY))
            blocks = blocks[0] + more[0], blocks[1] + more[1]
        levels.append(LevelBlocks(blocks, alpha=alpha_at_look(len(blocks[0]), PLANNED)))
    return judge(levels, WAY)


def _settled(blocks: Blocks) -> bool:
    way = JudgeOptions(is_paired=True, is_final=False, family=FAMILY)
    (found,) = judge([LevelBlocks(blocks, alpha=alpha_at_look(len(blocks[0]), PLANNED))], way)
    return all(found[name].verdict != "undecided" for name in PRIMARY)


WAYS = {"default plan": default_plan, "until settled": until_conclusive}


HOT = World(wander=0.03, trend=0.10)
CASES = {
    "A/A": ("default plan", World(), 400),
    "A/A, looked at again and again": ("until settled", World(), 400),
    "A/A on a machine that wanders by 3 % and drifts by 10 %": ("default plan", HOT, 400),
    "A/A on such a machine, looked at again and again": ("until settled", HOT, 400),
    "B 5 % slower": ("default plan", World(ratio=1.05), 200),
    "B 5 % slower, looked at again and again": ("until settled", World(ratio=1.05), 200),
}


def tallied(way: str, world: World, seeds: Sequence[int]) -> Tallies:
    """The outcomes of so many sessions."""
    tallies: Tallies = {(level, name): Tally() for level in LEVELS for name in COMPARED}
    for seed in seeds:
        for level, found in enumerate(WAYS[way](world, seed)):
            for name, one in found.items():
                tally = tallies[level, name]
                tally.verdicts[one.verdict] += 1
                assert one.ci95 is not None
                truth = 1 / world.ratio if COMPARED[name].higher_is_better else world.ratio
                tally.covered += one.ci95[0] <= truth <= one.ci95[1]
                tally.blocks += one.n
    return tallies


def table(title: str, tallies: Tallies) -> str:
    """One line a figure and level, shares in percent."""
    names = ("better", "worse", "equivalent", "undecided")
    lines = [title, f"{'C':>3} {'figure':18}" + "".join(f"{name:>11}" for name in (*names, "covered", "blocks"))]
    for (level, name), tally in tallies.items():
        shares = "".join(f"{tally.share(verdict):11.1%}" for verdict in names)
        rest = f"{tally.coverage:11.1%}{tally.blocks / tally.n:11.1f}"
        lines.append(f"{PROFILE.load.concurrency[level]:>3} {name:18}{shares}{rest}")
    return "\n".join(lines)


def main() -> None:
    print(f"figures may be wrong in {ALPHA:.0%} of the sessions at most; 3 % noise a request, the machine drifts\n")
    for title, (way, world, count) in CASES.items():
        print(table(f"{title}, {way}, {count} sessions", tallied(way, world, range(count))) + "\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
