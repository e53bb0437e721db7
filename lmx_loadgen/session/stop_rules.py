"""What ends a level beside whoever asked for the run: too many failed requests, a server that says nothing, or one that
cannot keep up with an open loop. And what keeps a run from adding more: the time it may take."""

import time
from array import array
from bisect import insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from lmx_loadgen.analysis.overload import first_responses, growth
from lmx_loadgen.load.messages import Ended
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.store.segment_key import LOAD, SegmentKey
from lmx_loadgen.system.clock import NS, now_ns

_FIRST_LOOK_NS = NS
_RESPONSES_KEPT = 1000
_LOOKS = 2
WINDOW = 20
_FEWEST = 10


@dataclass
class ErrorLimits:
    """Counts the failures of one target at one level, warm-ups included, over all its blocks.

    `max_errors` failed requests end the level; so does a share of failures above `max_error_rate` among the last twenty
    requests, once ten have ended. None is no limit.
    """

    max_errors: int | None = None
    max_error_rate: float | None = None
    errors: int = 0
    stop: Stop | None = None
    _last: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _words: str = ""

    def note_outcome(self, outcome: str, words: str | None) -> None:
        """A request has ended; cancelled and dropped ones say nothing of the server. `stop` is set by one failure too
        many."""
        if outcome in ("cancelled", "dropped"):
            return
        failed = outcome != "ok"
        self._last.append(failed)
        self.errors += failed
        if failed:
            self._words = (words or outcome).rstrip(".")
        if self.stop is None and (why := self._why()) is not None:
            self.stop = Stop("errors", why)

    def _why(self) -> str | None:
        if self.max_errors is not None and self.errors >= self.max_errors:
            many = "request" if self.errors == 1 else "requests"
            return f"{self.errors} {many} failed (--max-errors {self.max_errors}), the last one: {self._words}"
        share = sum(self._last) / len(self._last)
        if self.max_error_rate is not None and len(self._last) >= _FEWEST and share > self.max_error_rate:
            return (
                f"{share:.0%} of the last {len(self._last)} requests failed "
                f"(--max-error-rate {self.max_error_rate * 100:.4g}%), the last one: {self._words}"
            )
        return None


class Silence:
    """Ends one segment when no byte has come from the server for `limit_s` seconds, on any connection of any worker."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: dict[int, int] = {}
        self.stop: Stop | None = None

    def note_quiet(self, worker: int, quiet_ns: int | None) -> None:
        """How long a worker has heard nothing; None while it expects nothing. `stop` is set by one moment too many."""
        now = now_ns()
        if quiet_ns is None:
            self._since.pop(worker, None)
            return
        self._since[worker] = now - quiet_ns
        if self.stop is None and now - max(self._since.values()) >= self._limit_s * NS:
            words = f"no byte came from the server for {self._limit_s:g} s (--no-progress-timeout)"
            self.stop = Stop("silence", words)


class FallsBehind:
    """Ends a segment of an open loop once its server surely does not keep up, by two looks in a row.

    `due_ns` says when each request is due, by its number, in ns since the start; a look comes each time that the load
    has lasted for a tenth longer.
    """

    def __init__(self, due_ns: Sequence[int]) -> None:
        self._due_ns = due_ns
        self._start_ns: int | None = None
        self._ended_ns = array("q")
        self._responses: list[tuple[int, int]] = []
        self._next_ns = 0
        self._seen = 0
        self.stop: Stop | None = None

    def note_ended(self, ended: Ended) -> None:
        """A measured request has ended."""
        due = self._due_ns[ended.number]
        self._start_ns = ended.intended_ns - due
        if ended.outcome not in ("cancelled", "dropped"):
            insort(self._ended_ns, ended.end_ns - self._start_ns)
            self._responses.append((due, ended.end_ns - ended.intended_ns))
            if len(self._responses) > _RESPONSES_KEPT:  # only the first count
                self._responses = sorted(self._responses)[: _RESPONSES_KEPT // 10]

    def look(self, now: int) -> None:
        """Set `stop` where it is time to look and the server is seen to fall behind again. What is due later than the
        last request is no load."""
        if self._start_ns is None or self.stop is not None:
            return
        at_ns = now - self._start_ns
        if at_ns < self._next_ns or at_ns > self._due_ns[-1]:
            return
        self._next_ns = max(_FIRST_LOOK_NS, at_ns + at_ns // 10)
        found = growth(self._due_ns, self._ended_ns, first_responses(self._responses), at_ns)
        self._seen = self._seen + 1 if found is not None else 0
        if found is not None and self._seen >= _LOOKS:
            self.stop = Stop("overload", found.sentence)


@dataclass
class LevelRules:
    """The rules that end a level of a target, while one of its segments runs; `errors` go on from its earlier ones.

    `known_ns` says until when the ends of each worker's requests are known; None where they are known at once.
    """

    errors: ErrorLimits
    silence: Silence
    falls_behind: FallsBehind | None = None
    known_ns: dict[int, int] | None = None

    @property
    def stop(self) -> Stop | None:
        if self.falls_behind is not None:
            self.falls_behind.look(now_ns() if self.known_ns is None else min(self.known_ns.values()))
        behind = self.falls_behind.stop if self.falls_behind is not None else None
        return self.errors.stop or self.silence.stop or behind


class StopRules:
    """The stop rules of a run's levels, by a profile's limits."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._errors: dict[SegmentKey, ErrorLimits] = {}

    def of_segment(self, segment: SegmentKey) -> LevelRules:
        """Those of a segment that begins; further blocks of its level go on where it was. Beside the load only silence
        ends one, however often it fails."""
        if segment.phase != LOAD:
            return LevelRules(ErrorLimits(), self._silence())
        load = self._profile.load
        known = self._errors.setdefault(segment._replace(block=0), ErrorLimits(load.max_errors, load.max_error_rate))
        return LevelRules(known, self._silence())

    def _silence(self) -> Silence:
        return Silence(self._profile.timeouts.longest_silence)


class MaxDuration:
    """How long a run may take in all, `spent_s` of which it took before it was resumed. It ends nothing that has begun,
    and lets nothing begin that would end too late."""

    def __init__(self, max_s: float, spent_s: float = 0.0) -> None:
        self._ends = time.monotonic() - spent_s + max_s

    def has_room_for(self, seconds: float) -> bool:
        return self.left_s() >= seconds

    def left_s(self) -> float:
        """Seconds until the end; negative after it."""
        return self._ends - time.monotonic()
