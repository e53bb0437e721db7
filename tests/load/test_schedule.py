"""The closed loop as a schedule, told of completions that nobody sent: no sockets, no time but the one given."""

import heapq
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.load.messages import Go
from lmx_loadgen.load.request import Turn
from lmx_loadgen.load.schedule import ClosedLoop
from lmx_loadgen.load.schedules import schedule_of
from lmx_loadgen.wire.ending import HELD_OPEN
from lmx_loadgen.wire.timing import RequestTiming
from tests.helpers.jobs import a_job

MS = 1_000_000
START = 1_000 * MS


class Clock:
    """Reads what it was set to, and goes on by `step` with each look at it."""

    def __init__(self) -> None:
        self.now = START
        self.step = 0

    def __call__(self) -> int:
        self.now += self.step
        return self.now


def ended(at_ns: int, **marks: Any) -> RequestTiming:
    """A request that ended well, unless the marks say otherwise."""
    good = {"send_ns": at_ns - MS, "first_text_ns": at_ns, "end_ns": at_ns, "status": 200}
    return RequestTiming(**good | marks)


def failed(at_ns: int, **marks: Any) -> RequestTiming:
    return ended(at_ns, **{"status": 500, **marks})


class Loop:
    """A closed loop under test, its clock, and the turns that it began with."""

    def __init__(self, offsets: list[int] | None = None, **job: Any) -> None:
        offsets = [0] if offsets is None else offsets
        self.clock = Clock()
        self.schedule = ClosedLoop(a_job(**{"slots": list(range(len(offsets))), **job}), self.clock)
        self.turns = list(self.schedule.begin(Go(START, offsets)))

    def claim(self, turn: Turn, at_ns: int) -> bool:
        self.clock.now = at_ns
        return self.schedule.claim(turn)

    def after(self, turn: Turn, timing: RequestTiming, at_ns: int | None = None) -> int:
        """When the turn comes again, after a request that the loop heard of at `at_ns`."""
        self.clock.now = at_ns or timing.end_ns or 0
        assert self.schedule.after(turn, timing)
        return turn.due_ns


def numbers(loop: Loop, turn: Turn, ends: int) -> Iterator[tuple[int, int]]:
    """Number and template of each request of a turn, each ending as soon as it was sent."""
    for _ in range(ends):
        if not loop.claim(turn, turn.due_ns):
            return
        yield turn.number, turn.template
        loop.after(turn, ended(turn.due_ns + MS))


def test_a_job_of_slots_is_a_closed_loop() -> None:
    assert isinstance(schedule_of(a_job()), ClosedLoop)


def test_each_slot_is_first_due_at_its_own_offset() -> None:
    loop = Loop([0, 10 * MS, 20 * MS], slots=[1, 3, 5])

    assert [(turn.slot, turn.due_ns - START) for turn in loop.turns] == [(1, 0), (3, 10 * MS), (5, 20 * MS)]
    assert all(turn.first_wave and turn.phase == "measured" for turn in loop.turns)


def test_the_next_request_is_due_when_the_last_one_ended() -> None:
    loop = Loop()
    (turn,) = loop.turns
    assert loop.claim(turn, START)
    due = loop.after(turn, ended(START + 7 * MS), START + 9 * MS)  # the loop heard of it two milliseconds later
    assert loop.claim(turn, START + 9 * MS)

    assert due == turn.due_ns == START + 7 * MS
    assert not turn.first_wave


def test_after_a_body_that_was_left_open_it_is_due_once_that_was_given_up() -> None:
    loop = Loop()
    (turn,) = loop.turns
    assert loop.claim(turn, START)

    assert loop.after(turn, ended(START + 7 * MS, notes=[HELD_OPEN]), START + 57 * MS) == START + 57 * MS


def test_numbers_are_those_of_this_worker_and_choose_the_template_in_turn() -> None:
    loop = Loop(requests=5, first=1, step=2, order=[0, 2, 1])

    assert list(numbers(loop, loop.turns[0], 9)) == [(1, 2), (3, 0), (5, 1), (7, 2), (9, 0)]


def test_slots_share_what_is_left_in_the_order_in_which_their_turns_come() -> None:
    loop = Loop([0, 5 * MS], requests=4)
    early, late = loop.turns

    assert [number for number, _ in numbers(loop, early, 3)] == [0, 1, 2]
    assert [number for number, _ in numbers(loop, late, 3)] == [3]
    assert not loop.claim(early, START + 9 * MS)


def test_the_drain_begins_where_the_first_slot_finds_nothing() -> None:
    loop = Loop([0, 0], requests=1)
    first, second = loop.turns
    assert loop.claim(first, START)
    assert loop.schedule.marks()["drain_start_ns"] is None
    assert not loop.claim(second, START + 3 * MS)
    assert not loop.claim(first, START + 8 * MS)

    assert loop.schedule.marks()["drain_start_ns"] == START + 3 * MS


def test_no_request_begins_at_the_deadline_or_later() -> None:
    loop = Loop(duration_ns=50 * MS)
    (turn,) = loop.turns

    assert loop.claim(turn, START + 50 * MS - 1)
    assert not loop.claim(turn, START + 50 * MS)
    assert loop.schedule.marks()["drain_start_ns"] == START + 50 * MS


def test_a_slot_waits_longer_after_each_failure_and_not_after_a_success() -> None:
    loop = Loop()
    (turn,) = loop.turns
    waits = []
    for outcome in (failed, failed, failed, ended, failed):
        assert loop.claim(turn, turn.due_ns)
        end = turn.due_ns + MS
        waits.append((loop.after(turn, outcome(end)) - end) // MS)

    assert waits == [100, 200, 400, 0, 100]


@pytest.mark.parametrize(
    "marks", [{"failure": ("reset", "gone")}, {"status": 429}, {"status": None}, {"first_text_ns": None}]
)
def test_what_counts_as_a_failure_to_wait_after(marks: dict[str, Any]) -> None:
    loop = Loop()
    (turn,) = loop.turns
    assert loop.claim(turn, START)

    assert loop.after(turn, ended(START + MS, **marks)) == START + 101 * MS


def test_what_a_wait_took_longer_than_it_should_is_not_taken_for_a_late_send() -> None:
    loop = Loop()
    (turn,) = loop.turns
    assert loop.claim(turn, START)
    woken = loop.after(turn, failed(START + MS)) + 3 * MS
    assert loop.claim(turn, woken)

    assert turn.due_ns == woken


def test_nothing_is_waited_for_past_the_deadline() -> None:
    loop = Loop(duration_ns=50 * MS)
    (turn,) = loop.turns
    assert loop.claim(turn, START)

    loop.clock.step = 300  # a wait that ends a moment too soon would leave that moment to send in
    assert loop.after(turn, failed(START + 20 * MS)) == START + 50 * MS
    assert loop.after(turn, failed(START + 60 * MS)) == START + 60 * MS + 300


def test_nothing_is_waited_for_where_nothing_is_left() -> None:
    loop = Loop(requests=1)
    (turn,) = loop.turns
    assert loop.claim(turn, START)

    assert loop.after(turn, failed(START + MS, headers=[(b"retry-after", b"20")])) == START + MS


def test_a_number_is_not_kept_for_a_slot_that_waits() -> None:
    loop = Loop([0, 0], requests=3)
    failing, other = loop.turns
    assert loop.claim(failing, START)
    due = loop.after(failing, failed(START + MS, headers=[(b"retry-after", b"20")]))

    assert due == START + MS + 20_000 * MS
    assert [number for number, _ in numbers(loop, other, 9)] == [1, 2]
    assert not loop.claim(failing, due)


def test_the_load_is_full_when_each_slot_has_sent() -> None:
    loop = Loop([0, 10 * MS])
    first, second = loop.turns
    assert loop.schedule.marks() == {"start_ns": START, "ramp_end_ns": None, "drain_start_ns": None}
    assert loop.claim(first, START)
    loop.after(first, ended(START + 30 * MS, send_ns=START + MS))
    assert loop.claim(first, START + 30 * MS)
    loop.after(first, ended(START + 60 * MS, send_ns=START + 31 * MS))
    assert loop.schedule.marks()["ramp_end_ns"] is None
    assert loop.claim(second, START + 10 * MS)
    loop.after(
        second, failed(START + 12 * MS, send_ns=None), START + 13 * MS
    )  # no connection: as of when that is known

    assert loop.schedule.marks()["ramp_end_ns"] == START + 13 * MS


def test_bytes_are_awaited_from_the_last_slots_start() -> None:
    assert ClosedLoop(a_job()).awaited_from_ns() is None
    assert ClosedLoop(a_job()).marks()["start_ns"] is None
    assert Loop([0, 10 * MS]).schedule.awaited_from_ns() == START + 10 * MS


def test_a_worker_without_slots_has_nothing_due_and_holds_up_no_other() -> None:
    loop = Loop([], requests=0)

    assert loop.turns == []
    assert loop.schedule.marks() == {"start_ns": START, "ramp_end_ns": START, "drain_start_ns": None}


@given(
    slots=st.integers(1, 8),
    requests=st.integers(0, 60),
    lengths=st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=20),
    offset=st.integers(0, 30),
)
def test_each_request_is_sent_once_and_never_more_are_in_flight_than_slots(
    slots: int, requests: int, lengths: list[tuple[int, bool]], offset: int
) -> None:
    """A server in virtual time: each answer takes what the list says, and some of them fail."""
    loop = Loop([slot * offset * MS for slot in range(slots)], requests=requests)
    free_ns = {turn.slot: turn.due_ns for turn in loop.turns}
    waiting = [(turn.due_ns, turn.slot, turn) for turn in loop.turns]
    heapq.heapify(waiting)
    in_flight: list[int] = []
    sent = []
    while waiting:
        now, slot, turn = heapq.heappop(waiting)
        in_flight = [end for end in in_flight if end > now]
        if not loop.claim(turn, now):
            continue
        assert turn.due_ns == now >= free_ns[slot]
        length, goes_well = lengths[len(sent) % len(lengths)]
        sent.append(turn.number)
        end = now + length * MS
        in_flight.append(end)
        assert len(in_flight) <= slots
        free_ns[slot] = end
        due = loop.after(turn, ended(end) if goes_well else failed(end))
        assert due == end or not goes_well
        heapq.heappush(waiting, (due, slot, turn))

    assert sent == list(range(requests))
