"""Exact intervals of a share and of a percentile, also where requests are no independent samples.

Requests of one block resemble each other. How much is said by the design effect: by how much the variance over blocks
is larger than that of independent requests. So many requests less are taken to be there (Kish, Survey Sampling, 1965),
and a few less for a variance that comes from few blocks (Korn and Graubard, Survey Methodology 24, 1998).
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from lmx_loadgen.analysis.stats import t_quantile

# Few blocks may be alike by chance; they are never taken for more than four times as many requests.
_LEAST_EFFECT = 0.25
_STEPS, _CLOSE = 60, 1e-6
_TINY = 1e-300


def design_effect(totals: Sequence[float], independent: float) -> float:
    """By how much more than `independent` the sum of these totals, one a block, varies."""
    n, middle = len(totals), math.fsum(totals) / len(totals)
    if independent <= 0 or n < 2:
        return 1.0
    variance = math.fsum((one - middle) ** 2 for one in totals) * n / (n - 1)
    return max(_LEAST_EFFECT, variance / independent)


def widened(effect: float, blocks: int, alpha: float) -> float:
    """By how much fewer requests a 1 − `alpha` interval may count on, given a design effect found in `blocks`."""
    return effect * (t_quantile(1 - alpha / 2, blocks - 1) / _normal_quantile(1 - alpha / 2)) ** 2


def exact_share(met: float, of: float, alpha: float = 0.05, fewer: float = 1.0) -> tuple[float, float]:
    """The exact 1 − `alpha` interval of a share: Clopper and Pearson's (Biometrika 26, 1934) with mid-p, which counts
    half of what is exactly as likely as what was seen (Lancaster, JASA 56, 1961).

    `fewer` divides both numbers, which need not be whole.
    """
    met, of = met / fewer, of / fewer
    return _least_share(met, of, alpha / 2), 1 - _least_share(of - met, of, alpha / 2)


def _least_share(met: float, of: float, tail: float) -> float:
    """The share of which as many as were seen, or more, come in `tail` of all cases; 0 where none was seen."""
    from scipy.special import betaincinv

    if met <= 0:
        return 0.0
    # Clopper and Pearson's edge is lower, and the logarithm of the chance nearly a line between it and what was seen.
    return _root(lambda share: _mid_tail(met, of, share), tail, float(betaincinv(met, of - met + 1, tail)), met / of)


def order_statistics(ordered: Sequence[float], share: float, alpha: float, fewer: float = 1.0) -> tuple[float, float]:
    """The 1 − `alpha` interval of the value that this share of all lies below, whatever their distribution.

    Its edges are order statistics, between two of them where no whole one fits (Hutson, J. Appl. Stat. 26, 1999). An
    edge is infinite where so few values do not bound it.
    """
    n = len(ordered)
    counted = n / fewer
    ranks = _ranks(counted, share, alpha)
    low, high = (_at_rank(ordered, rank * (n + 1) / (counted + 1)) for rank in ranks)
    return low, high


@lru_cache(maxsize=4096)
def _ranks(n: float, share: float, alpha: float) -> tuple[float, float]:
    """The k-th of n uniform values is Beta(k, n + 1 − k): the k of which 1 − α/2 and α/2 lie below the share."""
    from scipy.special import betainc

    def below(rank: float) -> float:
        return float(betainc(rank, n + 1 - rank, share)) if 0 < rank < n + 1 else float(rank <= 0)

    # What lies above grows with the rank.
    low, high = (_root(lambda part: 1 - below(part * (n + 1)), tail) * (n + 1) for tail in (alpha / 2, 1 - alpha / 2))
    return low, high


def _at_rank(ordered: Sequence[float], rank: float) -> float:
    if rank < 1:
        return -math.inf
    if rank > len(ordered):
        return math.inf
    place = int(rank)
    low, high = ordered[place - 1], ordered[min(place, len(ordered) - 1)]
    return low if rank == place or low == high else low + (high - low) * (rank - place)


def _mid_tail(met: float, of: float, share: float) -> float:
    """The chance of more than `met` of `of`, and half that of exactly as many."""
    from scipy.special import betainc

    more = float(betainc(met + 1, of - met, share)) if met < of else 0.0
    return (float(betainc(met, of - met + 1, share)) + more) / 2


def _root(rising: Callable[[float], float], wanted: float, low: float = 0.0, high: float = 1.0) -> float:
    """Where a function that rises reaches `wanted`, by false position of its logarithm (Illinois)."""
    at_low, at_high = (math.log(max(rising(edge), _TINY) / wanted) for edge in (low, high))
    if at_low >= 0 or at_high <= 0:
        return low if at_low >= 0 else high
    side = 0
    for _ in range(_STEPS):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        at_middle = math.log(max(rising(middle), _TINY) / wanted)
        if abs(at_middle) < _CLOSE:
            return middle
        if at_middle < 0:
            low, at_low, at_high, side = middle, at_middle, at_high / 2 if side < 0 else at_high, -1
        else:
            high, at_high, at_low, side = middle, at_middle, at_low / 2 if side > 0 else at_low, 1
    return (low + high) / 2


@lru_cache(maxsize=4096)
def _normal_quantile(p: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(p))
