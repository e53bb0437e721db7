"""The exact interval of one figure alone."""

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis.comparison import verdict
from lmx_loadgen.analysis.comparison.signed_rank import signed_rank_interval


@pytest.mark.parametrize(("n", "outside"), [(6, 2 / 64), (8, 10 / 256)])
def test_its_coverage_is_exact(n: int, outside: float) -> None:
    """Of values that are symmetrical about 0, each sign is as likely as the other."""
    draw = random.Random(n)
    sizes = [draw.uniform(0.1, 5) for _ in range(n)]
    intervals = [
        signed_rank_interval([sign * size for sign, size in zip(signs, sizes, strict=True)], 0.05)
        for signs in product((-1, 1), repeat=n)
    ]

    assert sum(one is not None and not one[0] <= 0 <= one[1] for one in intervals) / 2**n == outside


def test_of_six_values_it_reaches_from_the_least_to_the_largest() -> None:
    assert signed_rank_interval([3.0, 1.0, 2.0, 9.0, 5.0, 4.0], 0.05) == (1.0, 9.0)


@pytest.mark.parametrize("n", [0, 3, 5])
def test_too_few_values_have_none(n: int) -> None:
    assert signed_rank_interval([1.0] * n, 0.05) is None


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=20), st.floats(-2, 2))
def test_it_moves_with_the_values(values: list[float], by: float) -> None:
    low, high = signed_rank_interval(values, 0.05) or (0.0, 0.0)
    moved = signed_rank_interval([value + by for value in values], 0.05)

    assert low <= high
    assert moved == pytest.approx((low + by, high + by), abs=1e-9)


def test_one_round_far_off_does_not_widen_it_where_there_are_more() -> None:
    rounds = [0.010, 0.012, 0.008, 0.011, 0.009, 0.010, 0.013, 0.007, 0.010, 0.5]
    low, high = verdict.paired(rounds).interval_alone(0.05)

    assert 1.005 < low < 1.01 < high < 1.3
    assert verdict.paired(rounds[:5]).interval_alone(0.05) == verdict.paired(rounds[:5]).interval(0.05)


def test_it_is_not_narrower_than_the_clock() -> None:
    low, high = verdict.paired([0.01] * 8).with_floor(0.02).interval_alone(0.05)

    assert (low, high) == pytest.approx((0.99005, 1.03045), abs=1e-5)
