"""Ctrl-C and SIGTERM while something is measured: the first asks it to stop, the second ends the process."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lmx_loadgen.errors import Interrupted
from lmx_loadgen.session.stop_flag import StopFlag

_STDERR = 2


class StopSignals:
    """Sets `stop` at the first signal. At the second the process ends at once, with the sentences of `left` on stderr:
    what is left undone. `number` is the signal that came."""

    def __init__(self, stop: StopFlag, left: Callable[[], Sequence[str]] = tuple) -> None:
        self.number: int | None = None
        self._stop = stop
        self._left = left

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Handle the signals for the length of a block. An Interrupted that leaves it gets the signal's exit code."""
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        except Interrupted as error:
            error.exit_code = 128 + (self.number or signal.SIGINT)
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        if self.number is not None:
            self._exit(number)
        self.number = number
        self._stop.set()

    def _exit(self, number: int) -> None:
        with contextlib.suppress(Exception):  # nothing may keep a second Ctrl-C from ending the process
            for line in self._left():
                os.write(_STDERR, f"\n{line}\n".encode())  # a buffered stream may be in use just now
        os._exit(128 + number)
