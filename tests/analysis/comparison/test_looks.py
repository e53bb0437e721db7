"""Looks at growing data: published boundaries, and draws of whole paths."""

import numpy as np
import pytest
from scipy.special import ndtr, stdtr

from lmx_loadgen.analysis.comparison.looks import LOOK_EVERY, MOST_BLOCKS, Look, boundaries, look_after, spent


def test_boundaries_are_lan_s_and_demets() -> None:
    """Pocock's kind at five equal looks, α = 0.05 two-sided: 2.438, 2.427, 2.410, 2.397, 2.386 (ldBounds, gsDesign)."""
    found = boundaries(0.05, (0.2, 0.4, 0.6, 0.8, 1.0))

    assert found == pytest.approx((2.438, 2.427, 2.410, 2.397, 2.386), abs=0.001)


def test_one_look_is_no_more_than_a_test() -> None:
    assert boundaries(0.05, (1.0,)) == pytest.approx((1.959964,), abs=1e-5)
    assert look_after(30, 30) is None
    assert look_after(40, 6) == Look(30, 6)


@pytest.mark.parametrize("is_last", [False, True])
def test_paths_that_ever_cross_are_as_many_as_were_to_be_spent(is_last: bool) -> None:
    looks = (6, 8, 10, 12)
    draw = np.random.default_rng(1)
    sums = np.cumsum(draw.standard_normal((200_000, 12)), axis=1)
    crossed = np.zeros(200_000, dtype=bool)
    for look in looks:
        level = Look(look, 6, is_last and look == looks[-1]).nominal(0.05)
        p = 2 * ndtr(-np.abs(sums[:, look - 1]) / np.sqrt(look))
        crossed |= p <= level

    wanted = 0.05 if is_last else spent(0.05, 12 / MOST_BLOCKS)
    assert crossed.mean() == pytest.approx(wanted, abs=0.0015)


def test_few_rounds_with_their_own_scatter_cross_no_more_often() -> None:
    """The t-tests of a whole run, at every look from six rounds to thirty."""
    draws = np.random.default_rng(2).standard_normal((20_000, MOST_BLOCKS))
    crossed = np.zeros(len(draws), dtype=bool)
    for look in range(6, MOST_BLOCKS + 1, LOOK_EVERY):
        seen = draws[:, :look]
        t = seen.mean(axis=1) / seen.std(axis=1, ddof=1) * np.sqrt(look)
        crossed |= 2 * stdtr(look - 1, -np.abs(t)) <= Look(look, 6, look == MOST_BLOCKS).nominal(0.05)

    assert 0.042 <= crossed.mean() <= 0.058


@pytest.mark.parametrize("alpha", [0.0005, 0.01, 0.05])
def test_an_overall_p_undoes_a_nominal_level(alpha: float) -> None:
    look = Look(10, 6)

    assert look.overall(look.nominal(alpha)) == pytest.approx(alpha)
    assert look.nominal(alpha) < alpha
    assert look.overall(1.0) == 1.0
    assert look.overall(0.0) == 0.0


def test_the_last_look_may_spend_what_is_left() -> None:
    assert Look(6, 6, is_last=True).nominal(0.05) == pytest.approx(0.05, rel=1e-3)
    assert Look(6, 6).nominal(0.05) == pytest.approx(spent(0.05, 0.2), rel=1e-3)
