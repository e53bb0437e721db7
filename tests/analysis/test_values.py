"""Values that are counted in a histogram where they are many: percentiles within the error that is stated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis.stats import PERCENTILES, describe
from lmx_loadgen.analysis.values import HISTOGRAM_ERROR, Values

TIMES = st.lists(st.floats(1e-6, 1e4), min_size=5, max_size=200)


def counted(values: list[float], at_once: int = 3) -> Values:
    """The values, counted in a histogram from the fourth on."""
    found = Values(most_exact=3)
    for start in range(0, len(values), at_once):
        found.extend(values[start : start + at_once])
    return found


@given(TIMES, st.integers(1, 50))
def test_percentiles_of_a_histogram_are_within_their_error_of_a_value_of_that_rank(
    values: list[float], at_once: int
) -> None:
    found, ordered = counted(values, at_once), sorted(values)
    described = describe(found)

    assert not found.is_exact
    for p in PERCENTILES:
        place = (len(values) - 1) * p / 100
        low, high = ordered[int(place)], ordered[min(len(values) - 1, int(place) + 1)]
        shown = described.percentiles[p]
        assert shown is not None
        assert low * (1 - 2 * HISTOGRAM_ERROR) <= shown <= high * (1 + 2 * HISTOGRAM_ERROR)


@given(TIMES)
def test_mean_number_least_and_greatest_value_are_exact(values: list[float]) -> None:
    found, exact = counted(values), Values(values)

    assert (len(found), found.min, found.max) == (len(values), min(values), max(values))
    assert found.mean == pytest.approx(exact.mean, rel=1e-12)


def test_of_failed_requests_a_percentile_is_none_in_a_histogram_too() -> None:
    found = describe(counted([1.0] * 18), failed=2)

    # Places 0 to 19, of which 18 and 19 failed: p90 is at 17.1, p95 at 18.05.
    assert found.percentiles == {50: pytest.approx(1.0), 90: None, 95: None, 99: None}


def test_values_are_kept_as_they_are_until_they_are_many() -> None:
    found = Values([3.0, 1.0], most_exact=3)
    found.extend([2.0])

    assert found.is_exact
    assert found.ordered() == [1.0, 2.0, 3.0]
