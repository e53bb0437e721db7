"""How a signal asks a run to stop."""

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import anyio

_LOOK_S = 0.05
_STDERR = 2

T = TypeVar("T")


async def unless_stopped(work: Callable[[], Awaitable[T]], stop: Callable[[], bool]) -> list[T]:
    """What the work gives, alone in a list; an empty one where `stop` said so first, and the work was cancelled. The
    work must not raise."""
    given: list[T] = []

    async def done() -> None:
        given.append(await work())
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(done)
        while not stop():  # noqa: ASYNC110 - set by a signal handler, which can wake nobody
            await anyio.sleep(_LOOK_S)
        group.cancel_scope.cancel()
    return given


class StopFlag:
    """Set by Ctrl-C or SIGTERM while a run is on; a second one ends the process at once, with the sentences of
    `parting` on stderr: what is left undone."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.parting: Callable[[], Sequence[str]] = tuple

    def __call__(self) -> bool:
        return self.signal is not None

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Handle the signals for the length of a block."""

        def handle(number: int, frame: Any) -> None:
            if self.signal is not None:
                self._exit(number)
            self.signal = number

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _exit(self, number: int) -> None:
        with contextlib.suppress(Exception):  # nothing may keep a second Ctrl-C from ending the process
            for line in self.parting():
                os.write(_STDERR, f"\n{line}\n".encode())  # a buffered stream may be in use just now
        os._exit(128 + number)
