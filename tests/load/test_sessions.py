"""Users who lead chats: who says what when, on a clock that stands still."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from lmx_loadgen.load.messages import Chat, Go, Talk
from lmx_loadgen.load.request import BodyTemplate, Turn, escaped
from lmx_loadgen.load.schedules import schedule_of
from lmx_loadgen.load.sessions import READING_CHARACTERS_S, ChatSessions
from lmx_loadgen.profile.conversation import answer_place
from lmx_loadgen.system.clock import NS
from lmx_loadgen.wire.timing import RequestTiming
from tests.helpers.jobs import a_job

CHATS = (Chat(0, (0, 1, 2)), Chat(1, (3, 4)), Chat(2, (5,)))


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def answered(said: str = "Yes.", end_ns: int = 1000, failed: bool = False) -> RequestTiming:
    timing = RequestTiming(send_ns=1, first_text_ns=1, end_ns=end_ns, status=200)
    timing.body = bytearray(b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\ndata: [DONE]\n\n' % said.encode())
    if failed:
        timing.failure = ("reset", "gone")
    return timing


def sessions(users: int = 1, clock: Clock | None = None, requests: int | None = None, **talk: Any) -> ChatSessions:
    job = a_job(slots=list(range(users)), requests=requests, talk=Talk(CHATS, **talk))
    made = schedule_of(job)
    assert isinstance(made, ChatSessions)
    return ChatSessions(job, Talk(CHATS, **talk), clock or Clock())


def begun(schedule: ChatSessions, users: int) -> list[Turn]:
    return list(schedule.begin(Go(0, [0] * users)))


def said(schedule: ChatSessions, turn: Turn, answers: Sequence[RequestTiming] = ()) -> list[tuple[int | None, int]]:
    """What a user says one after the other, as (chat, template), until it goes home."""
    found, left = [], list(answers)
    while schedule.claim(turn):
        found.append((turn.chat, turn.template))
        schedule.after(turn, left.pop(0) if left else answered())
    return found


def test_a_user_says_each_turn_of_each_chat_once() -> None:
    schedule = sessions()
    (turn,) = begun(schedule, 1)

    assert said(schedule, turn) == [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (2, 5)]
    assert schedule.marks()["drain_start_ns"] is not None


def test_users_take_chats_that_nobody_had() -> None:
    schedule = sessions(users=2)
    one, other = begun(schedule, 2)
    assert schedule.claim(one)
    assert schedule.claim(other)
    assert (one.chat, other.chat) == (0, 1)
    schedule.after(one, answered())
    schedule.after(other, answered())

    assert said(schedule, other) == [(1, 4), (2, 5)]
    assert said(schedule, one) == [(0, 1), (0, 2)]


def test_requests_count_turns() -> None:
    schedule = sessions(requests=4)

    assert len(said(schedule, begun(schedule, 1)[0])) == 4


def test_a_failed_turn_ends_its_chat() -> None:
    schedule = sessions()
    (turn,) = begun(schedule, 1)

    assert said(schedule, turn, [answered(), answered(failed=True)]) == [(0, 0), (0, 1), (1, 3), (1, 4), (2, 5)]


def test_a_user_thinks_between_an_answer_and_the_next_turn_but_not_between_chats() -> None:
    schedule = sessions(think_s=5.0)
    (turn,) = begun(schedule, 1)
    dues = []
    while schedule.claim(turn):
        dues.append(turn.due_ns)
        schedule.after(turn, answered(end_ns=turn.due_ns + NS))

    assert [(after - before) / NS for before, after in pairwise(dues)] == [6.0, 6.0, 1.0, 6.0, 1.0]


def test_reading_takes_as_long_as_the_answer_is() -> None:
    schedule = sessions(think_s=None)
    (turn,) = begun(schedule, 1)
    schedule.claim(turn)
    schedule.after(turn, answered("a" * 240, end_ns=0))

    assert turn.due_ns == round(240 / READING_CHARACTERS_S * NS)


def test_a_live_chat_goes_on_with_what_the_server_said() -> None:
    schedule = sessions(is_live=True)
    (turn,) = begun(schedule, 1)
    bodies = []
    template = BodyTemplate(f'"{answer_place(1)}", "{answer_place(2)}"'.encode())
    for words in ("One.", 'Two: "x"', "Three."):
        schedule.claim(turn)
        bodies.append(template.fill("n", turn.answers))
        schedule.after(turn, answered(escaped(words).decode()))
    schedule.claim(turn)

    assert bodies[2] == b'"One.", "Two: \\"x\\""'
    assert turn.answers == []  # another chat


def test_a_recorded_chat_is_not_read_while_others_answers_come() -> None:
    schedule = sessions()
    (turn,) = begun(schedule, 1)
    schedule.claim(turn)
    schedule.after(turn, answered())

    assert turn.answers == []
