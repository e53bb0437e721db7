"""Users who lead chats: each turn is due a think time after the answer to the last one has ended."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import ClassVar

from lmx_loadgen.decode.chat import RawAnswer, StreamRules, read_answer
from lmx_loadgen.load.backoff import backoff_s, is_failed
from lmx_loadgen.load.messages import Go, Job, Talk
from lmx_loadgen.load.request import Turn, escaped
from lmx_loadgen.load.slots import Marks, SlotLoad
from lmx_loadgen.system.clock import NS, now_ns
from lmx_loadgen.wire.timing import RequestTiming

# About how many characters someone reads in a second: 240 words of five letters a minute.
READING_CHARACTERS_S = 24.0


class ChatSessions:
    """A fixed number of users. Each takes a chat that nobody had, sends its turns one after the other, and takes the
    next; a failed turn ends its chat. With no chat left, or as many turns sent as were asked for, a user goes home.

    `clock` is read in ns.
    """

    KNOWN_AHEAD: ClassVar[bool] = False

    def __init__(self, job: Job, talk: Talk, clock: Callable[[], int] = now_ns) -> None:
        self._talk = talk
        self._clock = clock
        self._load = SlotLoad(job, clock)
        self._chats = deque(talk.chats)
        # What each user has left to say in the chat at hand.
        self._left: dict[int, deque[int]] = {slot: deque() for slot in job.slots}

    def begin(self, go: Go) -> Iterator[Turn]:
        return self._load.begin(go)

    def claim(self, turn: Turn) -> bool:
        left = self._left[turn.slot]
        if self._load.is_over or not (left or self._chats):
            self._load.drain()
            return False
        if not left:
            chat = self._chats.popleft()
            left.extend(chat.templates)
            turn.chat, turn.answers = chat.number, []
        turn.template = turn.number = left.popleft()
        self._load.taken += 1
        turn.due_ns = max(turn.due_ns, self._clock()) if turn.failures else turn.due_ns
        return True

    def after(self, turn: Turn, timing: RequestTiming) -> bool:
        now = self._clock()
        self._load.note_end(turn, timing)
        if is_failed(timing):
            self._left[turn.slot].clear()
            turn.failures += 1
            turn.due_ns = now + math.ceil(backoff_s(turn.failures, timing) * NS)
            return True
        turn.failures = 0
        turn.due_ns = timing.end_ns or now
        if self._left[turn.slot]:
            turn.due_ns = self._end_of_think_ns(turn, timing, turn.due_ns)
        return True

    def _end_of_think_ns(self, turn: Turn, timing: RequestTiming, ended_ns: int) -> int:
        """When the next turn is due. The answer is read only where something depends on it: that takes time in which
        other users' answers come."""
        think_s = self._talk.think_s
        if think_s is None or self._talk.is_live:
            text = answer_of(timing)
            turn.answers.append(escaped(text))
            if think_s is None:
                think_s = len(text) / READING_CHARACTERS_S
        return ended_ns + round(think_s * NS)

    def awaited_from_ns(self) -> int | None:
        """Nothing is awaited while all users may think."""
        return self._load.all_due_ns if self._talk.think_s == 0 else None

    def marks(self) -> Marks:
        return self._load.marks()


def answer_of(timing: RequestTiming) -> str:
    """The answer without its reasoning, which no chat sends back."""
    raw = RawAnswer(timing.status, [], bytes(timing.body), [(0, len(timing.body))])
    events = read_answer(raw, "chat", StreamRules()).events
    return "".join(text for _, kind, text in events if kind == "content")
