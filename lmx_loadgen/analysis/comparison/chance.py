"""Whether chance explains a difference between two sides: exact tests of shares, a t test of pairs.

All give a two-sided p: how often two equal sides would differ as much, or more.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

# A difference that equal sides show this rarely is not chance. Shared among the levels of a comparison.
ALPHA = 0.02
# Probabilities this close to the observed one are the same: they come out of logarithms.
_SAME = 1e-7


def shares_p(hits_a: int, n_a: int, hits_b: int, n_b: int) -> float:
    """Fisher's exact test of two shares in its mid-p form: of tables exactly as likely as the observed one half counts.

    It takes both margins as given (Fisher, Statistical Methods for Research Workers, 1934). The mid-p (Lancaster, JASA
    56, 1961) is close to Barnard's unconditional test, where Fisher's own p is far too careful at counts this small.
    """
    hits, n = hits_a + hits_b, n_a + n_b
    if not n_a or not n_b or not hits or hits == n:
        return 1.0
    lowest, highest = max(0, hits - n_b), min(hits, n_a)
    logs = [_log_choose(n_a, one) + _log_choose(n_b, hits - one) for one in range(lowest, highest + 1)]
    top = max(logs)
    weights = [math.exp(log - top) for log in logs]
    seen = weights[hits_a - lowest]
    rarer = math.fsum(weight for weight in weights if weight < seen * (1 - _SAME))
    equal = math.fsum(weight for weight in weights if abs(weight - seen) <= seen * _SAME)
    return min(1.0, (rarer + equal / 2) / math.fsum(weights))


def kinds_p(a: Mapping[str, int], b: Mapping[str, int]) -> float:
    """The same of shares of several kinds: the least p of any kind against all others, times the number of kinds
    (Bonferroni; two kinds are one question)."""
    n_a, n_b = sum(a.values()), sum(b.values())
    kinds = set(a) | set(b)
    ps = [shares_p(a.get(kind, 0), n_a, b.get(kind, 0), n_b) for kind in kinds]
    return min(1.0, min(ps, default=1.0) * (len(kinds) if len(kinds) > 2 else 1))


def pairs_p(differences: Sequence[float]) -> float:
    """Student's t of paired differences; 1 below two pairs. Differences that are all the same are not chance."""
    if len(differences) < 2:
        return 1.0
    middle, scatter = fmean(differences), stdev(differences)
    if scatter <= 1e-12 * abs(middle):
        return 0.0 if middle else 1.0
    from scipy.special import stdtr  # a third of scipy.stats' import time

    return float(2 * stdtr(len(differences) - 1, -abs(middle) / (scatter / math.sqrt(len(differences)))))


def sooner_p(some: Sequence[float], others: Sequence[float]) -> float:
    """How often `some` would be as much below `others` by rank as they are, if they were no different: the one-sided
    exact test of Mann and Whitney (Ann. Math. Stat. 18, 1947), mid-p. 1 where either is empty."""
    if not some or not others:
        return 1.0
    above = sum(one > other for one in some for other in others)
    ways = _rank_sums(len(some), len(others))
    return (sum(ways[:above]) + ways[above] / 2) / sum(ways)


def at_least_p(hits: int, n: int, rate: float) -> float:
    """How often `hits` or more of `n` would happen by chance where each does at that rate: the binomial tail."""
    from scipy.special import bdtrc  # a third of scipy.stats' import time

    return float(bdtrc(hits - 1, n, rate)) if hits else 1.0


def _rank_sums(n: int, m: int) -> list[int]:
    """In how many of the orders of n and m values there are 0, 1, … pairs in which one of the n is above: the
    coefficients of Gauss's binomial."""
    ways = [1] + [0] * (n * m)
    for k in range(1, n + 1):
        for place in range(n * m, m + k - 1, -1):
            ways[place] -= ways[place - m - k]
        for place in range(k, n * m + 1):
            ways[place] += ways[place - k]
    return ways


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
