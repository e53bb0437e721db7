"""How a run is asked to stop, by whoever wants it to end."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from lmx_loadgen.errors import Interrupted
from lmx_loadgen.load.stop import INTERRUPTED, Stop

_LOOK_S = 0.05

T = TypeVar("T")


class StopFlag:
    """Asks a run to stop in good order. It may be set and asked from any thread, coroutine or signal handler."""

    def __init__(self) -> None:
        self._why: Stop | None = None

    def set(self, why: Stop = INTERRUPTED) -> None:
        """From now on the run is to end: what is in flight is closed, and what was measured is stored. Only the first
        reason counts."""
        self._why = self._why or why

    @property
    def why(self) -> Stop | None:
        """Why the run is to end; None while it is not."""
        return self._why

    def __call__(self) -> bool:
        return self.why is not None

    def check(self) -> None:
        """Raises Interrupted once the run is to end, where nothing has been measured yet."""
        if self._why is not None:
            raise Interrupted(f"{self._why.message} before anything was measured")


async def unless_stopped(work: Callable[[], Awaitable[T]], stop: Callable[[], bool]) -> list[T]:
    """What the work gives, alone in a list; an empty one where `stop` said so first, and the work was cancelled. The
    work must not raise."""
    given: list[T] = []

    async def done() -> None:
        given.append(await work())
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(done)
        while not stop():  # noqa: ASYNC110 - set by a signal handler or another thread, which can wake nobody
            await anyio.sleep(_LOOK_S)
        group.cancel_scope.cancel()
    return given
