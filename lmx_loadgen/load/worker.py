"""The measuring process: does the requests and nothing else.

The parent starts it as `python -m lmx_loadgen.load.worker`, talks to it over stdin and stdout (see
`messages`), and does everything that takes time elsewhere: decoding, storing, drawing. When its stdin ends,
the parent is gone, and the worker closes its requests and ends too: no load outlives the tool.
"""

import asyncio
import contextlib
import gc
import os
import sys

import anyio

from lmx_loadgen.load import bare_httpx  # noqa: F401 - before whatever imports httpx
from lmx_loadgen.load.alarm import Alarm
from lmx_loadgen.load.health import Heartbeat, LagMeter
from lmx_loadgen.load.job import JobRun
from lmx_loadgen.load.messages import EndSegment, Go, Job, Ready, Warm
from lmx_loadgen.load.parent import Parent
from lmx_loadgen.load.pool import Pools
from lmx_loadgen.load.schedule import schedule_of
from lmx_loadgen.load.sender import Sender
from lmx_loadgen.load.stop import INTERRUPTED, Stop
from lmx_loadgen.system import open_files, priority
from lmx_loadgen.wire.stamps import StampSource


class Worker:
    """Takes jobs from the parent one after the other; `EndSegment` or a dead parent cancels the one at hand."""

    def __init__(self, parent: Parent, stamps: StampSource) -> None:
        self._parent = parent
        self._inbox: asyncio.Queue[Go] = asyncio.Queue()
        self._jobs: asyncio.Queue[Job | None] = asyncio.Queue()
        self._running: tuple[JobRun, anyio.CancelScope] | None = None
        self._stopped: dict[str, Stop] = {}
        self._pools = Pools(stamps)
        self._alarm = Alarm()

    async def run(self) -> None:
        _collect_garbage()
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen)
            while (job := await self._jobs.get()) is not None:
                await self._run(job)
            group.cancel_scope.cancel()
        self._alarm.close()

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
            running, scope = self._running
            running.sender.stopped = why
            scope.cancel()

    async def _run(self, job: Job) -> None:
        meter = LagMeter(asyncio.get_running_loop())
        sender = Sender(job, self._parent.send, meter)
        running = JobRun(job, schedule_of(job), sender, self._pools.of(job), meter, self._alarm)
        with anyio.CancelScope() as scope:
            self._running = (running, scope)
            heartbeat = Heartbeat(job, running.quiet_since_ns, self._parent.send)
            if job.segment in self._stopped:
                self._cancel(self._stopped[job.segment])
            mean_ns = await running.prepare()
            self._parent.send(Warm(job.segment, mean_ns))
            await running.measure(await self._inbox.get())
        self._running = None
        heartbeat.close()
        meter.close()
        self._parent.send(running.end(sender.stopped if scope.cancelled_caught else None))
        await self._parent.drained()
        _collect_garbage()


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
