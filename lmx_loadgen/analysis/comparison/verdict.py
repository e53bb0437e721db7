"""From differences of logarithms to an estimate with its interval, its test of a difference, and that of none.

Everything is done on logarithms of ratios: a ratio of 2 and one of ½ are then equally far from 1, and an interval of
B/A is the mirror of that of A/B.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from lmx_loadgen.analysis.comparison.signed_rank import signed_rank_interval
from lmx_loadgen.analysis.stats import t_quantile

ALPHA = 0.05
MARGIN = 0.03
FEWEST = 3
MOST_MORE = 200
TRIMMED_FROM = 8
_TRIM = 0.2


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean log-ratio with its standard error and degrees of freedom; a mean difference of shares where `in_points`.

    `n` is the number of rounds behind it, of runs on the side that has fewer where runs are compared. `floor` is the
    clock's resolution relative to the values: nothing is known more closely than that. `values` are the rounds' own,
    where rounds were compared.
    """

    n: int
    mean: float
    error: float
    df: float
    floor: float = 0.0
    in_points: bool = False
    values: tuple[float, ...] = ()

    def half_width(self, alpha: float) -> float:
        """Half the 1 − `alpha` interval of the logarithm, Student's t; the clock's resolution at least."""
        return max(t_quantile(1 - alpha / 2, self.df) * self.error, self.floor)

    def interval(self, alpha: float) -> tuple[float, float]:
        """The 1 − `alpha` interval of the ratio, or of the difference."""
        half = self.half_width(alpha)
        return shown(self.mean - half, self.in_points), shown(self.mean + half, self.in_points)

    def interval_alone(self, alpha: float) -> tuple[float, float]:
        """The 1 − `alpha` interval for a reader who looks at no other figure: exact where there are rounds enough for
        it, while Student's t covers too much where a round lies far off."""
        exact = signed_rank_interval(self.values, alpha)
        if exact is None:
            return self.interval(alpha)
        low, high = min(exact[0], self.mean - self.floor), max(exact[1], self.mean + self.floor)
        return shown(low, self.in_points), shown(high, self.in_points)

    def equivalence_interval(self, alpha: float) -> tuple[float, float]:
        """The 1 − `alpha` interval that goes with two one-sided tests at `alpha`: it always has "no difference" in it,
        and lies within a margin just where the tests say so (Berger and Hsu, Stat. Sci. 11, 1996)."""
        return with_none(self.interval(2 * alpha), self.in_points)

    @property
    def p(self) -> float:
        """Two-sided p of "the ratio is 1"."""
        if abs(self.mean) <= self.floor:
            return 1.0
        return 2 * _tail(abs(self.mean), self.error, self.df) if self.mean else 1.0

    def p_equivalence(self, margin: float) -> float:
        """The p of "they differ by the margin or more": the larger of two one-sided tests' (Schuirmann, J.
        Pharmacokinet. Biopharm. 15, 1987)."""
        left = room(margin, self.in_points) - abs(self.mean)
        return 1.0 if left <= self.floor else _tail(left, self.error, self.df)

    def with_floor(self, floor: float) -> "Estimate":
        return replace(self, floor=floor)

    def more_blocks(self, *, margin: float, alpha: float, alpha_equivalence: float) -> int | None:
        """How many more rounds should make it conclusive, if they are like those there are; None for over `MOST_MORE`.

        Conclusive is a difference that is significant at `alpha`, or one within the margin at `alpha_equivalence`.
        """
        deviation = self.error * math.sqrt(self.n)
        distance, left = abs(self.mean), room(margin, self.in_points) - abs(self.mean)
        per_block = self.df / self.n
        for n in range(self.n + 1, self.n + MOST_MORE + 1):
            df, error = max(1.0, per_block * n), deviation / math.sqrt(n)
            if max(t_quantile(1 - alpha / 2, df) * error, self.floor) < distance:
                return n - self.n
            if max(t_quantile(1 - alpha_equivalence, df) * error, self.floor) < left:
                return n - self.n
        return None


def shown(value: float, in_points: bool) -> float:
    """What stands for a logarithm of a ratio: the ratio; for a difference of shares, itself."""
    return value if in_points else math.exp(value)


def with_none(interval: tuple[float, float], in_points: bool) -> tuple[float, float]:
    """The interval, stretched to "no difference"."""
    none = 0.0 if in_points else 1.0
    return min(none, interval[0]), max(none, interval[1])


def room(margin: float, in_points: bool) -> float:
    """How far from "no difference" a margin reaches: percentage points of a share, else of the ratio."""
    return margin if in_points else math.log(1 + margin)


def paired(differences: Sequence[float]) -> Estimate:
    """Of the rounds' differences: their mean; from eight on without the outer fifth on either side.

    The trimmed mean's error is of the winsorized values, as in Yuen's test (Biometrika 61, 1974; for one sample Tukey
    and McLaughlin, Sankhyā A 25, 1963): SSD_w / (h (h − 1)), h being how many are left, with h − 1 degrees of freedom.
    """
    n = len(differences)
    cut = (n - left_of(n)) // 2
    ordered = sorted(differences)
    kept = ordered[cut : n - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    left = len(kept)
    error = math.sqrt(_squares(winsorized) / (left * (left - 1)))
    return Estimate(n, fmean(kept), error, left - 1, values=tuple(differences))


def left_of(rounds: int) -> int:
    """How many of so many rounds are left when the outer ones are trimmed."""
    return rounds - 2 * int(_TRIM * rounds) if rounds >= TRIMMED_FROM else rounds


def between_runs(
    logs_a: Sequence[float], logs_b: Sequence[float], scatter: Sequence[Sequence[float]] = ()
) -> Estimate | None:
    """B against A where each value is of a whole run.

    Two runs of each side or more: Welch's t (Biometrika 34, 1947), with his degrees of freedom. Where a side has one
    run, the runs of the other tell how far runs lie apart, or those of each group in `scatter`; three are needed for
    that, else None.
    """
    if not logs_a or not logs_b:
        return None
    sizes, mean = (len(logs_a), len(logs_b)), fmean(logs_b) - fmean(logs_a)
    if min(sizes) >= 2:
        parts = [_squares(logs) / (len(logs) - 1) / len(logs) for logs in (logs_a, logs_b)]
        spread = sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
        df = sum(parts) ** 2 / spread if spread > 0 else sum(sizes) - 2
        return Estimate(min(sizes), mean, math.sqrt(sum(parts)), df)
    groups = [group for group in (logs_a, logs_b, *scatter) if len(group) >= FEWEST]
    df = sum(len(group) - 1 for group in groups)
    if not groups:
        return None
    variance = sum(_squares(group) for group in groups) / df
    return Estimate(min(sizes), mean, math.sqrt(variance * (1 / sizes[0] + 1 / sizes[1])), df)


def _tail(distance: float, error: float, df: float) -> float:
    """The chance that Student's t exceeds distance ÷ error."""
    from scipy.special import stdtr

    return float(stdtr(df, -distance / error)) if error > 0 else 0.0


def _squares(values: Sequence[float]) -> float:
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values)
