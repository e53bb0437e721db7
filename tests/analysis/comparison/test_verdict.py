"""The statistics of a verdict, against other ways to the same figure."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmx_loadgen.analysis.comparison import verdict
from lmx_loadgen.analysis.comparison.verdict import (
    ALPHA,
    Estimate,
    alpha_at_look,
    bootstrap,
    holm,
    judged,
    paired,
    unpaired,
)

LOGS = st.lists(st.floats(-2, 2), min_size=3, max_size=12)


def sample(seed: int, n: int, mean: float = 0.0) -> list[float]:
    draw = random.Random(seed)
    return [draw.gauss(mean, 0.1) for _ in range(n)]


def test_paired_blocks_are_a_one_sample_t_test_of_their_differences() -> None:
    a, b = sample(1, 6), sample(2, 6, 0.05)
    found, other = paired(a, b), stats.ttest_rel(b, a)
    low, high = other.confidence_interval(0.95)

    assert found.p == pytest.approx(other.pvalue)
    assert found.interval(0.05) == pytest.approx((math.exp(low), math.exp(high)))


def test_single_runs_are_welch_s_t_test() -> None:
    a, b = sample(3, 6), sample(4, 9, 0.2)
    found, other = unpaired(a, b), stats.ttest_ind(b, a, equal_var=False)
    low, high = other.confidence_interval(0.95)

    assert found.p == pytest.approx(other.pvalue)
    assert found.interval(0.05) == pytest.approx((math.exp(low), math.exp(high)))


@given(LOGS, st.floats(-1, 1))
def test_a_machine_that_slows_down_for_both_changes_nothing(logs: list[float], shift: float) -> None:
    steady = paired([0.0] * len(logs), logs)
    drifting = paired([shift * k for k in range(len(logs))], [log + shift * k for k, log in enumerate(logs)])

    assert drifting.mean == pytest.approx(steady.mean, abs=1e-9)
    assert drifting.error == pytest.approx(steady.error, abs=1e-9)


def test_equal_values_have_no_difference_and_no_doubt() -> None:
    same, apart = paired([1.0] * 4, [1.0] * 4), paired([1.0] * 4, [1.5] * 4)

    assert (same.p, same.interval(0.05)) == (1.0, (1.0, 1.0))
    assert apart.p == 0.0


def test_holm_is_the_textbook_s() -> None:
    # 0.01·4, 0.02·3, 0.03·2, and never below the one before
    assert holm({"a": 0.01, "b": 0.03, "c": 0.02, "d": 0.9}) == pytest.approx(
        {"a": 0.04, "c": 0.06, "b": 0.06, "d": 0.9}
    )


def test_tests_that_are_still_to_come_are_corrected_for_already() -> None:
    assert holm({"a": 0.01}, family=10) == pytest.approx({"a": 0.1})


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.integers(0, 7), st.floats(0, 1))
def test_a_test_still_to_come_can_only_help(ps: list[float], which: int, p: float) -> None:
    known = {str(place): value for place, value in enumerate(ps)}
    before = holm(known, family=len(ps) + 1)
    after = holm(known | {"new": p})

    assert all(after[name] <= before[name] + 1e-12 for name in known)


@pytest.mark.parametrize("first", [4, 6, 7, 20, 29])
def test_all_looks_together_spend_5_percent_at_most(first: int) -> None:
    series_styles = range(first, verdict.MOST_BLOCKS + 1, verdict.LOOK_EVERY)
    spent = [alpha_at_look(blocks, first) for blocks in series_styles]

    assert min(spent) > 0
    assert sum(spent) <= ALPHA + 1e-12


def test_a_plan_longer_than_all_looks_is_looked_at_once() -> None:
    assert alpha_at_look(40, 40) == ALPHA


@pytest.mark.parametrize(
    ("mean", "error", "p", "higher", "expected"),
    [
        (0.10, 0.01, 0.001, False, "worse"),  # a time that grew
        (0.10, 0.01, 0.001, True, "better"),  # a rate that grew
        (-0.10, 0.01, 0.001, False, "better"),
        (0.10, 0.01, 0.06, False, "undecided"),  # chance, after correction for many tests
        (0.01, 0.002, 0.001, False, "equivalent"),  # sure, and too small to matter
        (0.0, 0.1, 0.9, False, "undecided"),  # no difference found, but far from sure
    ],
)
def test_verdicts(mean: float, error: float, p: float, higher: bool, expected: str) -> None:
    estimate = Estimate(6, mean, error, 5)
    found = judged(estimate, estimate.interval(ALPHA), p, margin=0.03, higher_is_better=higher)

    assert found == expected


def test_which_side_is_named_first_does_not_change_the_verdict() -> None:
    """2.95 % slower one way round is 3.04 % faster the other way: both are just outside of 3 %."""
    one = judged(Estimate(6, -0.02, 0.005, 5), (0.9705, 1.01), 0.9, margin=0.03, higher_is_better=False)
    other = judged(Estimate(6, 0.02, 0.005, 5), (1 / 1.01, 1 / 0.9705), 0.9, margin=0.03, higher_is_better=False)

    assert one == other == "undecided"


def test_how_many_more_blocks_is_how_many_more_it_takes() -> None:
    estimate = Estimate(6, 0.05, 0.03, 5)
    more = verdict.more_blocks(estimate, margin=0.03, alpha=ALPHA, family=1)
    assert more is not None
    per_block = 0.03 * math.sqrt(6)

    def is_found(blocks: int) -> bool:
        return bool(stats.t.ppf(0.975, blocks * 5 / 6) * per_block / math.sqrt(blocks) < 0.05)

    assert is_found(6 + more)
    assert not is_found(6 + more - 1)


def test_no_number_of_blocks_is_promised_where_it_is_over_200() -> None:
    assert verdict.more_blocks(Estimate(6, 0.029, 1.0, 5), margin=0.03, alpha=ALPHA, family=10) is None


def test_the_bootstrap_agrees_with_scipy_s() -> None:
    differences = sample(5, 12, 0.05)

    def mean(a: object, drawn: list[int]) -> float:
        return sum(differences[place] for place in drawn) / len(drawn)

    found = bootstrap(lambda a, b: mean(a, list(b)), 12, 12, is_paired=True, seed=1)
    other = stats.bootstrap((differences,), lambda x: sum(x) / len(x), vectorized=False, method="percentile", rng=1)

    assert found is not None
    low, high = other.confidence_interval
    assert found == pytest.approx((math.exp(low), math.exp(high)), rel=0.01)


def test_the_bootstrap_is_none_where_draws_have_no_value() -> None:
    assert bootstrap(lambda a, b: None, 6, 6, is_paired=True, seed=1) is None
