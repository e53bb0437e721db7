"""What was seen against what truly was: the pairing and the arithmetic."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.calibration.pairing import ClocksDisagree, errors_of, spread
from lmx_loadgen.sim.truth import FIELDS, Truth, Write
from tests.helpers.made_lines import request_line

MS = 1_000_000


def truth(received: float, *writes: float | tuple[float, int]) -> Truth:
    """The simulator's word on a response, in ms."""
    times = [write if isinstance(write, tuple) else (write, 1) for write in writes]
    written = tuple(Write(round(at * MS), tokens, tokens) for at, tokens in times)
    unasked: dict[str, Any] = dict.fromkeys(FIELDS)
    return Truth(**unasked | {"received_ns": round(received * MS), "writes": written})


def line(*reads: float, send: float = 1000, **changes: Any) -> dict[str, Any]:
    """A request sent at 1 s that saw a token at each of these absolute times in ms."""
    return request_line([(at - send, ["content:a"]) for at in reads], send=send, **changes)


def test_the_error_of_a_first_token_is_sending_and_receiving_together() -> None:
    found = errors_of([line(1201, 1222, 1240)], {"r": truth(1000.5, 1200.2, 1220.3, 1239.9)})

    assert (found.send, found.receive, found.ttft) == ([500_000], [800_000], [1_300_000])
    assert found.chunk == [800_000, 1_700_000, 100_000]
    assert found.gap == [900_000, -1_600_000]
    assert found.stall == [900_000]  # 21 ms seen, 20.1 ms true
    assert found.tpot == [-350_000]
    assert found.unpaired == 0


def test_tokens_of_one_write_are_text_events_of_their_own() -> None:
    found = errors_of([line(1201, 1201)], {"r": truth(1000, (1200, 2))})

    assert found.chunk == [MS, MS]


def test_an_answer_without_its_truth_is_counted_and_one_that_failed_is_not() -> None:
    requests = [
        line(1201, response_id="unknown"),
        line(1201, 1220),  # the simulator wrote once
        line(1201, outcome="reset", response_id="gone"),
        line(1201, phase="warmup"),
    ]
    found = errors_of(requests, {"r": truth(1000, 1200)})

    assert (found.unpaired, found.ttft) == (2, [])


@pytest.mark.parametrize("said", [truth(999.7, 1200), truth(1000, 1201.3)])
def test_what_is_seen_before_it_happened_means_that_the_clocks_differ(said: Truth) -> None:
    with pytest.raises(ClocksDisagree, match=r"disagree by 0\.3 ms"):
        errors_of([line(1201)], {"r": said})


def test_a_stamp_carried_between_two_clocks_may_be_off_by_a_little() -> None:
    found = errors_of([line(1201)], {"r": truth(999.9, 1201.1)})

    assert (found.send, found.receive) == ([-100_000], [-100_000])


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1))
def test_a_spread_is_of_sizes(errors: list[int]) -> None:
    found = spread(errors)
    assert found is not None

    assert found == spread([-error for error in errors])
    assert 0 <= found.p50 <= found.p99 <= found.max == max(map(abs, errors)) / 1e9
    assert spread([]) is None
