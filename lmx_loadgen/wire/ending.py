"""Where an answer is over, read off its bytes, and how its server leaves the connection behind.

An answer is over at `[DONE]`; where none comes, `QUIET_S` after a finish reason without further text. A body may stay
open long after that, silent or with pings: a slot that waited for its end would measure the server's habit. Nothing is
parsed here: `[DONE]` is looked for in the tail of each read, a finish reason only when a timer asks for it.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from lmx_loadgen.system.clock import NS
from lmx_loadgen.wire.timing import RequestTiming

QUIET_S = 1.0
# Healthy servers end the body in the same read as `[DONE]` or moments later, and then keep their connection. One that
# is busy with many streams takes as long for it as for any other piece.
GRACE_S = 0.05
_LAST_READS = 9
HELD_OPEN = "held_open"

# Any of the fields that carry text, followed by a string that is not empty. It only tells the watchdog and the
# slot's loop how far the answer is; the measured first token is found afterwards, from decoded events.
TEXT = re.compile(rb'"(?:content|reasoning_content|reasoning|thinking|text|arguments)"\s*:\s*"(?!")', re.ASCII)
LOOK_BACK = 4096
# Of each read only so much: more would cost a third of all that can be taken in. A timer looks further.
TAIL = 64
# A line of its own: the same words inside an answer's text stand in a JSON string, which has no line ends.
DONE_WORD = b"[DONE]"
_DONE = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\r\n])data:[ \t]{0,8}\[DONE\][ \t]{0,8}(?=[\r\n]|\Z)")
_DONE_LEAD = 24
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"(?!"|null")')
_LINE_END = re.compile(rb"[\r\n]")


@dataclass(slots=True)
class ServerHabits:
    """What one server does with connections, learned by all connections of a process together.

    `ended_body` and `held_body`: whether a body was ever ended after `[DONE]`, and ever left open for the whole grace.
    `kept_connection` and `closed_connection`: whether a connection ever served an answer after a whole stream, and was
    ever closed by the server right after one. `heard_ns` is when the last byte of an answer came, on any of them; 0
    when none has.
    """

    ended_body: bool = False
    held_body: bool = False
    kept_connection: bool = False
    closed_connection: bool = False
    heard_ns: int = 0

    @property
    def leaves_bodies_open(self) -> bool:
        """Whether waiting for the end of a body is in vain."""
        return self.held_body and not self.ended_body

    @property
    def one_answer_each(self) -> bool:
        """Whether its connections serve one answer, whatever its headers say: a second request would cross the end."""
        return self.closed_connection and not self.kept_connection


def end_of_done(body: bytearray) -> int | None:
    """Where the event `[DONE]` ends, if it is at the tail of the body; its line ends belong to it."""
    at = body.find(DONE_WORD, -LOOK_BACK)
    if at < 0:
        return None
    found = _DONE.search(body, max(0, at - _DONE_LEAD))
    return None if found is None else past_line_ends(body, found.end())


def cut_from(timing: RequestTiming, end: int) -> None:
    """Take off the body what comes from `end` on, as if it had never arrived."""
    surplus = len(timing.body) - end
    del timing.body[end:]
    while surplus > 0:
        last = min(surplus, timing.arrival_bytes[-1])
        surplus -= last
        timing.arrival_bytes[-1] -= last
        if not timing.arrival_bytes[-1]:
            timing.arrival_bytes.pop()
            timing.arrival_ns.pop()


def past_line_ends(body: bytearray, at: int) -> int:
    """The first place from `at` on that is no line end."""
    while at < len(body) and body[at] in b"\r\n":
        at += 1
    return at


def grace_s(timing: RequestTiming) -> float:
    """How long to wait for the end of a body whose answer is over: twice the longest of its last pauses."""
    times = timing.arrival_ns[-_LAST_READS:]
    pause_ns = max((late - early for early, late in pairwise(times)), default=0)
    return min(max(GRACE_S, 2 * pause_ns / NS), QUIET_S)


def finished_ns(timing: RequestTiming) -> int | None:
    """When the finish reason at the tail of the body came; None where there is none, or text follows it, or followed an
    earlier one: some servers name one in every event."""
    body = timing.body
    found = list(_FINISH.finditer(body, max(0, len(body) - LOOK_BACK)))
    if not found or _text_follows(body, found[-1].end()):
        return None
    first = _FINISH.search(body)
    if first is None or _text_follows(body, first.end()):
        return None
    reached = len(body)
    for at_ns, size in zip(reversed(timing.arrival_ns), reversed(timing.arrival_bytes), strict=True):
        reached -= size
        if reached < found[-1].end():
            return at_ns
    return None


def names_finish(body: bytearray) -> bool:
    """Whether a finish reason came."""
    return _FINISH.search(body) is not None


def _text_follows(body: bytearray, at: int) -> bool:
    """Whether a later event brings text; an event may have its own text after its finish reason."""
    line_end = _LINE_END.search(body, at)
    return line_end is not None and TEXT.search(body, line_end.end()) is not None
