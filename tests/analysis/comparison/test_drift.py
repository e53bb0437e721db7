"""Changes while it was measured: trends against scipy's, and steps against draws whose truth is known."""

import itertools
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lmx_loadgen.analysis.comparison.drift import centered, change_over_blocks, change_within_blocks, step, trend

LOGS = st.lists(st.floats(-20, 20), min_size=4, max_size=12)


@given(st.lists(st.integers(0, 4), min_size=4, max_size=6))
def test_p_of_a_trend_counts_all_orders_with_ties_and_without(values: list[int]) -> None:
    orders = list(itertools.permutations(values))
    as_far = sum(abs(score(order)) >= abs(score(values)) for order in orders)

    assert trend([float(value) for value in values]).p == pytest.approx(as_far / len(orders))


def score(values: Sequence[int]) -> int:
    return sum((after > before) - (after < before) for before, after in itertools.combinations(values, 2))


def test_many_blocks_with_a_tie_are_judged_as_without_it() -> None:
    draw = np.random.default_rng(5)
    logs = np.round(draw.normal(0, 0.02, 14) + np.arange(14) * 0.001, 12)
    tied = logs.copy()
    tied[8] = tied[3]

    assert trend(tied.tolist()).p == pytest.approx(trend(logs.tolist()).p, abs=0.05)


def test_the_slope_is_theil_s_and_sen_s() -> None:
    draw = random.Random(3)
    logs = [0.01 * place - draw.random() * 0.001 * place for place in range(9)]

    assert trend(logs).change == pytest.approx(8 * stats.theilslopes(logs, range(9)).slope)


@settings(deadline=None)  # the first of each length draws what chance does
@given(LOGS)
def test_no_change_is_more_than_the_values_span(logs: list[float]) -> None:
    found = change_over_blocks(logs)

    assert found is not None
    assert abs(found.change) <= max(logs) - min(logs) + 1e-9
    assert 0 <= found.p <= 1


def test_three_blocks_are_no_change() -> None:
    assert change_over_blocks([0.0, 1.0, 2.0]) is None


def test_a_step_of_15_percent_in_six_blocks_is_seen() -> None:
    """A trend alone sees it in 14 % of the sessions."""
    draw = np.random.default_rng(1)
    rows = draw.normal(0, 0.02, (300, 6)) + math.log(1.15) * np.array([0, 0, 0, 1, 1, 1])
    found = [change_over_blocks(row.tolist()) for row in rows]
    alone = [trend(row.tolist()).is_real for row in rows]

    seen = [one for one in found if one is not None and one.is_real]
    assert len(seen) / 300 >= 0.9
    assert sum(alone) / 300 <= 0.3
    assert sum(one.kind == "step" for one in seen) / len(seen) >= 0.9
    assert np.mean([one.change for one in seen]) == pytest.approx(math.log(1.15), abs=0.01)


@pytest.mark.parametrize("blocks", [4, 6, 12, 30])
def test_false_alarms_are_as_rare_as_they_say(blocks: int) -> None:
    rows = np.random.default_rng(blocks).standard_normal((1500, blocks))
    found = [change_over_blocks(row.tolist()) for row in rows]

    assert sum(one is not None and one.is_real for one in found) / 1500 <= 0.065


def test_one_block_that_is_off_is_no_step() -> None:
    assert not step([0.0, 0.01, 0.5, 0.02, 0.005, 0.015]).is_real


def test_ties_are_nothing_that_rises() -> None:
    found = change_over_blocks([1.0, 1.0, 1.0, 1.0])

    assert found is not None
    assert (found.p, found.change) == (1.0, 0.0)


def test_a_machine_that_slows_down_within_a_block_is_seen() -> None:
    draw = np.random.default_rng(4)
    seen = false = 0
    for _ in range(100):
        blocks = draw.normal(0, 0.03, (6, 8))
        found = change_within_blocks(blocks.tolist())
        false += found is not None and found.is_real
        blocks[3, 4:] += math.log(1.15)
        found = change_within_blocks(blocks.tolist())
        seen += found is not None and found.is_real

    assert seen >= 65
    assert false <= 12


def test_blocks_of_a_few_requests_tell_nothing_of_what_is_within() -> None:
    assert change_within_blocks([[0.0, 1.0, 2.0, 3.0, 4.0]] * 6) is None
    assert change_within_blocks([[0.5] * 8] * 6) is None


def test_classes_of_prompts_are_centered_and_take_turns() -> None:
    assert centered([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]) == [-1.0, -10.0, 0.0, 0.0, 1.0, 10.0]
