"""Runs segments on the measuring processes and hands over each request as it ends.

This is the parent's side: it starts the workers, gives them their share of a segment, starts them at one
moment, and reads what they send. It takes no part in the measuring.
"""

import contextlib
import heapq
import os
import re
import select
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.load.handle import Look, WorkerHandle
from lmx_loadgen.load.messages import (
    Alive,
    Ended,
    EndSegment,
    FinishedRequest,
    Go,
    Job,
    Ready,
    SegmentEnd,
    Unpacker,
    Warm,
    packed,
)
from lmx_loadgen.load.schedule import stagger_offsets
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.wire.stamps import StampSource

_START_WAIT_S = 20.0
_STOP_WAIT_S = 1.5
# A worker says every second that it is alive, and ends within moments when it is told to.
_SILENT_WORKER_S = 30.0
_HELD_UP_S = 5.0
# What is left of a segment that lost a worker is worth so long a wait.
_SAVE_WAIT_S = 10.0
_LAST_SAID = 4000
# What a traceback of a group of exceptions draws in front of its lines, and the line that it draws below them.
_TREE = re.compile(r"^(?: *\| ?| *\+ ?(?=-))+")

WORKER = "lmx_loadgen.load.worker"


class WorkerDied(LoadgenError):
    """A measuring process ended before its work did."""


class WorkerProcess:
    """One measuring process and the pipes to it. `environment` is its own, without keys: those come with the jobs."""

    head_start_ns = 2_000_000
    keeps_requests = False

    def __init__(self, loop: str, stamps: StampSource, environment: Mapping[str, str] | None = None) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(
            [sys.executable, "-m", WORKER, loop, stamps.value],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the parent, which stops the worker in good order
        )
        assert self._process.stdout is not None
        self.fd = self._process.stdout.fileno()
        self.pid = self._process.pid
        self._unpacker = Unpacker()
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self.heard = time.monotonic()
        self.ready: Ready | None = None

    def begin(self, job: Job, look: Look) -> None:
        self.send(job)

    def kept(self) -> Iterator[FinishedRequest]:
        return iter(())

    def send(self, message: Any) -> None:
        """Hand the message over. Raises WorkerDied where the process is gone, or takes nothing for half a minute."""
        assert self._process.stdin is not None
        data = memoryview(packed(message))
        try:
            while data:
                written = self._process.stdin.write(data)
                if written is not None:
                    data = data[written:]
                elif not select.select([], [self._process.stdin], [], _SILENT_WORKER_S)[1]:
                    raise self.stuck()
        except BrokenPipeError:
            raise self.death() from None

    def read(self) -> Iterator[Any]:
        """The messages that one read of the pipe completes. Raises WorkerDied at its end."""
        data = os.read(self.fd, 2**20)
        self.heard = time.monotonic()
        if not data:
            raise self.death()
        yield from self._unpacker.messages(data)

    def death(self) -> WorkerDied:
        """The error to raise when the process is gone, with the last thing it said."""
        try:
            code = self._process.wait(timeout=_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            code = None
        self._stderr.seek(0)
        words = last_words(self._stderr.read()[-_LAST_SAID:].decode(errors="replace"))
        said = f": {words[:200]}" if words else ""
        return WorkerDied(f"a measuring process ended unexpectedly (exit code {code}){said}")

    def stuck(self) -> WorkerDied:
        """The error to raise when the process is there and does nothing; it is ended."""
        self._process.kill()
        return WorkerDied(
            f"a measuring process did not answer for {_SILENT_WORKER_S:g} s and was ended; its requests in flight are "
            "lost"
        )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

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


class _Patience:
    """How long the parent waits for a worker that says nothing, or does not end when it is told to."""

    def __init__(self) -> None:
        self._since = self._looked = time.monotonic()
        self._end_by: float | None = None

    def end_within_s(self) -> None:
        """From now on the workers are expected to end."""
        self._end_by = time.monotonic() + _SILENT_WORKER_S

    def check(self, busy: Iterable[WorkerHandle]) -> None:
        """Raises WorkerDied for a busy worker that is stuck."""
        now = time.monotonic()
        if now - self._looked > _HELD_UP_S:  # this process was: what it did not hear is not the workers' fault
            self._since = now
        self._looked = now
        for worker in busy:
            if now - max(worker.heard, self._since) > _SILENT_WORKER_S or now > (self._end_by or now):
                raise worker.stuck()


class SegmentListener(Protocol):
    """What hears of a segment while it runs, in the order in which the parent hears of it."""

    @property
    def look(self) -> Look:
        """What tells how a request ended, where that is asked for on another machine."""

    def measuring(self) -> None:
        """The warm-ups are done."""

    def sent(self, sent: FinishedRequest) -> None:
        """A request has ended."""

    def ended(self, ended: Ended) -> None:
        """A request has ended, and is kept where it was measured."""

    def fetched(self, sent: FinishedRequest) -> None:
        """It was fetched from there, once the segment was over."""

    def quiet(self, worker: int, quiet_ns: int | None) -> None:
        """How long one of the workers has heard nothing from the server; None while it expects nothing."""

    def known_until(self, worker: int, at_ns: int) -> None:
        """Every request that one of the workers keeps, and that had ended by then, has been told of."""

    def why_stop(self) -> Stop | None:
        """Asked about ten times a second: why the segment is to be stopped, None while it is not."""

    def cut_short(self, end: SegmentEnd) -> None:
        """A worker is gone, which is raised next; this is what the others measured until then."""


class Driver:
    """Runs one segment after the other on its workers."""

    def __init__(self, workers: Sequence[WorkerHandle]) -> None:
        self._workers = workers
        self._selector = selectors.DefaultSelector()
        for worker in workers:
            self._selector.register(worker.fd, selectors.EVENT_READ, worker)

    @property
    def keeps_requests(self) -> bool:
        """Whether requests are kept elsewhere until their segment has ended."""
        return any(worker.keeps_requests for worker in self._workers)

    def wait_ready(self) -> Ready:
        """What loop and stamps the workers use. Raises WorkerDied if one does not come up."""
        deadline = time.monotonic() + _START_WAIT_S
        while not all(worker.ready for worker in self._workers):  # one that is used again said so long ago
            for worker, message in self._messages():
                if isinstance(message, Ready):
                    worker.ready = message
            if time.monotonic() > deadline:
                raise WorkerDied(f"a measuring process did not start within {_START_WAIT_S:g} s")
        assert self._workers[0].ready is not None
        return self._workers[0].ready

    def run(self, jobs: Sequence[Job], stagger_ns: int | None, listener: SegmentListener) -> SegmentEnd:
        """Run one segment, a job for each worker, and return its merged marks.

        `stagger_ns` is the spread of the slots' starts; None takes the mean response time of the warm-ups. Raises
        WorkerDied when a worker is gone or stuck.
        """
        ends: dict[WorkerHandle, SegmentEnd] = {}
        try:
            self._measure(jobs, stagger_ns, listener, ends)
        except WorkerDied as death:
            self._save(jobs[0].segment, death, listener, ends)
            raise
        for sent in _in_order(self._workers):
            listener.fetched(sent)
        return merge_ends([ends[worker] for worker in self._workers])

    def _measure(
        self,
        jobs: Sequence[Job],
        stagger_ns: int | None,
        listener: SegmentListener,
        ends: dict[WorkerHandle, SegmentEnd],
    ) -> None:
        """Have the workers measure until each has said how its part ended."""
        for worker, job in zip(self._workers, jobs, strict=True):
            worker.begin(job, listener.look)
        warm: list[Warm] = []
        stopped: Stop | None = None
        patience = _Patience()
        while len(ends) < len(self._workers):
            if stopped is None and (stopped := listener.why_stop()) is not None:
                self._stop(jobs[0].segment, stopped)
                patience.end_within_s()
            patience.check([worker for worker in self._workers if worker not in ends])
            for worker, message in self._messages():
                if isinstance(message, FinishedRequest):
                    listener.sent(message)
                elif isinstance(message, Ended):
                    listener.ended(message)
                elif isinstance(message, Alive):
                    listener.quiet(self._workers.index(worker), message.quiet_ns)
                    if worker.keeps_requests:
                        listener.known_until(self._workers.index(worker), message.said_ns)
                elif isinstance(message, SegmentEnd):
                    ends[worker] = message
                elif isinstance(message, Warm):
                    warm.append(message)
                    # What failed last may have been heard of in this very read.
                    is_ready = len(warm) == len(self._workers) and stopped is None
                    if is_ready and listener.why_stop() is None:
                        listener.measuring()
                        self._go(jobs, warm, stagger_ns)

    def _save(
        self, segment: str, death: WorkerDied, listener: SegmentListener, ends: dict[WorkerHandle, SegmentEnd]
    ) -> None:
        """End a segment that lost a worker, and fetch what the others kept of it, as far as they answer."""
        left = [worker for worker in self._workers if worker.keeps_requests and worker.is_running]
        for worker in self._workers:
            if worker not in left:
                with contextlib.suppress(KeyError):  # it has been let go of before
                    self._selector.unregister(worker.fd)
        why = Stop("node", str(death))
        try:
            for worker in left:
                if worker not in ends:
                    worker.send(EndSegment(segment, why))
            until = time.monotonic() + _SAVE_WAIT_S
            while any(worker not in ends for worker in left) and time.monotonic() < until:
                ends |= {worker: said for worker, said in self._messages() if isinstance(said, SegmentEnd)}
            ended = [worker for worker in left if worker in ends]
            for sent in _in_order(ended):
                listener.fetched(sent)
        except WorkerDied:  # one more: the first one is raised
            return
        if ended:
            listener.cut_short(replace(merge_ends([ends[worker] for worker in ended]), stopped=why))

    def _stop(self, segment: str, why: Stop) -> None:
        for worker in self._workers:
            worker.send(EndSegment(segment, why))

    def _go(self, jobs: Sequence[Job], warm: Sequence[Warm], stagger_ns: int | None) -> None:
        if stagger_ns is None:
            means = [message.mean_response_ns for message in warm if message.mean_response_ns is not None]
            stagger_ns = sum(means) // len(means) if means else 0
        offsets = stagger_offsets(sum(len(job.slots) for job in jobs), stagger_ns)
        start_ns = now_ns() + max(worker.head_start_ns for worker in self._workers)
        for worker, job in zip(self._workers, jobs, strict=True):
            worker.send(Go(start_ns, [offsets[slot] for slot in job.slots]))

    def _messages(self) -> Iterator[tuple[WorkerHandle, Any]]:
        """What the workers have said within the next tenth of a second, and which one said it."""
        for key, _ in self._selector.select(timeout=0.1):
            for message in key.data.read():
                yield key.data, message

    def close(self) -> None:
        self._selector.close()
        for worker in self._workers:
            worker.close()


def last_words(stderr: str) -> str:
    """What a process said last: the exception's own words where it is a traceback, also that of a group."""
    lines = [_TREE.sub("", line).rstrip() for line in stderr.splitlines()]
    lines = [line for line in lines if line.strip("- ")]
    frames = [place for place, line in enumerate(lines) if line.startswith(" ")]
    said = lines[frames[-1] + 1 :] if frames else []
    return " ".join(said or lines[-1:]).strip()


def _in_order(workers: Iterable[WorkerHandle]) -> Iterator[FinishedRequest]:
    """What the workers kept of a segment, in the order in which it ended."""
    return heapq.merge(*(worker.kept() for worker in workers), key=lambda sent: sent.timing.end_ns or 0)


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
        nodes=tuple(node for end in ends for node in end.nodes),
    )
