"""What runs on a node: the measuring process there, and the pipe between it and the run.

Ray makes an actor of `NodeWorker`. The actor's own threads never touch the timing: requests are sent and stamped by a
process of its own, as on one machine. What that hands over stays on the node until its segment has ended; only how each
request ended goes to the run, about once a second.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.cluster.facts import NodeFacts, facts_here
from lmx_loadgen.cluster.spill import Spill
from lmx_loadgen.load.driver import WorkerDied, WorkerProcess
from lmx_loadgen.load.handle import Look
from lmx_loadgen.load.messages import Alive, Ended, FinishedRequest, Unpacker
from lmx_loadgen.system import lock, priority
from lmx_loadgen.system.api_keys import without_keys
from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.wire.stamps import StampSource


@dataclass(frozen=True, slots=True)
class Gone:
    """The measuring process of a node has ended, or what it saw can not be kept there."""

    words: str


class NodeWorker:
    """The actor: each method is called by the run, in any of several threads."""

    def __init__(self) -> None:
        self._process: WorkerProcess | None = None
        self._unpacker = Unpacker()
        self._spill = Spill()
        self._look: Look | None = None
        self._held = contextlib.ExitStack()
        self._came = threading.Condition()
        self._news: list[Any] = []
        self._is_urgent = False

    def facts(self) -> NodeFacts:
        return facts_here()

    def now(self) -> int:
        """This node's clock."""
        return now_ns()

    def call(self, function: Callable[..., Any], *given: Any) -> Any:
        """Have a function of this package run here."""
        return function(*given)

    def take_lock(self) -> dict[str, Any] | None:
        """Have other runs notice that this machine measures, until `close`; who measures on it already."""
        return self._held.enter_context(lock.acquire(allow_concurrent=True)).held_by

    def start(self, loop: str, stamps: str, key_variables: set[str]) -> None:
        """Start the measuring process. Variables that may hold keys are not in its environment."""
        self._process = WorkerProcess(loop, StampSource(stamps), without_keys(os.environ, key_variables))
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def begin(self, look: Look) -> None:
        """A segment begins: what was kept of the last one is no longer needed. `look` says how a request ended."""
        self._spill.begin()
        self._look = look

    def take(self, piece: bytes) -> None:
        """The next piece of a message for the measuring process; keys come this way. Raises WorkerDied."""
        assert self._process is not None
        for message in self._unpacker.messages(piece):
            self._process.send(message)

    def news(self, wait_s: float) -> list[Any]:
        """What has come: at once where it is more than the end of requests, and else after a while."""
        with self._came:
            self._came.wait_for(lambda: self._is_urgent, wait_s)
            news, self._news, self._is_urgent = self._news, [], False
            return news

    def kept(self) -> int:
        """How many bytes are kept of the segment."""
        return self._spill.size

    def piece(self, start: int, size: int) -> bytes:
        return self._spill.piece(start, size)

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
        self._spill.close()
        self._held.close()

    def _listen(self, process: WorkerProcess) -> None:
        try:
            with priority.giving_way():
                while True:
                    for message in process.read():
                        self._hear(message)
        except WorkerDied as death:
            self._say(Gone(str(death)))
        except (OSError, ValueError) as error:  # the disk is full; or this is the end, and files are closed
            self._say(Gone(f"its requests could not be kept there: {error}"))

    def _hear(self, message: Any) -> None:
        if not isinstance(message, FinishedRequest):
            self._say(message)
            return
        assert self._look is not None
        ended = self._look(message)
        self._spill.keep(message)
        self._say(ended)

    def _say(self, message: Any) -> None:
        with self._came:
            self._news.append(message)
            if not isinstance(message, Ended | Alive):
                self._is_urgent = True
                self._came.notify()
