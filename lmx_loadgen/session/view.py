"""What a run tells while it is on: the seam for a terminal, a service, a notebook."""

from collections.abc import Callable, Sequence
from typing import Protocol

from lmx_loadgen.profile.load_point import LoadPoint


class View(Protocol):
    """What is shown while a run is on; it only ever reads. It is called on the run's own thread, and must not block."""

    def say(self, words: str) -> None:
        """A sentence for the user."""

    def start_segment(
        self, target: str, load_point: LoadPoint, total: int | None, duration: float | None, block: int | None = None
    ) -> None:
        """A stretch of load begins to be measured: so many requests, or so many seconds, or both."""

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
