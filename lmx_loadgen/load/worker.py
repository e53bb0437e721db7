"""The measuring process: does the requests and nothing else.

The parent starts it as `python -m lmx_loadgen.load.worker`, talks to it over stdin and stdout (see
`messages`), and does everything that takes time elsewhere: decoding, storing, drawing. When its stdin ends,
the parent is gone, and the worker closes its requests and ends too: no load outlives the tool.
"""

import asyncio
import contextlib
import gc
import os
import pickle
import ssl
import sys
from typing import Any

import anyio

from lmx_loadgen.load.closed_loop import ClosedLoop
from lmx_loadgen.load.health import Heartbeat, LagMeter
from lmx_loadgen.load.messages import HEADER, EndSegment, Go, Job, Ready, Warm, packed
from lmx_loadgen.load.stop import INTERRUPTED, Stop
from lmx_loadgen.system import open_files, priority
from lmx_loadgen.wire.ending import ServerHabits
from lmx_loadgen.wire.stamps import StampSource
from lmx_loadgen.wire.tls import tls_context
from lmx_loadgen.wire.transport import StampedTransport


class Parent:
    """The two pipes to the parent, as messages."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def attach(cls, out_fd: int) -> "Parent":
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=2**30)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
        pipe = os.fdopen(out_fd, "wb", buffering=0)
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, pipe)
        return cls(reader, writer)

    async def receive(self) -> Any:
        """The next message, or None when the parent is gone."""
        try:
            (size,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            return pickle.loads(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    def send(self, message: Any) -> None:
        self._writer.write(packed(message))

    async def drained(self) -> None:
        """Wait until everything sent has left this process."""
        while self._writer.get_write_buffer_size() and not self._writer.is_closing():  # noqa: ASYNC110
            await anyio.sleep(0.001)


class Worker:
    """Takes jobs from the parent one after the other; `EndSegment` or a dead parent cancels the one at hand."""

    def __init__(self, parent: Parent, stamps: StampSource) -> None:
        self._parent = parent
        self._stamps = stamps
        self._inbox: asyncio.Queue[Go] = asyncio.Queue()
        self._jobs: asyncio.Queue[Job | None] = asyncio.Queue()
        self._running: tuple[ClosedLoop, anyio.CancelScope] | None = None
        self._stopped: dict[int, Stop] = {}
        self._transports: dict[tuple[str, int], StampedTransport] = {}
        self._habits: dict[str, ServerHabits] = {}
        self._contexts: dict[tuple[bool, str | None], ssl.SSLContext] = {}

    async def run(self) -> None:
        _collect_garbage()
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen)
            while (job := await self._jobs.get()) is not None:
                await self._run(job)
            group.cancel_scope.cancel()

    async def _listen(self) -> None:
        while (message := await self._parent.receive()) is not None:
            if isinstance(message, Job):
                self._jobs.put_nowait(message)
            elif isinstance(message, Go):
                self._inbox.put_nowait(message)
            elif isinstance(message, EndSegment):
                self._stopped[message.segment] = message.why
                if self._running is not None and self._running[0].job.segment == message.segment:
                    self._cancel(message.why)
        self._cancel(INTERRUPTED)
        self._jobs.put_nowait(None)

    def _cancel(self, why: Stop) -> None:
        if self._running is not None:
            segment, scope = self._running
            segment.stopped = why
            scope.cancel()

    async def _run(self, job: Job) -> None:
        meter = LagMeter(asyncio.get_running_loop())
        segment = ClosedLoop(job, self._for_slots(job), self._parent.send, meter)
        with anyio.CancelScope() as scope:
            self._running = (segment, scope)
            heartbeat = Heartbeat(segment.job, segment.quiet_since_ns, self._parent.send)
            if job.segment in self._stopped:
                self._cancel(self._stopped[job.segment])
            mean_ns = await segment.prepare()
            self._parent.send(Warm(job.segment, mean_ns))
            await segment.measure(await self._inbox.get())
        self._running = None
        heartbeat.close()
        meter.close()
        self._parent.send(segment.end(segment.stopped if scope.cancelled_caught else None))
        await self._parent.drained()
        _collect_garbage()

    def _for_slots(self, job: Job) -> dict[int, StampedTransport]:
        """The slots' connections, kept from one segment to the next of the same server."""
        habits = self._habits.setdefault(job.url, ServerHabits())
        chosen = {}
        for slot in job.slots:
            key = (job.url, slot)
            if key not in self._transports:
                self._transports[key] = StampedTransport(
                    ssl_context=self._context(job), stamps=self._stamps, habits=habits
                )
            chosen[slot] = self._transports[key]
        return chosen

    def _context(self, job: Job) -> ssl.SSLContext | None:
        if not job.url.startswith("https:"):
            return None
        key = (job.verify, job.ca_file)
        if key not in self._contexts:
            self._contexts[key] = tls_context(*key)
        return self._contexts[key]


def _collect_garbage() -> None:
    """Now, and then not while a segment is measured: it takes milliseconds, between segments and not at their start."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.disable()


async def _main(out_fd: int, loop_name: str, stamps: StampSource) -> None:
    parent = await Parent.attach(out_fd)
    parent.send(Ready(loop_name, stamps.value))
    await Worker(parent, stamps).run()


def main() -> None:
    """Entry of the process; `argv` is `<loop> <stamps>`, both already decided by the parent."""
    loop_name, stamps = sys.argv[1], StampSource(sys.argv[2])
    open_files.raise_limit()
    priority.measure_first()
    # Whatever prints must not get between the messages: the pipe moves away, stdout becomes stderr.
    out_fd = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    options = {"use_uvloop": loop_name == "uvloop"}
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        anyio.run(_main, out_fd, loop_name, stamps, backend="asyncio", backend_options=options)


if __name__ == "__main__":
    main()
