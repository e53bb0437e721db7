"""One monotonic clock in integer nanoseconds, and one wall-clock anchor per run.

Every time in an event log is read from `now_ns`. On Linux and macOS it is the system-wide monotonic
clock, so times taken by two processes of one machine may be subtracted from each other.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

now_ns = time.monotonic_ns

NS = 1_000_000_000
# Where a time that cannot be read is sorted to.
EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Anchor:
    """The one reading that ties the monotonic clock to the calendar: both clocks at the same moment, in ns.

    A wall clock may step during a run; because it is read only here, no duration can suffer from it.
    """

    mono_ns: int
    unix_ns: int

    @classmethod
    def take(cls) -> "Anchor":
        """Read both clocks, keeping the tightest of a few tries (error below a microsecond)."""
        best: tuple[int, int, int] | None = None
        for _ in range(5):
            before = now_ns()
            unix = time.time_ns()
            after = now_ns()
            if best is None or after - before < best[0]:
                best = (after - before, (before + after) // 2, unix)
        assert best is not None
        return cls(mono_ns=best[1], unix_ns=best[2])

    def iso(self, mono_ns: int) -> str:
        """The UTC time of a monotonic reading, as ISO 8601 with milliseconds."""
        unix_ns = self.unix_ns + (mono_ns - self.mono_ns)
        moment = datetime.fromtimestamp(unix_ns // NS, UTC).replace(microsecond=unix_ns % NS // 1000)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: object) -> datetime | None:
    """A stored time in ISO 8601, in UTC, also where it names no zone; None where it cannot be read."""
    try:
        found = datetime.fromisoformat(str(text))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
