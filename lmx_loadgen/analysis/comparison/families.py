"""Many verdicts of one session, and a false one in 5 % of the sessions at most.

TTFT and decode tok/s are the primary family, the other figures the secondary one. Each has a share of α, and Holm's
step-down correction (Scand. J. Statist. 6, 1979) within it. A family whose every test is significant passes its share
on to the other one: it has nothing left to be wrong about (Bretz, Maurer, Brannath and Posch, Stat. Med. 28, 2009).
The chance of any false finding in either is α at most, however the figures depend on each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PRIMARY_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Allotment:
    """What one test of a family may spend, and its p-value corrected for all tests of both families.

    `p_adjusted` ≤ α, the whole budget, says the same as p ≤ `alpha`. That is `single_step`, raised by Holm's
    steps and by what the other family passed on.
    """

    alpha: float
    single_step: float
    p_adjusted: float


def allotted(
    primary: Mapping[str, float], secondary: Mapping[str, float], sizes: tuple[int, int], alpha: float
) -> dict[str, Allotment]:
    """The allotments of both families' tests, by their keys, given their p-values.

    `sizes` count tests that are not made (yet) as well: those are taken to have p = 1, which can only be too careful.
    """
    families = (primary, secondary)
    sizes = max(sizes[0], len(primary)), max(sizes[1], len(secondary))
    shares = (PRIMARY_SHARE, 1 - PRIMARY_SHARE)
    adjusted = [holm(ps, size) for ps, size in zip(families, sizes, strict=True)]
    # The least budget, of both families, at which a family's every test is significant.
    passes_on = [
        max(found.values(), default=1.0) / share if len(found) == size else 1.0
        for found, size, share in zip(adjusted, sizes, shares, strict=True)
    ]
    found: dict[str, Allotment] = {}
    for place, (ps, size, share) in enumerate(zip(families, sizes, shares, strict=True)):
        whole = passes_on[1 - place]
        budget = alpha if whole <= alpha else alpha * share
        corrected = {key: min(1.0, p / share, max(p, whole)) for key, p in adjusted[place].items()}
        rejected = sum(p <= alpha for p in corrected.values())
        for rank, key in enumerate(sorted(ps, key=lambda key: ps[key])):
            found[key] = Allotment(budget / max(1, size - min(rank, rejected)), alpha * share / size, corrected[key])
    return found


def holm(ps: Mapping[str, float], size: int | None = None) -> dict[str, float]:
    """p-values after Holm's correction for a family of `size` tests, of which those without a p are taken to be 1."""
    size = max(size or 0, len(ps))
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        largest = max(largest, min(1.0, (size - place) * ps[name]))
        adjusted[name] = largest
    return adjusted
