"""Many verdicts of one session, and a false one in 5 % of the sessions at most.

TTFT and decode tok/s are the primary family, the other medians and rates the secondary one, and tails and what the SLO
counts a third. Each has a share of α, and Holm's step-down correction (Scand. J. Statist. 6, 1979) within it. A family
whose every test is significant passes its share on to the next one: it has nothing left to be wrong about (Bretz,
Maurer, Brannath and Posch, Stat. Med. 28, 2009). A family without a test has no share. The chance of any false finding
is α at most, however the figures depend on each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Of the primary, the secondary and the tails' family.
SHARES = (0.72, 0.18, 0.10)


@dataclass(frozen=True, slots=True)
class Allotment:
    """What one test of a family may spend, and its p-value corrected for all tests of all families.

    `p_adjusted` ≤ α, the whole budget, says the same as p ≤ `alpha`. That is `single_step`, raised by Holm's
    steps and by what other families passed on.
    """

    alpha: float
    single_step: float
    p_adjusted: float


@dataclass(frozen=True, slots=True)
class _Step:
    """From a budget of `start` on, what share of it each family has, and which still have a test to be wrong about. One
    that passed its own on keeps what it had."""

    start: float
    shares: tuple[float, ...]
    live: frozenset[int]


def allotted(families: Sequence[Mapping[str, float]], sizes: Sequence[int], alpha: float) -> dict[str, Allotment]:
    """The allotments of all families' tests, by their keys, given their p-values.

    `sizes` count tests that are not made (yet) as well: those are taken to have p = 1, which can only be too careful.
    """
    sizes = [max(size, len(ps)) for size, ps in zip(sizes, families, strict=True)]
    adjusted = [holm(ps, size) for ps, size in zip(families, sizes, strict=True)]
    tested = sum(share for share, size in zip(SHARES, sizes, strict=True) if size)
    first = [share / tested if size else 0.0 for share, size in zip(SHARES, sizes, strict=True)]
    # A family is through with its last test; one with a test that is not made never is.
    last = [
        max(found.values(), default=0.0) if len(found) == size else None
        for found, size in zip(adjusted, sizes, strict=True)
    ]
    steps = _steps(first, last)
    found: dict[str, Allotment] = {}
    for place, (ps, size) in enumerate(zip(families, sizes, strict=True)):
        reached = [step for step in steps if step.start <= alpha][-1]
        # Once all others are through, all of it is this one's, even where it was through before them.
        budget = alpha * (1.0 if reached.live <= {place} else reached.shares[place])
        corrected = {key: _least_budget(p, place, steps) for key, p in adjusted[place].items()}
        rejected = sum(p <= alpha for p in corrected.values())
        for rank, key in enumerate(sorted(ps, key=lambda key: ps[key])):
            single = alpha * first[place] / size
            found[key] = Allotment(budget / max(1, size - min(rank, rejected)), single, corrected[key])
    return found


def _steps(first: Sequence[float], last: Sequence[float | None]) -> list[_Step]:
    """The shares at every budget, from the first on. `last` is each family's largest corrected p, as if it had the
    whole budget."""
    live, shares = [place for place, share in enumerate(first) if share], list(first)
    steps = [_Step(0.0, tuple(shares), frozenset(live))]
    while through := {place: p / shares[place] for place in live if (p := last[place]) is not None}:
        place = min(through, key=lambda one: through[one])
        following = live[(live.index(place) + 1) % len(live)]
        live.remove(place)
        if live:
            shares[following] += shares[place]
        steps.append(_Step(max(steps[-1].start, through[place]), tuple(shares), frozenset(live)))
    return steps


def _least_budget(p: float, place: int, steps: Sequence[_Step]) -> float:
    """The least budget at which a test of a family is significant, given its p within it."""
    ends = [step.start for step in steps[1:]] + [float("inf")]
    for step, end in zip(steps, ends, strict=True):
        needed = max(step.start, p / step.shares[place])
        if needed <= end:
            return min(1.0, needed)
    return 1.0


def holm(ps: Mapping[str, float], size: int | None = None) -> dict[str, float]:
    """p-values after Holm's correction for a family of `size` tests, of which those without a p are taken to be 1."""
    size = max(size or 0, len(ps))
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        largest = max(largest, min(1.0, (size - place) * ps[name]))
        adjusted[name] = largest
    return adjusted
