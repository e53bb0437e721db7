"""Exact intervals of shares and percentiles, and how much wider they are where requests resemble each other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmx_loadgen.analysis.shares import design_effect, exact_share, order_statistics, widened


@given(st.integers(1, 400), st.floats(0, 1), st.floats(1e-6, 0.5))
def test_the_interval_of_a_share_is_within_clopper_s_and_pearson_s(of: int, share: float, alpha: float) -> None:
    met = round(share * of)
    other = stats.binomtest(met, of).proportion_ci(1 - alpha, "exact")
    low, high = exact_share(met, of, alpha)

    assert other.low - 1e-6 <= low <= met / of <= high <= other.high + 1e-6


def test_the_edges_leave_out_as_much_as_was_asked_for() -> None:
    """Mid-p: half of what is exactly as likely as what was seen counts."""
    low, high = exact_share(45, 48)

    assert float(stats.binom.sf(45, 48, low) + stats.binom.pmf(45, 48, low) / 2) == pytest.approx(0.025, rel=1e-4)
    assert float(stats.binom.cdf(44, 48, high) + stats.binom.pmf(45, 48, high) / 2) == pytest.approx(0.025, rel=1e-4)


def test_all_of_48_is_not_known_to_be_all() -> None:
    assert exact_share(48, 48) == (pytest.approx(0.05 ** (1 / 48), abs=1e-6), 1.0)
    assert exact_share(0, 48)[0] == 0.0


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_order_statistics_cover_a_percentile_of_any_distribution(share: float) -> None:
    draw = np.random.default_rng(7)
    truth = float(-np.log(1 - share))
    rows = np.sort(draw.exponential(size=(1500, 600)), axis=1)
    found = [order_statistics(row.tolist(), share, 0.05) for row in rows]

    assert 0.935 <= sum(low <= truth <= high for low, high in found) / 1500 <= 0.97


def test_too_few_values_do_not_bound_a_percentile() -> None:
    values = [float(one) for one in range(50)]

    assert order_statistics(values, 0.95, 0.05)[1] == math.inf
    assert math.isfinite(order_statistics(values, 0.95, 0.3)[1])
    assert order_statistics(values, 0.5, 0.05)[1] < 50


def test_blocks_that_are_alike_widen_it() -> None:
    """Twelve blocks of twenty: in each all requests do the same, so that there are twelve things to know, not 240."""
    together = [(20 if block % 2 else 0) - 10 for block in range(12)]
    effect = design_effect([one / 240 for one in together], 0.25 / 240)

    assert effect == pytest.approx(20 * 12 / 11)
    assert widened(effect, 12, 0.05) > effect  # twelve blocks tell a variance only about
    assert exact_share(120, 240, fewer=effect)[0] < exact_share(120, 240)[0] - 0.1


def test_no_scatter_to_compare_with_is_no_effect() -> None:
    assert design_effect([0.0, 0.0, 0.0], 0.0) == 1.0
    assert design_effect([0.0, 0.0, 0.0], 0.1) == pytest.approx(0.25)  # alike by chance: not for ever more
