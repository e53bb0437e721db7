"""Verdicts over hundreds of seeded sessions whose truth is known; `python -m tests.benchmarks.verdicts` prints all."""

import pytest

from tests.benchmarks.verdicts import CASES, MOST_FALSE, Tally, bounds, tallied

SESSIONS = 100


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_world_keeps_what_is_promised(name: str) -> None:
    assert list(tallied(CASES[name], range(SESSIONS)).faults()) == []


def test_a_limit_is_broken_only_where_chance_does_not_explain_it() -> None:
    tally = Tally(CASES["plain"], sessions=100, false=9)
    worse = Tally(CASES["plain"], sessions=100, false=14)

    assert not any("false verdicts" in fault for fault in tally.faults())
    assert any("false verdicts in 14.0%" in fault for fault in worse.faults())


def test_bounds_are_clopper_s_and_pearson_s() -> None:
    from scipy import stats

    other = stats.binomtest(12, 100).proportion_ci(0.98, "exact")

    assert bounds(12, 100) == pytest.approx((other.low, other.high))
    assert bounds(0, 50)[0] == 0.0
    assert bounds(50, 50)[1] == 1.0
    assert MOST_FALSE == 0.05
