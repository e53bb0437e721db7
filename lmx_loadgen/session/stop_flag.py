"""How a signal asks a run to stop."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any


class StopFlag:
    """Set by Ctrl-C or SIGTERM while a run is on; a second one ends the process at once."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Handle the signals for the length of a block."""

        def handle(number: int, frame: Any) -> None:
            if self.signal is not None:
                os._exit(128 + number)
            self.signal = number

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
