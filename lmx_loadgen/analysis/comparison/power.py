"""How small a difference the rounds of a level can show, and how many rounds show a given one.

The scatter of a round's shift is known from few rounds only. What requests of one block scatter among themselves tells
the least that it must be, and is weighed in like a few rounds more. A session that stops by its scatter, and does not
look at the difference, has no more false findings for it (Stein, Ann. Math. Statist. 16, 1945; Wittes and Brittain,
Stat. Med. 9, 1990).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from lmx_loadgen.analysis.comparison import verdict
from lmx_loadgen.analysis.comparison.blocks import COMPARED, Block, Compared
from lmx_loadgen.analysis.comparison.families import SHARES
from lmx_loadgen.analysis.comparison.shift import shift_between
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.stats import t_quantile

POWER = 0.80
# With fewer rounds there is no saying how far they lie apart.
FEWEST_ROUNDS = 4
MOST_ROUNDS = 60
# How many rounds the scatter within blocks counts for.
_ROUNDS_WITHIN = 4
# By how much a trimmed mean of normal values has a larger error, and a Hodges-Lehmann shift than one of means.
_TRIMMED_ERROR = 1.03
_SHIFT_ERROR = math.sqrt(math.pi / 3)

Blocks = tuple[Sequence[Block], Sequence[Block]]


@dataclass(frozen=True, slots=True)
class Noise:
    """How far the shifts of a figure's rounds scatter, as logarithms, and how many rounds there are."""

    figure: str
    rounds: int
    deviation: float

    def half_width(self, alpha: float, rounds: int | None = None) -> float:
        """Half the 1 − `alpha` interval after so many rounds, as a logarithm."""
        error, df = _error(rounds or self.rounds)
        return t_quantile(1 - alpha / 2, df) * self.deviation * error

    def detectable(self, alpha: float, rounds: int | None = None) -> float:
        """The logarithm of the ratio that a test at `alpha` finds with `POWER` after so many rounds."""
        error, df = _error(rounds or self.rounds)
        return (t_quantile(1 - alpha / 2, df) + t_quantile(POWER, df)) * self.deviation * error

    def rounds_for(self, effect: float, alpha: float, most: int) -> int:
        """The least even number of rounds after which a ratio of 1 + `effect` is found with `POWER`; `most` at most."""
        wanted = math.log1p(effect)
        fits = (n for n in range(FEWEST_ROUNDS, most, 2) if self.detectable(alpha, n) <= wanted)
        return next(fits, most)


def alpha_of(comparisons: int) -> float:
    """What a test of a primary figure is held against at least, of a session that compares so many levels in all."""
    primary = sum(one.is_primary for one in COMPARED.values())
    return verdict.ALPHA * SHARES[0] / (primary * max(1, comparisons))


def noises(blocks: Blocks) -> list[Noise]:
    """The scatter of each primary figure, in paired blocks; those that have fewer than two rounds are left out."""
    found = []
    for one in COMPARED.values():
        pairs = [(a, b) for a in blocks[0] for b in blocks[1] if a.number == b.number]
        shifts = [shift.log for pair in pairs if (shift := shift_between(*pair, one)) is not None]
        if one.is_primary and len(shifts) >= 2:
            found.append(Noise(one.name, len(shifts), _deviation(shifts, pairs, one)))
    return found


def _deviation(shifts: Sequence[float], pairs: Sequence[tuple[Block, Block]], compared: Compared) -> float:
    within = fmean(_of_requests(a, compared) + _of_requests(b, compared) for a, b in pairs) * _SHIFT_ERROR**2
    middle, df = fmean(shifts), len(shifts) - 1
    between = math.fsum((shift - middle) ** 2 for shift in shifts)
    return math.sqrt((between + _ROUNDS_WITHIN * within) / (df + _ROUNDS_WITHIN))


def _of_requests(block: Block, compared: Compared) -> float:
    """The variance of a block's mean by the scatter of its requests, each about the mean of its prompts' class."""
    classes = [logs for logs in block.logs(compared).values() if logs]
    n = sum(map(len, classes))
    squares = sum(math.fsum((log - fmean(logs)) ** 2 for log in logs) for logs in classes)
    return squares / (n - len(classes)) / n if n > len(classes) else 0.0


def _error(rounds: int) -> tuple[float, float]:
    """The standard error of a mean of rounds that scatter by 1, as `verdict.paired` has it, and its degrees of
    freedom."""
    if rounds < verdict.TRIMMED_FROM:
        return 1 / math.sqrt(rounds), max(1, rounds - 1)
    return _TRIMMED_ERROR / math.sqrt(rounds), verdict.left_of(rounds) - 1


@dataclass(frozen=True, slots=True)
class Precision:
    """What the rounds of a level say by now: after so many, the interval of the noisiest primary figure reaches
    `half_width` to either side, and a difference of `detectable` is found with `POWER`. Both are shares.

    `needed` is after how many rounds in all the wanted difference is.
    """

    title: str
    rounds: int
    half_width: float
    detectable: float
    needed: int

    @property
    def words(self) -> str:
        """`± 2.1 % now (TTFT), 4 % detectable with 80 % power`."""
        return (
            f"± {percent(self.half_width)} now ({self.title}), {percent(self.detectable)} detectable with "
            f"{percent(POWER)} power"
        )


def precision_of(pairs: Sequence[Blocks], comparisons: int, effect: float, most: int) -> Precision | None:
    """That of a level, of all its pairs of targets; None before any has two rounds."""
    alpha = alpha_of(comparisons)
    found = [noise for blocks in pairs for noise in noises(blocks)]
    if not found:
        return None
    noisiest = max(found, key=lambda one: one.detectable(alpha))
    return Precision(
        title=METRICS[COMPARED[noisiest.figure].metric].title,
        rounds=min(one.rounds for one in found),
        half_width=math.expm1(noisiest.half_width(alpha)),
        detectable=math.expm1(noisiest.detectable(alpha)),
        needed=max(one.rounds_for(effect, alpha, most) for one in found),
    )
