import random
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from lmx_loadgen.analysis.stats import (
    PERCENTILES,
    Better,
    clustered_interval,
    describe,
    mean_interval,
    percentile,
    t_quantile,
)
from lmx_loadgen.analysis.values import Values

VALUES = st.lists(st.floats(min_value=-1e9, max_value=1e9), min_size=1, max_size=200)
P = st.integers(min_value=0, max_value=100)


@given(VALUES, P)
def test_without_failures_it_is_numpys_percentile(values: list[float], p: int) -> None:
    expected = np.percentile(values, p, method="linear")
    assert percentile(sorted(values), p) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(VALUES, P)
def test_where_higher_is_better_p95_is_what_95_percent_reach(values: list[float], p: int) -> None:
    expected = np.percentile(values, 100 - p, method="linear")
    assert percentile(sorted(values), p, better="higher") == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_p95_of_a_rate_is_at_its_low_end() -> None:
    # 1..21: position 19 of 0..20 from the best, 21, downwards: 2
    rates = [float(value) for value in range(1, 22)]
    assert percentile(rates, 95, better="higher") == 2
    assert percentile(rates, 95, better="lower") == 20


@pytest.mark.parametrize(
    ("p", "value"),
    # eight values and two failures: ten places, 0 to 9; the failures are at 8 and 9
    [
        (50, 5.5),  # place 4.5, between 5 and 6
        (70, 7.3),  # place 6.3, between 7 and 8
        (75, 7.75),  # place 6.75
        (80, None),  # place 7.2 leans on a failure
        (90, None),  # place 8.1
        (100, None),
    ],
)
def test_a_percentile_among_failures_is_not_a_number(p: int, value: float | None) -> None:
    found = percentile([1, 2, 3, 4, 5, 6, 7, 8], p, failed=2)
    assert found == (None if value is None else pytest.approx(value))


def test_a_percentile_exactly_on_the_last_success_is_that_one() -> None:
    # three values and one failure: p of place 2 of 0..3 is 66.67; with seven places 0..6, p50 is place 3
    assert percentile([1, 2, 3, 4], 50, failed=3) == 4


def test_failures_are_at_the_bad_end_of_a_rate_too() -> None:
    # five rates, five failures: places 0..9 from the best: 50, 40, 30, 20, 10, failures
    rates = [10.0, 20.0, 30.0, 40.0, 50.0]
    assert percentile(rates, 20, failed=5, better="higher") == pytest.approx(32)  # place 1.8
    assert percentile(rates, 50, failed=5, better="higher") is None  # place 4.5


@given(VALUES, st.integers(0, 50), st.sampled_from(["lower", "higher"]))
def test_percentiles_only_get_worse(values: list[float], failed: int, better: Better) -> None:
    found = [percentile(sorted(values), p, failed=failed, better=better) for p in range(101)]
    numbers = [value for value in found if value is not None]
    assert found == numbers + [None] * (101 - len(numbers))  # once among failures, always
    ranked = sorted(numbers, reverse=better == "higher")
    assert numbers == pytest.approx(ranked, rel=1e-12, abs=1e-6)


@given(VALUES, st.integers(1, 50))
def test_a_failure_never_makes_a_percentile_better(values: list[float], failed: int) -> None:
    for p in PERCENTILES:
        without, with_failures = percentile(sorted(values), p), percentile(sorted(values), p, failed=failed)
        assert without is not None
        assert with_failures is None or with_failures >= without - 1e-6


@pytest.mark.parametrize(
    ("n", "unsupported"),
    # samples beyond: n·(1 − p); ten have five beyond p50, fifty beyond p90, a hundred beyond p95, 500 beyond p99
    [
        (9, ("p50", "p90", "p95", "p99")),
        (10, ("p90", "p95", "p99")),
        (50, ("p95", "p99")),
        (100, ("p99",)),
        (499, ("p99",)),
        (500, ()),
    ],
)
def test_fewer_than_five_beyond_is_unsupported_but_given(n: int, unsupported: tuple[str, ...]) -> None:
    found = describe(Values([float(value) for value in range(n)]))
    assert found.unsupported == unsupported
    assert all(value is not None for value in found.percentiles.values())


def test_the_reason_names_the_percentiles_that_fall_among_failures() -> None:
    found = describe(Values([1.0] * 18), failed=2)  # places 0..19: p90 is 17.1, p95 is 18.05
    assert found.percentiles == {50: 1.0, 90: None, 95: None, 99: None}
    assert re.findall(r"p\d+", found.reason or "") == ["p90", "p95", "p99"]
    assert found.n == 18


def test_nothing_is_undefined_and_never_zero() -> None:
    assert (describe(Values([])).mean, describe(Values([])).min) == (None, None)
    assert describe(Values([])).reason == "no request has this value"
    assert describe(Values([]), failed=3).reason == "every request failed"


def test_the_mean_and_its_interval() -> None:
    # 1, 2, 3, 4: mean 2.5, s² = 5/3, standard error √(5/12) = 0.6455; t(0.975, 3) = 3.1824
    found = describe(Values([4.0, 1.0, 3.0, 2.0]))
    assert found.mean == 2.5
    interval = mean_interval([4.0, 1.0, 3.0, 2.0])
    assert interval == pytest.approx((2.5 - 3.1824 * 0.6455, 2.5 + 3.1824 * 0.6455), abs=1e-3)
    assert (found.min, found.max) == (1, 4)


def test_one_value_has_no_interval() -> None:
    assert mean_interval([7.0]) is None
    assert describe(Values([7.0])).mean == 7


@given(st.integers(1, 500))
def test_the_t_quantile_is_scipys(df: int) -> None:
    assert t_quantile(0.975, df) == pytest.approx(scipy_stats.t.ppf(0.975, df))


def test_groups_of_one_give_the_plain_interval() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 7.0]
    assert clustered_interval([[value] for value in values]) == pytest.approx(mean_interval(values))


def test_alike_values_of_a_group_do_not_pass_for_more_knowledge() -> None:
    # three answers whose gaps are all alike within: as much is known as from three values
    groups = [[0.01] * 50, [0.02] * 50, [0.03] * 50]
    assert clustered_interval(groups) == pytest.approx(mean_interval([0.01, 0.02, 0.03]))


def test_the_clustered_interval_by_hand() -> None:
    # sums 2 and 12 of sizes 2 and 3: mean 14/5 = 2.8; residues 2 − 5.6 = −3.6 and 12 − 8.4 = 3.6;
    # variance 2/1 · (12.96 + 12.96) ÷ 25 = 2.0736, its root 1.44; t(0.975, 1) = 12.7062
    half = 12.7062 * 1.44
    assert clustered_interval([[1.0, 1.0], [4.0, 4.0, 4.0]]) == pytest.approx(
        (max(0.0, 2.8 - half), 2.8 + half), abs=1e-3
    )


def test_fewer_than_two_groups_with_values_have_no_interval() -> None:
    assert clustered_interval([[1.0, 2.0], []]) is None
    assert clustered_interval([]) is None


def test_the_clustered_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng = random.Random(5)
    hits = 0
    for _ in range(400):
        groups = []
        for _ in range(30):
            speed = rng.gauss(20, 3)
            groups.append([rng.gauss(speed, 2) for _ in range(rng.randint(10, 30))])
        interval = clustered_interval(groups)
        assert interval is not None
        hits += interval[0] <= 20 <= interval[1]
    # seeded; 0.90 is five standard errors below 0.95
    assert 0.90 <= hits / 400 <= 0.99


def test_no_mean_of_times_is_said_to_lie_below_zero() -> None:
    few = [0.01, 0.02, 0.9]
    low, high = mean_interval(few) or (None, None)

    assert low == 0.0
    assert high == pytest.approx(0.31 + 4.3027 * 0.511 / 3**0.5, abs=0.01)
    assert (clustered_interval([few, [0.01], [9.0]]) or (None,))[0] == 0.0
    assert (mean_interval([-0.1, 0.02, 0.9]) or (0,))[0] < 0
