"""Trends, against scipy's Kendall and Theil-Sen."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmx_loadgen.analysis.comparison.drift import shared_trend, trend


@given(st.lists(st.integers(-1000, 1000), min_size=4, max_size=12, unique=True))
def test_p_is_kendall_s_exact_one(values: list[int]) -> None:
    times = list(range(len(values)))
    found = trend(times, [float(value) for value in values])

    assert found is not None
    assert found.p == pytest.approx(stats.kendalltau(times, values, method="exact").pvalue)


def test_the_slope_is_theil_s_and_sen_s() -> None:
    draw = random.Random(3)
    times = [draw.uniform(0, 600) for _ in range(9)]
    logs = [0.0002 * time + draw.gauss(0, 0.01) for time in times]
    found = trend(times, logs)

    assert found is not None
    assert found.slope == pytest.approx(stats.theilslopes(logs, times).slope)
    assert found.change == pytest.approx(found.slope * (max(times) - min(times)))


def test_three_blocks_are_no_trend() -> None:
    assert trend([0, 1, 2], [0.0, 1.0, 2.0]) is None


def test_two_runs_that_each_drift_a_little_do_so_together() -> None:
    first, second = [0.0, 0.01, 0.005, 0.02, 0.03], [0.05, 0.06, 0.055, 0.07, 0.08]
    times = [0.0, 1.0, 2.0, 3.0, 4.0]
    alone = trend(times, first)
    both = shared_trend([(times, first), ([time + 5 for time in times], second)])

    assert alone is not None
    assert both is not None
    assert not alone.is_real
    assert both.is_real


def test_a_jump_between_two_runs_is_no_trend_of_either() -> None:
    flat = [0.01, 0.0, 0.012, 0.001, 0.006, 0.004]
    times = [float(place) for place in range(6)]
    both = shared_trend([(times, flat), ([time + 6 for time in times], [log + 0.5 for log in flat])])

    assert both is not None
    assert not both.is_real
    assert abs(both.slope) < 0.01


def test_false_alarms_are_as_rare_as_they_say() -> None:
    draw = random.Random(1)
    times = [float(place) for place in range(6)]
    found = [trend(times, [draw.gauss(0, 1) for _ in times]) for _ in range(1000)]

    assert sum(one is not None and one.is_real for one in found) / 1000 <= 0.05


def test_ties_are_nothing_that_rises() -> None:
    found = trend([0, 1, 2, 3], [1.0, 1.0, 1.0, 1.0])

    assert found is not None
    assert (found.p, found.slope) == (pytest.approx(1.0), 0.0)
    assert not math.isnan(found.change)
