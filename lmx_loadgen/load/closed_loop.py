"""A closed loop: a fixed number of slots, each sending its next request when its last one has ended."""

import asyncio
import contextlib
import hashlib
import math
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import httpx

from lmx_loadgen.load.health import LagMeter
from lmx_loadgen.load.messages import FinishedRequest, Go, Job, SegmentEnd
from lmx_loadgen.load.schedule import sleep_until
from lmx_loadgen.load.sender import build, perform
from lmx_loadgen.system import host
from lmx_loadgen.system.clock import NS, now_ns
from lmx_loadgen.wire.ending import HELD_OPEN
from lmx_loadgen.wire.timing import RequestTiming
from lmx_loadgen.wire.transport import StampedTransport

_FIRST_BACKOFF_S = 0.1
_MAX_BACKOFF_S = 2.0
_MAX_RETRY_AFTER_S = 30.0
# How a stream ends that says it failed, in the ways servers do. A slot only goes slower for it; what counts as failed
# is decided later, from decoded events.
_ERROR_SAID = re.compile(rb'(?:^|\n)(?:event: ?error|data: ?\{ ?"error")|"\\n\\n\[Error: ')
_LOOK_AT = 4096

Emit = Callable[[FinishedRequest], None]


def nonce_for(key: str, phase: str, number: int, repeat: bool) -> str:
    """Sixteen hexadecimal characters, never the same twice in a run (always the same with `repeat`)."""
    text = key if repeat else f"{key}/{phase}/{number}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass
class Work:
    """What is left to send in this segment, shared by this worker's slots, and the marks of its course."""

    job: Job
    taken: int = 0
    deadline_ns: int | None = None
    start_ns: int | None = None
    first_sends: list[int] = field(default_factory=list)
    drain_start_ns: int | None = None

    def left_s(self) -> float:
        """For how many seconds there may be something to send; 0 when there is nothing more."""
        if self.job.requests is not None and self.taken >= self.job.requests:
            return 0.0
        return math.inf if self.deadline_ns is None else max(0.0, (self.deadline_ns - now_ns()) / NS)

    def take(self) -> int | None:
        """The number of the next request, or None when the level has no more."""
        if not self.left_s():
            if self.drain_start_ns is None:
                self.drain_start_ns = now_ns()
            return None
        number = self.job.first + self.taken * self.job.step
        self.taken += 1
        return number


class ClosedLoop:
    """Runs one job: `prepare` connects and warms up, `measure` runs the loop. Each request is emitted as it ends."""

    def __init__(self, job: Job, transports: dict[int, StampedTransport], emit: Emit, meter: LagMeter) -> None:
        self.job = job
        self.emit = emit
        self.meter = meter
        self.work = Work(job)
        self._transports = transports
        self._url = httpx.URL(job.url)
        self._headers = httpx.Headers(job.headers)
        self._warm_ns: list[int] = []
        self._quiet_from_ns: int | None = None
        self.stop_reason: str | None = None
        self._cpu_start = _cpu_s()
        self._began_ns = now_ns()

    async def prepare(self) -> int | None:
        """Open the connections and run the warm-ups; the mean response time of those that went well, in ns."""
        self._quiet_from_ns = now_ns()
        async with anyio.create_task_group() as group:
            for slot in self.job.slots:
                group.start_soon(self._warm_up, slot)
        self._quiet_from_ns = None
        self._warm_ns.sort()
        return sum(self._warm_ns) // len(self._warm_ns) if self._warm_ns else None

    async def _warm_up(self, slot: int) -> None:
        for turn in range(self.job.warmup):
            number = slot * self.job.warmup + turn
            template = number % len(self.job.warmup_templates)
            timing = await self._send(slot, number, "warmup", template, now_ns(), first_wave=False)
            if timing.failure is None and timing.send_ns is not None and timing.end_ns is not None:
                self._warm_ns.append(timing.end_ns - timing.send_ns)
        with contextlib.suppress(Exception):  # the slot's first request will meet the same fault and record it
            await self._transports[slot].connect(self._url, self.job.limits)

    async def measure(self, go: Go) -> None:
        """Run the loop from `go.start_ns` until the work is done and every request has ended."""
        self._cpu_start, self._began_ns = _cpu_s(), now_ns()
        self._quiet_from_ns = go.start_ns + max(go.offsets_ns, default=0)
        self.work.start_ns = go.start_ns
        if self.job.duration_ns is not None:
            self.work.deadline_ns = go.start_ns + self.job.duration_ns
        async with anyio.create_task_group() as group:
            for slot, offset in zip(self.job.slots, go.offsets_ns, strict=True):
                group.start_soon(self._run_slot, slot, go.start_ns + offset)

    def quiet_since_ns(self) -> int | None:
        """When the last byte came on any connection, or since when one may be expected; None while none is."""
        if self._quiet_from_ns is None:
            return None
        return max(self._quiet_from_ns, *(transport.heard_ns for transport in self._transports.values()), 0)

    async def _run_slot(self, slot: int, start_ns: int) -> None:
        await sleep_until(start_ns)
        intended, first, failures = max(start_ns, self.work.start_ns or 0), True, 0
        while (number := self.work.take()) is not None:
            template = self.job.order[number % len(self.job.order)]
            timing = await self._send(slot, number, "measured", template, intended, first_wave=first)
            if first:
                self.work.first_sends.append(timing.send_ns or now_ns())
            first = False
            failures = failures + 1 if _failed(timing) else 0
            if failures:
                wait_s = min(backoff_s(failures, timing), self.work.left_s())
                await sleep_until(now_ns() + math.ceil(wait_s * NS))
            # Where the slot first waited for the end of a body that was left open, its next request is due only now.
            intended = now_ns() if failures or HELD_OPEN in timing.notes else (timing.end_ns or now_ns())

    async def _send(
        self, slot: int, number: int, phase: str, template: int, intended_ns: int, *, first_wave: bool
    ) -> RequestTiming:
        job = self.job
        nonce = nonce_for(job.nonce_key, phase, number, job.repeat)
        body = (job.templates if phase == "measured" else job.warmup_templates)[template].fill(nonce)
        request = build(self._url, self._headers, body, job.limits)
        timing: RequestTiming = request.extensions["trace"]
        try:
            await perform(self._transports[slot], request)
        except asyncio.CancelledError:
            if timing.failure is None or timing.failure[0] == "cancelled":
                timing.failure = ("cancelled", self.stop_reason or "the run was stopped")
            raise
        finally:
            timing.end_ns = timing.end_ns or now_ns()
            began = timing.send_ns if timing.send_ns is not None else intended_ns
            lag = self.meter.worst_between(began, timing.end_ns)
            stalls = self.meter.stalls_at(self._stamped_by_loop(slot, timing))
            self.emit(
                FinishedRequest(
                    job.segment, slot, number, phase, first_wave, template, nonce, intended_ns, timing, lag, stalls
                )
            )
        return timing

    def _stamped_by_loop(self, slot: int, timing: RequestTiming) -> list[int]:
        """The moments of a request that a stall of the loop falsifies: its send; and its reads, where the kernel does
        not say when they came."""
        if timing.send_ns is None:
            return []
        by_kernel = self._transports[slot].stamped_by_kernel(self._url)
        return [timing.send_ns] if by_kernel else [timing.send_ns, *timing.arrival_ns]

    def end(self, stopped: str | None) -> SegmentEnd:
        """The marks of the segment, once it is over."""
        work, now = self.work, now_ns()
        all_started = len(work.first_sends) == len(self.job.slots)
        elapsed, cpu_s = (now - self._began_ns) / NS, _cpu_s() - self._cpu_start
        return SegmentEnd(
            segment=self.job.segment,
            start_ns=work.start_ns,
            ramp_end_ns=max(work.first_sends, default=work.start_ns) if all_started else None,
            drain_start_ns=work.drain_start_ns,
            end_ns=now,
            stopped=stopped,
            cpu_share=cpu_s / elapsed if elapsed > 0 else None,
            cpu_s=cpu_s,
            peak_rss_bytes=host.peak_rss_bytes(),
            lag_max_ns=self.meter.worst_between(self._began_ns, now),
        )


def backoff_s(failures: int, timing: RequestTiming) -> float:
    """How long a slot waits after so many failures in a row: twice as long each time up to two seconds, and as long as
    the server asks for in `Retry-After`, up to half a minute."""
    own = min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * float(2 ** min(failures - 1, 10)))
    asked = next((value for name, value in timing.headers if name == b"retry-after"), b"").strip()
    return max(own, min(_MAX_RETRY_AFTER_S, float(asked))) if asked.isdigit() and len(asked) < 10 else own


def _failed(timing: RequestTiming) -> bool:
    """Whether this is a request to wait after, as far as its bytes tell without decoding them."""
    if timing.failure is not None or timing.status is None or not 200 <= timing.status < 300:
        return True
    if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in timing.headers):
        return False
    if timing.first_text_ns is None:
        return True
    tail = timing.body[-_LOOK_AT:]
    # The pattern alone takes 100 µs for every answer, in which no other arrival could be read.
    return b"rror" in tail and _ERROR_SAID.search(tail) is not None


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
