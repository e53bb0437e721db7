"""Runs segments on the measuring processes and hands over each request as it ends.

This is the parent's side: it starts the workers, gives them their share of a segment, starts them at one
moment, and reads what they send. It takes no part in the measuring.
"""

import os
import pickle
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lmx_loadgen.clock import now_ns
from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.load.arrivals import stagger_offsets
from lmx_loadgen.load.messages import HEADER, Go, Job, Ready, SegmentEnd, Sent, Stop, Warm, packed
from lmx_loadgen.wire.stamps import StampSource

_START_WAIT_S = 20.0
_STOP_WAIT_S = 1.5
_HEAD_START_NS = 2_000_000


WORKER = "lmx_loadgen.load.worker"


class WorkerDied(LoadgenError):
    """A measuring process ended before its work did."""


class WorkerProcess:
    """One measuring process and the pipes to it."""

    def __init__(self, loop: str, stamps: StampSource) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORKER, loop, stamps.value],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the parent, which stops the worker in good order
        )
        assert self._process.stdout is not None
        self.fd = self._process.stdout.fileno()
        self._buffer = bytearray()

    def send(self, message: Any) -> None:
        assert self._process.stdin is not None
        data = memoryview(packed(message))
        try:
            while data:
                data = data[self._process.stdin.write(data) or 0 :]
        except BrokenPipeError:
            raise self.death() from None

    def read(self) -> Iterator[Any]:
        """The messages that one read of the pipe completes. Raises WorkerDied at its end."""
        data = os.read(self.fd, 2**20)
        if not data:
            raise self.death()
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= HEADER.size:
            (size,) = HEADER.unpack_from(self._buffer, start)
            end = start + HEADER.size + size
            if len(self._buffer) < end:
                break
            message = pickle.loads(memoryview(self._buffer)[start + HEADER.size : end])
            start = end
            yield message
        del self._buffer[:start]

    def death(self) -> WorkerDied:
        """The error to raise when the process is gone, with the last thing it said."""
        try:
            code = self._process.wait(timeout=_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            code = None
        self._stderr.seek(0)
        words = self._stderr.read()[-2000:].decode(errors="replace").strip().splitlines()
        said = f": {words[-1][:200]}" if words else ""
        return WorkerDied(f"a measuring process ended unexpectedly (exit code {code}){said}")

    def close(self) -> None:
        """Let the process go: it ends when its stdin does, and is killed if it does not."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(timeout=_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._stderr.close()


class Driver:
    """Runs one segment after the other on its workers.

    Args:
        workers: the measuring processes.
        on_sent: called with each request as it ends, in the order they are heard of.
        stop_asked: asked about ten times a second; once it says yes the segment is stopped.
    """

    def __init__(
        self,
        workers: Sequence[WorkerProcess],
        on_sent: Callable[[Sent], None],
        stop_asked: Callable[[], bool],
    ) -> None:
        self._workers = workers
        self._on_sent = on_sent
        self._stop_asked = stop_asked
        self._selector = selectors.DefaultSelector()
        for worker in workers:
            self._selector.register(worker.fd, selectors.EVENT_READ, worker)

    def wait_ready(self) -> Ready:
        """What loop and stamps the workers use. Raises WorkerDied if one does not come up."""
        deadline = time.monotonic() + _START_WAIT_S
        ready: list[Ready] = []
        while len(ready) < len(self._workers):
            ready += [message for message in self._messages() if isinstance(message, Ready)]
            if time.monotonic() > deadline:
                raise WorkerDied(f"a measuring process did not start within {_START_WAIT_S:g} s")
        return ready[0]

    def run(self, jobs: Sequence[Job], stagger_ns: int | None, on_start: Callable[[], None]) -> SegmentEnd:
        """Run one segment, a job for each worker, and return its merged marks.

        `stagger_ns` is the spread of the slots' starts; None takes the mean response time of the warm-ups.
        `on_start` is called when the warm-ups are done and measuring begins.
        """
        for worker, job in zip(self._workers, jobs, strict=True):
            worker.send(job)
        warm: list[Warm] = []
        ends: list[SegmentEnd] = []
        stopped = False
        while len(ends) < len(self._workers):
            if not stopped and self._stop_asked():
                stopped = True
                self._stop(jobs[0].segment)
            for message in self._messages():
                if isinstance(message, Sent):
                    self._on_sent(message)
                elif isinstance(message, SegmentEnd):
                    ends.append(message)
                elif isinstance(message, Warm):
                    warm.append(message)
                    if len(warm) == len(self._workers) and not stopped:
                        on_start()
                        self._go(jobs, warm, stagger_ns)
        return merge_ends(ends)

    def _stop(self, segment: int) -> None:
        for worker in self._workers:
            worker.send(Stop(segment))

    def _go(self, jobs: Sequence[Job], warm: Sequence[Warm], stagger_ns: int | None) -> None:
        if stagger_ns is None:
            means = [message.mean_response_ns for message in warm if message.mean_response_ns is not None]
            stagger_ns = sum(means) // len(means) if means else 0
        offsets = stagger_offsets(sum(len(job.slots) for job in jobs), stagger_ns)
        start_ns = now_ns() + _HEAD_START_NS
        for worker, job in zip(self._workers, jobs, strict=True):
            worker.send(Go(start_ns, [offsets[slot] for slot in job.slots]))

    def _messages(self) -> Iterator[Any]:
        """What the workers have said within the next tenth of a second."""
        for key, _ in self._selector.select(timeout=0.1):
            yield from key.data.read()

    def close(self) -> None:
        self._selector.close()
        for worker in self._workers:
            worker.close()


def merge_ends(ends: Sequence[SegmentEnd]) -> SegmentEnd:
    """One segment's marks out of its workers': the load is full when the last slot of all has started."""

    def of(values: Sequence[int | None], pick: Callable[[list[int]], int]) -> int | None:
        known = [value for value in values if value is not None]
        return pick(known) if known else None

    ramps = [end.ramp_end_ns for end in ends]
    shares = [end.cpu_share for end in ends if end.cpu_share is not None]
    return SegmentEnd(
        segment=ends[0].segment,
        start_ns=of([end.start_ns for end in ends], min),
        ramp_end_ns=None if None in ramps else of(ramps, max),
        drain_start_ns=of([end.drain_start_ns for end in ends], min),
        end_ns=max(end.end_ns for end in ends),
        stopped=next((end.stopped for end in ends if end.stopped), None),
        cpu_share=max(shares) if shares else None,
        cpu_s=sum(end.cpu_s for end in ends),
        peak_rss_bytes=max(end.peak_rss_bytes for end in ends),
        lag_max_ns=of([end.lag_max_ns for end in ends], max),
    )
