"""The timing model on a clock of its own: every deadline is exact, and nothing waits."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from statistics import mean
from typing import Any

import pytest

from lmx_loadgen.sim import engine as engine_module
from lmx_loadgen.sim.engine import MS, Engine
from lmx_loadgen.sim.settings import SimSettings


class World:
    """A timeline whose clock jumps from one deadline to the next."""

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = count()

    def at(self, due: int, call: Callable[[int], None]) -> None:
        heappush(self._heap, (due, next(self._order), call))

    def run(self) -> None:
        while self._heap:
            due, _, call = heappop(self._heap)
            self.now = max(self.now, due)
            call(due)


class Sequence:
    """A job that notes, in ms, when it got its slot and its tokens."""

    burst = False

    def __init__(self, world: World, tokens: int, prefill_ms: float = 10.0) -> None:
        self.alive = True
        self.prefill_ns = int(prefill_ms * MS)
        self.world, self.wanted = world, tokens
        self.slot: float | None = None
        self.times: list[float] = []

    def admitted(self, now: int) -> None:
        self.slot = now / MS

    def token(self, due: int) -> bool:
        self.times.append(due / MS)
        return len(self.times) < self.wanted

    def pour(self, due: int, release: Callable[[], None]) -> None:
        raise AssertionError("no burst was asked for")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(engine_module, "now_ns", lambda: world.now)
    return world


def engine_on(world: World, **settings: Any) -> Engine:
    return Engine(SimSettings(**({"step_ms": 20.0} | settings)), world)  # type: ignore[arg-type]


def test_one_sequence_gets_its_tokens_on_the_step(world: World) -> None:
    engine, job = engine_on(world), Sequence(world, 4)
    engine.submit(job)
    world.run()
    assert job.times == [10, 30, 50, 70]
    assert engine.running == 0


def test_a_batch_steps_together_and_takes_longer_the_larger_it_is(world: World) -> None:
    engine = engine_on(world, step_ms_per_seq=5.0)
    jobs = [Sequence(world, 3) for _ in range(4)]
    for job in jobs:
        engine.submit(job)
    world.run()
    # The first to finish prefill starts a step alone (25 ms); the others join the next, of four (40 ms).
    assert jobs[0].times == [10, 35, 75]
    assert {tuple(job.times) for job in jobs[1:]} == {(10, 75, 110)}


def test_a_newcomer_waits_for_the_running_step(world: World) -> None:
    engine, first, late = engine_on(world), Sequence(world, 5), Sequence(world, 2, prefill_ms=35)
    engine.submit(first)
    engine.submit(late)
    world.run()
    assert first.times == [10, 30, 50, 70, 90]
    assert late.times == [35, 70]


def test_independent_sequences_do_not_wait_for_each_other(world: World) -> None:
    engine = engine_on(world, engine="independent", step_ms_per_seq=5.0)
    jobs = [Sequence(world, 3, prefill_ms) for prefill_ms in (10, 17)]
    for job in jobs:
        engine.submit(job)
    world.run()
    assert [job.times for job in jobs] == [[10, 35, 60], [17, 42, 67]]


def test_a_slot_is_handed_on_in_order_and_the_gone_are_passed_over(world: World) -> None:
    engine = engine_on(world, slots=1, queue_limit=2)
    first, gone, last = (Sequence(world, 2) for _ in range(3))
    assert not engine.full()
    engine.submit(first)
    engine.submit(gone)
    engine.submit(last)
    assert (engine.running, engine.waiting, engine.full()) == (1, 2, True)
    gone.alive = False
    assert not engine.full()
    world.run()
    assert (first.slot, first.times) == (0, [10, 30])
    assert (gone.slot, gone.times) == (None, [])
    assert (last.slot, last.times) == (30, [40, 60])
    assert engine.running == 0


@pytest.mark.parametrize("kind", ["batch", "independent"])
def test_a_client_that_goes_frees_its_slot(kind: str, world: World) -> None:
    engine = engine_on(world, slots=1, engine=kind)
    leaver, waiter = Sequence(world, 1000), Sequence(world, 1)
    engine.submit(leaver)
    engine.submit(waiter)
    world.at(55 * MS, lambda due: setattr(leaver, "alive", False))
    world.run()
    assert len(leaver.times) == 3
    assert waiter.slot == 70


@pytest.mark.parametrize("kind", ["batch", "independent"])
def test_a_late_wake_up_does_not_shift_what_follows(kind: str, world: World) -> None:
    engine, job = engine_on(world, engine=kind), Sequence(world, 5)
    engine.submit(job)

    def nap(due: int) -> None:
        world.now += 15 * MS  # the loop was busy with something else

    world.at(29 * MS, nap)
    world.run()
    assert job.times == [10, 30, 50, 70, 90]


def test_jitter_is_seeded_and_keeps_the_mean(world: World) -> None:
    def gaps(seed: int) -> list[float]:
        engine, job = engine_on(world, jitter=0.3, seed=seed), Sequence(world, 2000)
        engine.submit(job)
        world.run()
        return [later - earlier for earlier, later in zip(job.times, job.times[1:], strict=False)]

    first = gaps(1)
    assert first == pytest.approx(gaps(1), abs=1e-3)
    assert first[:5] != gaps(2)[:5]
    assert mean(first) == pytest.approx(20, rel=0.05)
    assert min(first) < 12 < 30 < max(first)


def test_the_server_slows_down_by_the_share_a_minute(world: World) -> None:
    engine, job = engine_on(world, slowdown=0.5, step_ms=1000.0), Sequence(world, 100)
    engine.submit(job)
    world.run()
    gaps = [later - earlier for earlier, later in zip(job.times, job.times[1:], strict=False)]
    assert gaps[0] == pytest.approx(1000, rel=0.01)
    at_two_minutes = next(i for i, time in enumerate(job.times) if time > 120_000)
    assert gaps[at_two_minutes] == pytest.approx(2000, rel=0.02)
