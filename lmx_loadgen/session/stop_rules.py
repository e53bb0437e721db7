"""When a level is to be given up: too many of its requests failed."""

from collections import deque
from dataclasses import dataclass, field

from lmx_loadgen.store.segment_key import SegmentKey

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
    reason: str | None = None
    _level: SegmentKey | None = None
    _last: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _words: str = ""
    _counts: dict[SegmentKey, tuple[int, list[bool], str]] = field(default_factory=dict)

    def begin(self, segment: SegmentKey) -> None:
        """What ends from now on is of this segment; further blocks of its level go on where it was."""
        if self._level is not None:
            self._counts[self._level] = (self.errors, list(self._last), self._words)
        self._level, self.reason = segment._replace(block=0), None
        self.errors, last, self._words = self._counts.get(self._level, (0, [], ""))
        self._last = deque(last, maxlen=WINDOW)

    def note_outcome(self, outcome: str, words: str | None) -> None:
        """A request has ended; cancelled ones say nothing of the server. `reason` is set by one failure too many."""
        if outcome == "cancelled":
            return
        failed = outcome != "ok"
        self._last.append(failed)
        self.errors += failed
        if failed:
            self._words = (words or outcome).rstrip(".")
        self.reason = self.reason or self._why()

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
