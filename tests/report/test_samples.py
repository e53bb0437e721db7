import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.analysis.records import Record
from lmx_loadgen.report.samples import chunk_gaps_s, ecdf, thinned, ttft_s
from tests.helpers.made_lines import Reads, made, point

READS: Reads = [(5, ["role"]), (200, ["reasoning:a"]), (230, ["b", "c"]), (300, ["d", "finish:stop"])]


def request(concurrency: int = 4, **changes: Any) -> Record:
    return made(READS, load_point=point(concurrency), **changes)


def test_ttft_is_the_first_text_and_not_the_role_event() -> None:
    assert list(ttft_s([request()], "steady")) == [0.2]


def test_events_of_one_read_have_no_gap_between_them() -> None:
    assert list(chunk_gaps_s([request()], "steady")) == pytest.approx([0.03, 0.07])


@pytest.mark.parametrize("changes", [{"outcome": "reset"}, {"phase": "warmup"}, {"first_wave": True}])
def test_what_is_not_in_the_sample_is_left_out(changes: dict[str, Any]) -> None:
    assert list(ttft_s([request(**changes)], "steady")) == []
    assert list(chunk_gaps_s([request(**changes)], "steady")) == []


def test_the_first_wave_counts_when_the_sample_is_all_or_nothing_ran_beside_it() -> None:
    assert list(ttft_s([request(first_wave=True)], "all")) == [0.2]
    assert list(ttft_s([request(first_wave=True, concurrency=1)], "steady")) == [0.2]


def test_the_distribution_of_nothing_is_empty() -> None:
    assert ecdf([], 100) == ([], [])


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.integers(min_value=3, max_value=100))
def test_a_thinned_distribution_keeps_its_ends_and_true_shares(values: list[float], most: int) -> None:
    x, y = ecdf(values, most)

    assert len(x) == len(y) <= most
    assert (x[0], y[0], x[-1], y[-1]) == (min(values), 0.0, max(values), 1.0)
    ordered = sorted(values)
    assert all(
        ordered[math.ceil(share * len(values) - 1e-6) - 1] == value for value, share in zip(x[1:], y[1:], strict=True)
    )


def test_thinning_keeps_order_and_both_ends() -> None:
    items = [{"id": n} for n in range(1000)]

    kept = [item["id"] for item in thinned(items, 10)]

    assert len(kept) == 10
    assert kept == sorted(kept)
    assert (kept[0], kept[-1]) == (0, 999)
    assert thinned(items[:3], 10) == items[:3]
