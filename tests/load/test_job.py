"""A job over real sockets: what any kind of schedule says is due is sent on a free connection."""

import asyncio
import socket
from collections.abc import Callable

import anyio
import httpx
import pytest

from lmx_loadgen.load.alarm import Alarm
from lmx_loadgen.load.health import LagMeter
from lmx_loadgen.load.job import JobRun
from lmx_loadgen.load.messages import FinishedRequest, Go, Job
from lmx_loadgen.load.pool import ConnectionPool
from lmx_loadgen.load.request import Turn
from lmx_loadgen.load.schedules import schedule_of
from lmx_loadgen.load.sender import Sender
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.wire.stamps import StampSource
from lmx_loadgen.wire.timing import Limits, RequestTiming
from lmx_loadgen.wire.transport import StampedTransport
from tests.helpers.jobs import a_job
from tests.helpers.scripted import HANG, HEAD, chunked, delta, serving

SOON_S = 30
WHOLE = chunked(delta("a"), b"data: [DONE]\n\n")


class WatchedSender(Sender):
    """Knows which connection each slot's measured requests went out on."""

    def __init__(self, job: Job, emit: Callable[[FinishedRequest], None], meter: LagMeter) -> None:
        super().__init__(job, emit, meter)
        self.used: set[tuple[int, StampedTransport]] = set()
        self.connecting = self.most_connecting = self.connects = 0

    async def connect(self, connection: StampedTransport) -> None:
        self.connects += 1
        self.connecting += 1
        self.most_connecting = max(self.most_connecting, self.connecting)
        try:
            await super().connect(connection)
        finally:
            self.connecting -= 1

    async def send(
        self, connection: StampedTransport, turn: Turn, request: httpx.Request | None = None
    ) -> RequestTiming:
        if turn.phase == "measured":
            self.used.add((turn.slot, connection))
        return await super().send(connection, turn, request)


class Bench:
    """One worker's parts around a job, and the requests that were emitted."""

    def __init__(self, job: Job, pool: ConnectionPool) -> None:
        self.finished: list[FinishedRequest] = []
        self._meter = LagMeter(asyncio.get_running_loop())
        self._alarm = Alarm()
        self.sender = WatchedSender(job, self.finished.append, self._meter)
        self.run = JobRun(job, schedule_of(job), self.sender, pool, self._meter, self._alarm)

    async def measure(self) -> None:
        async with asyncio.timeout(SOON_S):
            await self.run.prepare()
            await self.run.measure(Go(now_ns(), [0] * len(self.run.job.slots)))
        self._meter.close()
        self._alarm.close()


def a_pool() -> ConnectionPool:
    return ConnectionPool(StampSource.LOOP, None)


def numbers(bench: Bench) -> list[int]:
    return sorted(one.number for one in bench.finished)


def test_an_open_loop_drops_what_finds_as_many_in_flight_as_may_be() -> None:
    async def work() -> None:
        gate = asyncio.Event()
        async with serving([HEAD, gate, WHOLE]) as server:
            bench = Bench(a_job(url=server.url, slots=[0, 1, 2], due_ns=[0] * 5, horizon_ns=1), a_pool())

            def emitted(one: FinishedRequest) -> None:
                bench.finished.append(one)
                if len(bench.finished) == 2:
                    gate.set()

            bench.sender._emit = emitted
            await bench.measure()
            assert server.connections == 3
        assert numbers(bench) == [0, 1, 2, 3, 4]
        assert [one.timing.failure and one.timing.failure[0] for one in bench.finished] == ["dropped"] * 2 + [None] * 3
        assert [one.slot for one in bench.finished if one.timing.failure is None] == [0, 1, 2]
        assert all(one.timing.send_ns is None for one in bench.finished if one.timing.failure is not None)

    asyncio.run(work())


def test_an_open_loop_waits_for_no_answer_and_never_sends_before_its_time() -> None:
    async def work() -> None:
        gate = asyncio.Event()
        async with serving([HEAD, gate, WHOLE]) as server:
            job = a_job(
                url=server.url, slots=[0, 1, 2, 3], due_ns=[0, 5_000_000, 20_000_000], horizon_ns=1, order=[0, 0]
            )
            bench = Bench(job, a_pool())
            async with asyncio.timeout(SOON_S), anyio.create_task_group() as group:
                group.start_soon(bench.measure)
                while len(server.requests) < 3:
                    await asyncio.sleep(0)
                gate.set()
        starts = {one.number: one.intended_ns for one in bench.finished}
        assert [starts[number] - starts[0] for number in range(3)] == [0, 5_000_000, 20_000_000]
        assert all((one.timing.send_ns or 0) >= one.intended_ns for one in bench.finished)

    asyncio.run(work())


def test_a_free_connection_serves_whichever_request_comes_next() -> None:
    async def work() -> None:
        async with serving([HEAD, WHOLE]) as server:
            pool = a_pool()
            closed = Bench(a_job(url=server.url, slots=[0, 1], requests=6), pool)
            await closed.measure()
            due = Bench(a_job(url=server.url, slots=[0, 1], due_ns=[0, 0], horizon_ns=1), pool)
            await due.measure()
            assert server.connections == 2
        assert numbers(due) == [0, 1]
        assert all(one.timing.connect_start_ns is None for one in due.finished)

    asyncio.run(work())


@pytest.mark.parametrize("warmup", [0, 2])
def test_each_slot_of_a_closed_loop_keeps_its_connection(warmup: int) -> None:
    async def work() -> None:
        async with serving([HEAD, WHOLE]) as server:
            bench = Bench(a_job(url=server.url, slots=[0, 1, 2], requests=30, warmup=warmup), a_pool())
            await bench.measure()
            assert server.connections == 3
        measured = [one for one in bench.finished if one.phase == "measured"]
        assert len(measured) == 30
        assert sum(one.first_wave for one in measured) == 3
        slots, connections = zip(*bench.sender.used, strict=True)
        assert len(bench.sender.used) == len(set(slots)) == len(set(connections)) == 3

    asyncio.run(work())


def test_a_request_that_is_cancelled_says_why_and_its_connection_is_free_again() -> None:
    async def work() -> None:
        async with serving([HEAD, HANG], [HEAD, WHOLE]) as server:
            pool = a_pool()
            job = a_job(url=server.url, requests=1)
            stopped = Bench(job, pool)
            with anyio.CancelScope() as scope:
                async with asyncio.timeout(SOON_S), anyio.create_task_group() as group:
                    group.start_soon(stopped.measure)
                    while not server.requests:
                        await asyncio.sleep(0)
                    stopped.sender.stopped = Stop("errors", "too many errors")
                    scope.cancel()
            again = Bench(job, pool)
            await again.measure()
        assert [one.timing.failure for one in stopped.finished] == [("cancelled", "too many errors")]
        assert [one.timing.failure for one in again.finished] == [None]
        assert {connection for _, connection in again.sender.used} == {c for _, c in stopped.sender.used}

    asyncio.run(work())


@pytest.mark.parametrize(("workers", "at_once"), [(1, 64), (4, 16), (100, 1)])
def test_connections_are_opened_ahead_of_the_load_and_a_few_at_a_time(workers: int, at_once: int) -> None:
    async def work() -> None:
        async with serving([HEAD, WHOLE]) as server:
            job = a_job(url=server.url, slots=list(range(150)), requests=150, step=workers)
            bench = Bench(job, a_pool())
            await bench.run.prepare()
            assert server.connections == 150
            assert bench.sender.most_connecting == at_once
            await bench.measure()
        assert all(one.timing.failure is None and one.timing.connect_start_ns is None for one in bench.finished)

    asyncio.run(work())


def test_where_a_server_refuses_no_other_connection_is_waited_for() -> None:
    async def work() -> None:
        async with serving([HEAD, WHOLE]) as server:
            url = server.url
        bench = Bench(a_job(url=url, slots=list(range(150)), requests=150), a_pool())
        await bench.run.prepare()
        assert 1 <= bench.sender.connects <= 64
        await bench.run.measure(Go(now_ns(), [0] * 150))
        assert [one.timing.failure for one in bench.finished[:150]] == [("connect_error", "Connection refused")] * 150

    asyncio.run(work())


def test_what_a_full_listen_queue_keeps_out_is_named() -> None:
    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:  # nobody accepts
            url = "http://{}:{}/v1/chat/completions".format(*listener.getsockname())
            limits = Limits(connect=0.4, first_token=0.4, gap=0.4, request=0.4)
            bench = Bench(a_job(url=url, slots=list(range(10)), requests=10, limits=limits), a_pool())
            await bench.measure()
        outcomes = dict(one.timing.failure for one in bench.finished if one.timing.failure is not None)
        assert len(bench.finished) == 10
        assert (
            outcomes["connect_timeout"] == "no connection after 0.4 s (host unreachable, or its listen queue is full)"
        )
        assert set(outcomes) <= {"connect_timeout", "first_token_timeout", "request_timeout"}

    asyncio.run(work())
