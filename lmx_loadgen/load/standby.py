"""A measuring process that outlives its run, for who does one run after the other and wants no wait for its start."""

from collections.abc import Iterator, Mapping
from typing import Any

from lmx_loadgen.load.driver import WorkerProcess
from lmx_loadgen.load.messages import Job, SegmentEnd
from lmx_loadgen.wire.stamps import StampSource


class _KeptWorker(WorkerProcess):
    """One that goes on after `close`, unless a segment of it was stopped or has not ended."""

    def __init__(self, loop: str, stamps: StampSource, environment: Mapping[str, str] | None) -> None:
        super().__init__(loop, stamps, environment)
        self.kind = (loop, stamps, environment)
        self.is_idle = True

    def send(self, message: Any) -> None:
        if isinstance(message, Job):
            self.is_idle = False
        super().send(message)

    def read(self) -> Iterator[Any]:
        for message in super().read():
            if isinstance(message, SegmentEnd):
                self.is_idle = message.stopped is None
            yield message

    def close(self) -> None:
        if not self.is_idle:
            self.end()

    def end(self) -> None:
        super().close()


class Standby:
    """Hands out the same measuring process, one run after the other, as long as it can be used again."""

    def __init__(self) -> None:
        self._kept: _KeptWorker | None = None

    def start(self, loop: str, stamps: StampSource, environment: Mapping[str, str] | None = None) -> WorkerProcess:
        """A measuring process of this kind. For runs of one process each, one at a time."""
        kept = self._kept
        if kept is None or not (kept.is_idle and kept.is_running and kept.kind == (loop, stamps, environment)):
            self.close()
            kept = self._kept = _KeptWorker(loop, stamps, environment)
        return kept

    def close(self) -> None:
        """End it."""
        if self._kept is not None:
            self._kept.end()
            self._kept = None
