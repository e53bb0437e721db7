"""The shift between two blocks of a round."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis.comparison.blocks import COMPARED, Block
from lmx_loadgen.analysis.comparison.shift import hodges_lehmann, log_value, quantum, shares, shift_between

TTFT, RATE = COMPARED["ttft_p50"], COMPARED["output_tok_s"]


def block(failed: int = 0, rate: float = 100.0, **ttft: list[float]) -> Block:
    return Block(0, 0.0, {"ttft": ttft}, failed, {"output_tok_s": rate})


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=9), st.lists(st.floats(-5, 5), min_size=1, max_size=9))
def test_it_is_the_median_of_all_differences(a: list[float], b: list[float]) -> None:
    assert hodges_lehmann(a, b) == pytest.approx(np.median(np.subtract.outer(b, a)), abs=1e-9)


def test_of_many_requests_order_statistics_tell_the_same() -> None:
    draw = np.random.default_rng(1)
    a, b = draw.normal(0, 1, 5000).tolist(), draw.normal(0.1, 1, 2500).tolist()

    assert hodges_lehmann(a, b) == pytest.approx(np.median(np.subtract.outer(b, a)), abs=1e-3)


def test_two_modes_do_not_move_it_where_a_median_jumps() -> None:
    """Of four requests in ten that wait three times as long on A, and six in ten on B."""
    fast, slow = [0.200, 0.201, 0.202, 0.203, 0.204, 0.205], [0.600, 0.603, 0.606, 0.609, 0.612, 0.615]
    a, b = block(short=fast + slow[:4]), block(short=fast[:4] + slow)
    found = shift_between(a, b, TTFT)

    assert found is not None
    assert abs(found.log) < 0.03
    assert math.log((b.value(TTFT) or 0) / (a.value(TTFT) or 1)) > 1


def test_prompts_of_different_lengths_are_never_held_against_each_other() -> None:
    a = block(short=[0.1, 0.1, 0.1], long=[2.0])
    b = block(short=[0.11], long=[2.2, 2.2, 2.2])
    found = shift_between(a, b, TTFT)

    assert found is not None
    assert found.log == pytest.approx(math.log(1.1))
    assert shares([found]) == {"short": 0.5, "long": 0.5}


def test_a_class_weighs_by_the_requests_on_both_sides() -> None:
    found = shift_between(block(short=[1.0] * 6, long=[1.0] * 3), block(short=[1.0] * 3, long=[2.0] * 3), TTFT)

    assert found is not None
    assert found.weights == {"short": 2.0, "long": 1.5}
    assert found.log == pytest.approx(math.log(2) * 1.5 / 3.5)


def test_a_rate_has_one_value_and_no_classes() -> None:
    found = shift_between(block(rate=100.0, short=[1.0]), block(rate=90.0, short=[1.0]), RATE)

    assert found is not None
    assert (found.log, found.weights) == (pytest.approx(math.log(0.9)), {})


def test_blocks_without_a_value_or_a_class_in_common_have_none() -> None:
    assert shift_between(block(short=[1.0], failed=5), block(short=[1.0]), TTFT) is None
    assert shift_between(block(short=[1.0]), block(long=[1.0]), TTFT) is None


def test_a_run_s_value_is_of_its_classes_medians() -> None:
    run = block(short=[0.1, 0.1, 9.9], long=[2.0])

    assert log_value(run, TTFT) == pytest.approx((3 * math.log(0.1) + math.log(2.0)) / 4)
    assert log_value(run, RATE) == pytest.approx(math.log(100))


def test_a_coarse_clock_shows_in_the_steps_between_values() -> None:
    coarse = block(short=[0.2, 0.2156, 0.2, 0.2312, 0.2156])

    assert quantum([coarse], TTFT) == pytest.approx(math.log(0.2312 / 0.2156))
    assert quantum([block(short=[0.2, 0.2])], TTFT) == pytest.approx(5e-9)  # whole nanoseconds
