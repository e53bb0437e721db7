"""What the driver holds of a measuring process, wherever that is: here as a child, or on another machine."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.load.messages import Ended, FinishedRequest, Job, Ready
from lmx_loadgen.wire.stamps import StampSource

# Given a request that has ended: what is to be known of it at once. It goes to where the process is.
Look = Callable[[FinishedRequest], Ended]


class WorkerHandle(Protocol):
    """One measuring process. All times that pass through here are of this process's clock.

    `fd` is readable when something has come, `heard` when something last came (monotonic, in seconds), and `ready` what
    it said when it had come up. Everything that talks to the process raises WorkerDied where it is gone.
    """

    fd: int
    heard: float
    ready: Ready | None

    @property
    def head_start_ns(self) -> int:
        """How long the message that starts the load may be under way."""

    @property
    def is_running(self) -> bool: ...

    @property
    def keeps_requests(self) -> bool:
        """Whether requests stay with the process until their segment has ended, and only `Ended` comes before."""

    def begin(self, job: Job, look: Look) -> None:
        """Hand over the work of a segment."""

    def send(self, message: Any) -> None: ...

    def read(self) -> Iterator[Any]:
        """The messages that have come."""

    def kept(self) -> Iterator[FinishedRequest]:
        """The requests of the segment that has ended, where they were kept, in the order in which they ended."""

    def stuck(self) -> LoadgenError:
        """The error to raise when the process is there and does nothing; it is ended."""

    def close(self) -> None:
        """Let the process go."""


# Starts a measuring process, given its loop, its stamps and its environment.
StartWorker = Callable[[str, StampSource, Mapping[str, str] | None], WorkerHandle]
