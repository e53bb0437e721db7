"""The open loop as a schedule: no sockets, no time but the one given."""

from lmx_loadgen.load.messages import Go
from lmx_loadgen.load.request import Turn
from lmx_loadgen.load.schedule import OpenLoop, schedule_of
from lmx_loadgen.wire.timing import RequestTiming
from tests.helpers.jobs import a_job

START = 1_000
DUE = [0, 10, 20, 30]


class Loop:
    """An open loop with two slots, and its clock."""

    def __init__(self) -> None:
        self.now = START
        job = a_job(slots=[1, 3], due_ns=DUE, horizon_ns=100, first=1, step=2, order=[0, 2, 1])
        self.schedule = OpenLoop(job, DUE, lambda: self.now)

    def begin(self) -> list[Turn]:
        return list(self.schedule.begin(Go(START, [50, 60])))


def test_a_job_with_due_times_is_an_open_loop() -> None:
    assert isinstance(schedule_of(a_job(due_ns=[])), OpenLoop)


def test_turns_are_due_at_their_times_and_know_which_request_they_are() -> None:
    turns = Loop().begin()

    assert [turn.due_ns - START for turn in turns] == DUE
    assert [(turn.number, turn.template) for turn in turns] == [(1, 2), (3, 0), (5, 1), (7, 2)]
    assert not any(turn.first_wave for turn in turns)


def test_the_lowest_free_slot_is_taken_and_what_finds_none_is_dropped() -> None:
    loop = Loop()
    first, second, third, fourth = loop.begin()

    assert [loop.schedule.claim(turn) for turn in (first, second, third)] == [True, True, False]
    assert (first.slot, second.slot, third.is_dropped) == (1, 3, True)
    assert not loop.schedule.after(first, RequestTiming())
    assert loop.schedule.claim(fourth)
    assert (fourth.slot, fourth.is_dropped) == (1, False)


def test_bytes_are_awaited_only_while_requests_are_in_flight() -> None:
    loop = Loop()
    first, second, *_ = loop.begin()
    assert loop.schedule.awaited_from_ns() is None
    loop.now = START + 5
    loop.schedule.claim(first)
    loop.now = START + 9
    loop.schedule.claim(second)
    assert loop.schedule.awaited_from_ns() == START + 5
    loop.schedule.after(first, RequestTiming())
    assert loop.schedule.awaited_from_ns() == START + 5
    loop.schedule.after(second, RequestTiming())

    assert loop.schedule.awaited_from_ns() is None


def test_the_load_is_all_there_from_its_start_to_its_end() -> None:
    loop = Loop()
    assert loop.schedule.marks() == {"start_ns": None, "ramp_end_ns": None, "drain_start_ns": None}
    loop.begin()
    assert loop.schedule.marks() == {"start_ns": START, "ramp_end_ns": START, "drain_start_ns": None}
    loop.now = START + 100

    assert loop.schedule.marks()["drain_start_ns"] == START + 100
