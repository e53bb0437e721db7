"""Verdicts over hundreds of seeded sessions whose truth is known; `python -m tests.benchmarks.verdicts` prints all."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.benchmarks.verdicts import ALL_CASES, CASES, MOST_FALSE, TAIL_CASES, Tally, bounds, tallied

SESSIONS, FEW_SESSIONS = 60, 10
# Sessions that take long: of many levels, of many looks, and those whose tails are compared.
LONG = {"8 levels", *(name for name in CASES if "until conclusive" in name), *TAIL_CASES}


@pytest.fixture(scope="module")
def tally_of() -> Callable[[str], Tally]:
    """What came out of the sessions of a world, by its name."""

    @cache
    def made(name: str) -> Tally:
        return tallied(ALL_CASES[name], range(FEW_SESSIONS if name in LONG else SESSIONS))

    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_CASES)
def test_a_world_keeps_what_is_promised(name: str, tally_of: Callable[[str], Tally]) -> None:
    assert list(tally_of(name).faults()) == []


@pytest.mark.slow
def test_all_worlds_together_keep_it(tally_of: Callable[[str], Tally]) -> None:
    """Too many false verdicts everywhere show in the sum of over a thousand sessions, where those of one world may be
    by chance."""
    tallies = [tally_of(name) for name in ALL_CASES]
    sessions = sum(one.sessions for one in tallies)

    assert sessions > 1_000
    assert bounds(sum(one.false for one in tallies), sessions)[0] <= MOST_FALSE
    assert bounds(sum(one.falsely_equivalent for one in tallies), sessions)[0] <= MOST_FALSE


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
