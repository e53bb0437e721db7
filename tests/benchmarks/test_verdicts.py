"""Verdicts over hundreds of seeded sessions whose truth is known; `python -m tests.benchmarks.verdicts` prints all."""

import pytest

from tests.benchmarks.verdicts import ALL_CASES, CASES, MOST_FALSE, TAIL_CASES, Tally, bounds, tallied

SESSIONS, FEW_SESSIONS = 100, 15
# Sessions that take long: of many levels, of many looks, and those whose tails are compared.
LONG = {"8 levels", *(name for name in CASES if "until conclusive" in name), *TAIL_CASES}


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_CASES)
def test_a_world_keeps_what_is_promised(name: str) -> None:
    sessions = FEW_SESSIONS if name in LONG else SESSIONS

    assert list(tallied(ALL_CASES[name], range(sessions)).faults()) == []


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
