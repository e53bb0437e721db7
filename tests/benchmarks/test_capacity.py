"""The benchmark of open loops and capacity searches, with few seeds."""

from tests.benchmarks import capacity


def test_theory_lies_within_the_intervals_and_searches_come_near_the_truth() -> None:
    truth = capacity.erlang_wait_s(2.8, 4, 1.0)
    covered = sum(capacity.is_covered(capacity.waits(2.8, 4, seed), truth, 2.8) for seed in range(5))
    near = sum(capacity.search_by_concurrency(seed).near for seed in range(20))

    assert covered >= 4
    assert near >= 19


def test_the_theory_is_that_of_known_cases() -> None:
    assert capacity.erlang_wait_s(0.5, 1, 1.0) == 1.0
    assert abs(capacity.Batched(1.0, 0.0).mean_time_s(0.5) - 1.0) < 1e-9
