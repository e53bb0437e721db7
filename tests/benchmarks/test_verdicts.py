"""Verdicts over hundreds of seeded sessions whose truth is known; `python -m tests.benchmarks.verdicts` prints all."""

from functools import cache

import pytest

from tests.benchmarks.verdicts import CASES, Tallies, tallied

pytestmark = pytest.mark.slow


@cache
def outcome(case: str) -> Tallies:
    way, world, sessions = CASES[case]
    tallies = tallied(way, world, range(sessions))
    assert {"ttft_p50", "decode_tok_s_p50"} <= {name for _, name in tallies}
    return tallies


def pooled_coverage(tallies: Tallies) -> dict[str, float]:
    """Share of intervals that cover the truth, by figure, over all levels."""
    covered: dict[str, list[float]] = {}
    for (_, name), tally in tallies.items():
        covered.setdefault(name, []).append(tally.coverage)
    return {name: sum(shares) / len(shares) for name, shares in covered.items()}


@pytest.mark.parametrize("case", [name for name in CASES if name.startswith("A/A")])
def test_two_equal_servers_are_told_apart_in_5_percent_of_sessions_at_most(case: str) -> None:
    for place, tally in outcome(case).items():
        assert tally.share("better", "worse") <= 0.05, place


def test_a_server_5_percent_slower_is_found_in_80_percent_of_sessions_at_least() -> None:
    for place, tally in outcome("B 5 % slower").items():
        assert tally.share("worse") >= 0.80, place
        assert tally.share("better", "equivalent") <= 0.05, place


def test_looking_until_it_is_settled_finds_it_too_and_settles_nearly_always() -> None:
    for (level, name), tally in outcome("B 5 % slower, looked at again and again").items():
        assert tally.share("better") == 0, (level, name)
        if name in ("ttft_p50", "decode_tok_s_p50"):
            assert tally.share("worse") >= 0.95, (level, name)


@pytest.mark.parametrize("case", ["A/A", "B 5 % slower"])
def test_95_percent_intervals_cover_the_truth_95_percent_of_the_time(case: str) -> None:
    for name, coverage in pooled_coverage(outcome(case)).items():
        assert 0.93 <= coverage <= 0.97, name


def test_intervals_that_were_looked_at_more_often_are_the_more_careful() -> None:
    for name, coverage in pooled_coverage(outcome("A/A, looked at again and again")).items():
        assert coverage >= 0.95, name
