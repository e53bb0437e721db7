"""What a look at the results costs when a run goes on until it is conclusive.

A verdict that may be given after 6, 8, 10, … rounds has as many chances of a false finding. Lan and DeMets (Biometrika
70, 1983) spend α over the looks by a function of the share of rounds that have been made. Looks at growing data are
correlated: the differences so far are a Brownian motion seen at those shares, and what a look may reject is found by
integrating its density over the paths that no earlier look has stopped (Armitage, McPherson and Rowe, J. R. Stat. Soc.
A 132, 1969; Jennison and Turnbull, Group Sequential Methods, 2000, chapter 19). Few rounds have a t distribution and
no normal one: the two-sided level of the normal boundary is what the t-test is held against (the significance level
approach, Jennison and Turnbull, section 4.4).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# Looks come after the planned rounds, then every two, up to so many.
LOOK_EVERY = 2
MOST_BLOCKS = 30
_GRID = 241  # odd, for Simpson's rule
_FARTHEST_Z = 40.0
_ALPHAS_PER_DECADE = 8
_LEAST_ALPHA, _MOST_ALPHA = 1e-5, 0.9


@dataclass(frozen=True, slots=True)
class Look:
    """A look of a plan of looks: after `blocks` rounds, the first one after `first`.

    The last one spends all that is left: nothing can come after it. That holds for a run that ended early, too, for no
    look that it still had can be a chance of a false finding.
    """

    blocks: int
    first: int
    is_last: bool = False

    def nominal(self, alpha: float) -> float:
        """The two-sided level that a test at this look alone is held against, so that all looks spend `alpha`."""
        return _interpolated(alpha, *_table(self.blocks, self.first, self.is_last))

    def overall(self, p: float) -> float:
        """The least α for which a two-sided `p` at this look is significant: the p-value that allows for all looks."""
        overall, nominal = _table(self.blocks, self.first, self.is_last)
        return min(1.0, _interpolated(p, nominal, overall)) if p < 1 else 1.0


def look_after(blocks: int, planned: int) -> Look | None:
    """The look after so many rounds of a plan of `planned`; None where there is room for one look alone."""
    return Look(min(max(blocks, planned), MOST_BLOCKS), planned) if planned < MOST_BLOCKS else None


def spent(alpha: float, share: float) -> float:
    """How much of `alpha` may be spent once this `share` of `MOST_BLOCKS` is made: α ln(1 + (e − 1) t), Lan and DeMets'
    function of Pocock's kind, which is much the same at each look."""
    return alpha * math.log(1 + (math.e - 1) * min(1.0, share))


@lru_cache(maxsize=2048)
def boundaries(alpha: float, shares: tuple[float, ...], last_spends_all: bool = False) -> tuple[float, ...]:
    """The two-sided boundaries, in standard normal units, of looks at these growing shares of the data."""
    import numpy as np

    state: tuple[Any, Any] | None = None  # where the paths are that have not been stopped, and their density × weight
    found, before, last = [], 0.0, 0.0
    for share in shares:
        whole = alpha if last_spends_all and share == shares[-1] else spent(alpha, share)
        wanted = max(whole - before, 1e-300)
        edge = _edge(state, share - last, wanted)
        found.append(edge / math.sqrt(share))
        points = np.linspace(-edge, edge, _GRID)
        state = points, _density(state, points, share - last) * _simpson(2 * edge / (_GRID - 1))
        before, last = whole, share
    return tuple(found)


def _edge(state: tuple[Any, Any] | None, step: float, wanted: float) -> float:
    """Where a boundary must lie that stops `wanted` of all paths now, by bisection."""
    import numpy as np
    from scipy.special import ndtr

    places, weights = state if state is not None else (np.zeros(1), np.ones(1))
    deviation = math.sqrt(step)
    low, high = 0.0, _FARTHEST_Z
    for _ in range(60):
        middle = (low + high) / 2
        outside = ndtr((places - middle) / deviation) + ndtr((-middle - places) / deviation)
        low, high = (middle, high) if float(weights @ outside) > wanted else (low, middle)
    return (low + high) / 2


def _density(state: tuple[Any, Any] | None, points: Any, step: float) -> Any:
    """The density at `points` of paths that went on from `state`."""
    import numpy as np

    places, weights = state if state is not None else (np.zeros(1), np.ones(1))
    steps = points[:, None] - places[None, :]
    return np.exp(-(steps**2) / (2 * step)) @ weights / math.sqrt(2 * math.pi * step)


def _simpson(width: float) -> Any:
    import numpy as np

    weights = np.full(_GRID, 2.0)
    weights[1::2] = 4.0
    weights[[0, -1]] = 1.0
    return weights * width / 3


@lru_cache(maxsize=64)
def _table(blocks: int, first: int, is_last: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Logarithms of overall levels and of the nominal ones at this look that go with them, both rising."""
    from scipy.special import ndtr

    looks = range(first, blocks + 1, LOOK_EVERY) if (blocks - first) % LOOK_EVERY == 0 else [
        *range(first, blocks, LOOK_EVERY), blocks,
    ]  # fmt: skip
    shares = tuple(look / MOST_BLOCKS for look in looks)
    count = round(math.log10(_MOST_ALPHA / _LEAST_ALPHA) * _ALPHAS_PER_DECADE)
    ratio = _MOST_ALPHA / _LEAST_ALPHA
    alphas = [_LEAST_ALPHA * ratio ** (place / count) for place in range(count + 1)]
    nominal = [2 * float(ndtr(-boundaries(alpha, shares, is_last)[-1])) for alpha in alphas]
    return tuple(math.log(one) for one in alphas), tuple(math.log(one) for one in nominal)


def _interpolated(value: float, known: tuple[float, ...], wanted: tuple[float, ...]) -> float:
    """Linear in logarithms; beyond the ends with their slope."""
    if value <= 0:
        return 0.0
    x = math.log(value)
    place = next((place for place in range(1, len(known) - 1) if known[place] >= x), len(known) - 1)
    slope = (wanted[place] - wanted[place - 1]) / (known[place] - known[place - 1])
    return math.exp(wanted[place - 1] + (x - known[place - 1]) * slope)
