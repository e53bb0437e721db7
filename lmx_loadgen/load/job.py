"""One job from its warm-ups to its marks: waits for what the schedule says is due, and has it sent."""

import resource

import anyio
import anyio.lowlevel
import httpx
from anyio.abc import TaskGroup

from lmx_loadgen.load.alarm import Alarm
from lmx_loadgen.load.health import LagMeter
from lmx_loadgen.load.messages import Go, Job, SegmentEnd
from lmx_loadgen.load.pool import ConnectionPool
from lmx_loadgen.load.request import Turn
from lmx_loadgen.load.schedule import Schedule
from lmx_loadgen.load.sender import Sender
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.load.timer import sleep_until
from lmx_loadgen.system import host
from lmx_loadgen.system.clock import NS, now_ns
from lmx_loadgen.wire.transport import StampedTransport

# So long before its turn a request gets a task, which then waits for the moment itself: a loop that is held up for less
# starts none late for want of one.
_AHEAD_NS = NS
# So long before it is due a request takes a connection: the way from there to its first byte takes about as long, and
# what is left of it is waited for just before that byte.
_LEAD_NS = 150_000
_STARTED_AT_ONCE = 50
# So many connections are opened at once, by all workers together, ahead of the load: half of what macOS queues for a
# server that is busy elsewhere, and drops what is beyond.
CONNECTING_AT_ONCE = 64


class JobRun:
    """Runs one job: `prepare` connects and warms up, `measure` sends what the schedule says, when it says so."""

    def __init__(
        self, job: Job, schedule: Schedule, sender: Sender, pool: ConnectionPool, meter: LagMeter, alarm: Alarm
    ) -> None:
        self.job = job
        self.sender = sender
        self._schedule = schedule
        self._pool = pool
        self._meter = meter
        self._alarm = alarm
        self._warm_ns: list[int] = []
        self._warming_from_ns: int | None = None
        self._gate = anyio.CapacityLimiter(max(1, CONNECTING_AT_ONCE // job.step))
        self._opens_ahead = True
        self._cpu_start = _cpu_s()
        self._began_ns = now_ns()

    async def prepare(self) -> int | None:
        """Open the connections and run the warm-ups; the mean response time of those that went well, in ns."""
        self._warming_from_ns = now_ns()
        slots = self.job.warmup_slots
        connections = [self._pool.take() for _ in slots]
        try:
            async with anyio.create_task_group() as group:
                for slot, connection in zip(slots, connections, strict=True):
                    group.start_soon(self._warm_up, slot, connection)
        finally:
            for connection in connections:
                self._pool.give_back(connection)
        self._warming_from_ns = None
        return sum(self._warm_ns) // len(self._warm_ns) if self._warm_ns else None

    async def _warm_up(self, slot: int, connection: StampedTransport) -> None:
        await self._connect(connection)
        for place in range(self.job.warmup):
            number = slot * self.job.warmup + place
            template = number % len(self.job.warmup_templates)
            timing = await self.sender.send(connection, Turn(slot, now_ns(), number, template, "warmup"))
            if timing.failure is None and timing.send_ns is not None and timing.end_ns is not None:
                self._warm_ns.append(timing.end_ns - timing.send_ns)
        await self._connect(connection)

    async def _connect(self, connection: StampedTransport) -> None:
        """Open a connection in its turn. Once one fails, no other is waited for: the first request on each will meet
        the same fault, and record it."""
        async with self._gate:
            if self._opens_ahead:
                try:
                    await self.sender.connect(connection)
                except httpx.TransportError:
                    self._opens_ahead = False

    async def measure(self, go: Go) -> None:
        """Send from `go.start_ns` on, until nothing more is due and every request has ended."""
        self._cpu_start, self._began_ns = _cpu_s(), now_ns()
        async with anyio.create_task_group() as group:
            await self._start_turns(go, group)

    async def _start_turns(self, go: Go, group: TaskGroup) -> None:
        take = self._take_due_turn if self._schedule.KNOWN_AHEAD else self._take_turn
        for place, turn in enumerate(self._schedule.begin(go), 1):
            if place % _STARTED_AT_ONCE == 0:  # else thousands that are due within a second would hold up the first
                await anyio.lowlevel.checkpoint()
            if (early_ns := turn.due_ns - _AHEAD_NS - now_ns()) > 0:
                await anyio.sleep(early_ns / NS)
            group.start_soon(take, turn)

    async def _take_turn(self, turn: Turn) -> None:
        """Send the request whose turn it is, and then those whose turn its end makes it, all on one connection.

        A slot of a closed loop spends its life in here: between the end of one request and the next send nothing is
        looked up, allocated or waited for.
        """
        schedule, sender = self._schedule, self.sender
        await sleep_until(turn.due_ns)
        if not schedule.claim(turn):
            return
        connection = self._pool.take()
        try:
            while True:
                timing = await sender.send(connection, turn)
                if not schedule.after(turn, timing):
                    return
                if turn.due_ns > (timing.end_ns or 0):
                    await sleep_until(turn.due_ns)
                if not schedule.claim(turn):
                    return
        finally:
            self._pool.give_back(connection)

    async def _take_due_turn(self, turn: Turn) -> None:
        """Send a request of an open loop when it is due, made ahead of that; or say that it is dropped."""
        request = self.sender.made(turn)
        request.extensions["not_before_ns"] = turn.due_ns
        await self._alarm.until(turn.due_ns - _LEAD_NS)
        if not self._schedule.claim(turn):
            self.sender.drop(turn)
            return
        connection = self._pool.take()
        try:
            self._schedule.after(turn, await self.sender.send(connection, turn, request))
        finally:
            self._pool.give_back(connection)

    def quiet_since_ns(self) -> int | None:
        """When the last byte came on any connection, or since when one may be expected; None while none is."""
        awaited_ns = self._warming_from_ns or self._schedule.awaited_from_ns()
        return None if awaited_ns is None else max(awaited_ns, self._pool.heard_ns())

    def end(self, stopped: Stop | None) -> SegmentEnd:
        """The marks of the segment, once it is over."""
        now, cpu_s = now_ns(), _cpu_s() - self._cpu_start
        elapsed = (now - self._began_ns) / NS
        return SegmentEnd(
            segment=self.job.segment,
            **self._schedule.marks(),
            end_ns=now,
            stopped=stopped,
            cpu_share=cpu_s / elapsed if elapsed > 0 else None,
            cpu_s=cpu_s,
            peak_rss_bytes=host.peak_rss_bytes(),
            lag_max_ns=self._meter.worst_between(self._began_ns, now),
        )


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
