"""Which servers keep up with an open loop: queues in virtual time, whose capacity is known."""

import pytest

from lmx_loadgen.analysis.overload import Growth, growth
from lmx_loadgen.load.arrivals import drawn
from lmx_loadgen.load.messages import Ended
from lmx_loadgen.session.stop_rules import FallsBehind
from lmx_loadgen.system.clock import NS
from tests.helpers.queues import Service, constant, exponential, starts_and_ends

SECONDS = 120


def ended_early(rate: float, slots: int, service: Service, seed: int, arrivals: str = "poisson") -> float | None:
    """After how many seconds a run of two minutes would be ended, looked at ten times a second; None where it goes
    on."""
    due = drawn(rate, arrivals, str(seed), requests=None, duration_ns=SECONDS * NS).offsets_ns  # type: ignore[arg-type]
    ends = starts_and_ends(due, slots, service, seed)
    order = sorted(range(len(due)), key=lambda place: ends[place][1])
    rule, told = FallsBehind(due), 0
    for tenth in range(1, SECONDS * 10):
        now = tenth * NS // 10
        while told < len(order) and ends[order[told]][1] <= now:
            number = order[told]
            rule.note_ended(Ended(number, "measured", due[number], ends[number][1], "ok", None))
            told += 1
        rule.look(now)
        if rule.stop is not None:
            assert rule.stop.kind == "overload"
            return tenth / 10
    return None


@pytest.mark.parametrize("service", [exponential(1.0), constant(1.0)], ids=["exponential", "constant"])
@pytest.mark.parametrize("seed", range(5))
def test_eight_slots_are_overloaded_at_one_and_a_half_times_their_capacity_and_not_at_eight_tenths(
    service: Service, seed: int
) -> None:
    over = ended_early(12.0, 8, service, seed)

    assert over is not None
    assert over < 60
    assert ended_early(6.4, 8, service, seed) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_server_that_is_just_full_is_not_called_overloaded(seed: int) -> None:
    assert ended_early(8.0, 8, exponential(1.0), seed) is None


def test_filling_up_is_no_growth() -> None:
    """A server without limits has twenty in flight once it is full, and until then more every second."""
    assert ended_early(1.0, 10_000, constant(20.0), 1, "constant") is None


def test_a_burst_that_is_worked_off_is_no_growth() -> None:
    due = [place * NS // 10 for place in range(100)] + [10 * NS] * 60 + [11 * NS + place * NS for place in range(40)]
    ended = [due_ns + NS for due_ns in due[:100]] + [11 * NS + place * NS // 4 for place in range(100)]

    assert growth(due, ended, [NS] * 10, 30 * NS) is None


def test_what_the_client_dropped_waits_for_ever() -> None:
    due = [place * NS // 10 for place in range(1000)]
    half = [due_ns + NS for due_ns in due[::2]]
    found = growth(due, half, [NS] * 10, 100 * NS)

    assert found == Growth(requests=249, arrivals=499, seconds=50.0, in_flight=504)
    assert found.sentence == "overloaded: 9.98 requests/s came and 5 were served, with 504 in flight"


def test_nothing_is_said_before_the_first_requests_have_ended() -> None:
    due = [place * NS // 10 for place in range(1000)]

    assert growth(due, [], [], 100 * NS) is None
    assert growth(due, [NS], [NS], 100 * NS) is None
    assert growth(due, due[::2], [30 * NS] * 10, 100 * NS) is None
