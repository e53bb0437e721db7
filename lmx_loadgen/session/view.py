"""What a run tells while it is on: the seam for a terminal, a service, a notebook."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lmx_loadgen.profile.load_point import LoadPoint


@dataclass(frozen=True, slots=True)
class PlannedSegment:
    """A stretch of load that is planned; `seconds` is about how long it takes, with the pause before it."""

    target: str
    load_point: LoadPoint
    block: int
    seconds: float

    @property
    def key(self) -> tuple[str, LoadPoint, int]:
        return self.target, self.load_point, self.block


class View(Protocol):
    """What is shown while a run is on; it only ever reads. It is called on the run's own thread, and must not block."""

    def say(self, words: str) -> None:
        """A sentence for the user."""

    def phase(self, words: str) -> None:
        """What the run does from now on, like `calibrating`, where it does not measure."""

    def planned(self, segments: Sequence[PlannedSegment]) -> None:
        """Given once, before anything is measured: what is planned. A run may add to it, and leave some of it out."""

    def warming_up(self, target: str, load_point: LoadPoint, block: int) -> None:
        """A stretch of load begins with its warm-up requests."""

    def start_segment(
        self, target: str, load_point: LoadPoint, total: int | None, duration: float | None, block: int | None = None
    ) -> None:
        """A stretch of load begins to be measured: so many requests, or so many seconds, or both. It has a `block`
        where targets take turns."""

    def finished(self, ok: bool, ttft_s: float | None, speed: float | None, in_tokens: bool = True) -> None:
        """A measured request has ended; `speed` is in tok/s, else in chunks/s."""

    def end_segment(self) -> None:
        """The stretch of load is over."""

    def unrestored(self, left: Callable[[], Sequence[str]]) -> None:
        """Given once, before anything is measured: what would be left changed on the servers if this process ended at
        any moment, a sentence each. It may be asked at any time, also in a signal handler."""


class Silent:
    """A view that shows nothing, and the base of those that show a part."""

    def say(self, words: str) -> None:
        pass

    def phase(self, words: str) -> None:
        pass

    def planned(self, segments: Sequence[PlannedSegment]) -> None:
        pass

    def warming_up(self, target: str, load_point: LoadPoint, block: int) -> None:
        pass

    def start_segment(
        self, target: str, load_point: LoadPoint, total: int | None, duration: float | None, block: int | None = None
    ) -> None:
        pass

    def finished(self, ok: bool, ttft_s: float | None, speed: float | None, in_tokens: bool = True) -> None:
        pass

    def end_segment(self) -> None:
        pass

    def unrestored(self, left: Callable[[], Sequence[str]]) -> None:
        pass
