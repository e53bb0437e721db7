"""A run under an event loop, in a thread, stopped and cancelled: what it does, and what it leaves alone."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from lmx_loadgen.errors import InputError, Interrupted
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.profile.models import Load, Profile, Request, TargetSpec
from lmx_loadgen.session import run as session_run
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.outcome import RunOutcome
from lmx_loadgen.session.run import run, run_blocking
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import read_result


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    with start(SimSettings(ttft_ms=2.0, step_ms=1.0, prefill_tok_s=None)) as running:
        yield running


def profile(sim: SimProcess, requests: int = 2, **load: Any) -> Profile:
    return Profile(
        targets=[TargetSpec(name="sim", url=sim.url)],
        load=Load(requests=requests, warmup=0, **load),
        request=Request(max_tokens=4),
    )


class After(Silent):
    """Calls something once so many requests have ended, and notes the threads that it is called on."""

    def __init__(self, requests: int = 0, then: Any = lambda: None) -> None:
        self.left = requests
        self.then = then
        self.threads: set[int] = set()

    def finished(self, *figures: Any) -> None:
        self.threads.add(threading.get_ident())
        self.left -= 1
        if self.left == 0:
            self.then()


OPTIONS = Options(Path("runs"), probe=False)


def test_it_runs_under_an_event_loop_that_goes_on_meanwhile(sim: SimProcess, tmp_path: Path) -> None:
    view, ticks = After(), []

    async def main() -> RunOutcome:
        async with anyio.create_task_group() as group:

            async def tick() -> None:
                while True:
                    ticks.append(1)
                    await anyio.sleep(0.005)

            group.start_soon(tick)
            outcome = await run(profile(sim), options=OPTIONS, stop=StopFlag(), base_dir=tmp_path, view=view)
            group.cancel_scope.cancel()
        return outcome

    outcome = asyncio.run(main())

    assert (outcome.stop, outcome.result.complete) == (None, True)
    assert outcome.folder.parent == tmp_path / "runs"
    assert read_result(outcome.folder) == outcome.result
    assert len(ticks) > 5
    assert threading.get_ident() not in view.threads


def policy() -> int:
    """How this thread is scheduled, where its system says."""
    return os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else 0


def test_it_runs_in_a_thread_and_handles_no_signal(
    sim: SimProcess, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python sets a handler of a signal in the main thread alone."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    made: list[RunOutcome] = []
    policies: list[int] = []

    def work() -> None:
        policies.append(policy())
        made.append(run_blocking(profile(sim), options=OPTIONS, stop=StopFlag(), base_dir=tmp_path, view=Silent()))

        policies.append(policy())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)

    assert made[0].result.complete
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert capfd.readouterr() == ("", "")
    assert policies == [policy()] * 2, "the thread goes on giving way"


def test_a_task_that_is_cancelled_keeps_what_was_measured(sim: SimProcess, tmp_path: Path) -> None:
    async def main() -> None:
        loop, begun = asyncio.get_running_loop(), asyncio.Event()
        view = After(3, lambda: loop.call_soon_threadsafe(begun.set))
        asked = profile(sim, 100_000)
        task = asyncio.create_task(run(asked, options=OPTIONS, stop=StopFlag(), base_dir=tmp_path, view=view))
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # by someone who does not know of the first
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    (folder,) = (tmp_path / "runs").iterdir()
    result, log = read_result(folder), read_log(folder / "events.jsonl")

    assert (result.complete, result.reason) == (False, "interrupted")
    assert result.targets[0].levels[0].requests.ok >= 3
    assert [line["stop_kind"] for line in log.segments] == ["interrupted"]
    assert log.end is not None


def test_a_cancelled_scope_of_anyio_keeps_it_too(sim: SimProcess, tmp_path: Path) -> None:
    async def main() -> bool:
        with anyio.CancelScope() as scope:
            loop = asyncio.get_running_loop()
            view = After(3, lambda: loop.call_soon_threadsafe(scope.cancel))
            asked = profile(sim, 100_000)
            await run(asked, options=OPTIONS, stop=StopFlag(), base_dir=tmp_path, view=view)
        return scope.cancelled_caught

    assert anyio.run(main)
    (folder,) = (tmp_path / "runs").iterdir()
    assert read_result(folder).reason == "interrupted"


def test_a_stop_may_come_from_any_thread_and_says_why(sim: SimProcess, tmp_path: Path) -> None:
    stop, why = StopFlag(), Stop("interrupted", "the client went away")
    view = After(3, lambda: threading.Thread(target=stop.set, args=(why,)).start())
    asked = profile(sim, 100_000)
    outcome = run_blocking(asked, options=OPTIONS, stop=stop, base_dir=tmp_path, view=view)

    assert outcome.stop == why
    assert outcome.result.reason == "the client went away"
    (level,) = outcome.result.targets[0].levels
    assert not any("stopped early" in note for note in level.notes)


def test_a_level_that_was_aborted_says_so_in_the_outcome(sim: SimProcess, tmp_path: Path) -> None:
    with start(SimSettings(ttft_ms=2.0, step_ms=1.0, prefill_tok_s=None, faults={"http_500": 1.0})) as bad:
        asked = profile(bad, 50, max_errors=3)
        outcome = run_blocking(asked, options=OPTIONS, stop=StopFlag(), base_dir=tmp_path, view=Silent())

    assert outcome.stop is not None
    assert outcome.stop.kind == "errors"
    assert outcome.result.reason == outcome.stop.message
    (line,) = read_log(outcome.folder / "events.jsonl").segments
    assert (line["stop_kind"], line["stopped"] in outcome.stop.message) == ("errors", True)


@pytest.mark.parametrize("when", ["before", "while targets are looked for", "while it is calibrated"])
def test_stopped_before_anything_was_measured_it_raises_and_leaves_nothing(
    when: str, sim: SimProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = StopFlag()
    if when == "before":
        stop.set()

    async def slow(*arguments: Any, **named: Any) -> None:
        stop.set()
        await anyio.sleep_forever()

    if when == "while targets are looked for":
        monkeypatch.setattr("lmx_loadgen.session.setup.prepare", slow)
    calibrated = lambda loop, stamps: stop.set()  # noqa: E731
    with pytest.raises(Interrupted, match="interrupted before anything was measured"):
        run_blocking(profile(sim), options=OPTIONS, stop=stop, base_dir=tmp_path, view=Silent(), calibrated=calibrated)
    assert list(tmp_path.iterdir()) == []


def test_an_error_reaches_who_waits(sim: SimProcess, tmp_path: Path) -> None:
    options = Options(Path("runs"), isolate=True)

    async def main() -> None:
        with pytest.raises(InputError, match="--isolate needs two targets"):
            await session_run.run(profile(sim), options=options, stop=StopFlag(), base_dir=tmp_path, view=Silent())

    asyncio.run(main())


def test_relative_paths_begin_at_the_base(sim: SimProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (tmp_path / "asked.txt").write_text("How are you?\n")
    asked = profile(sim)
    asked = asked.model_copy(update={"prompts": asked.prompts.model_copy(update={"file": "asked.txt"})})
    outcome = run_blocking(asked, options=OPTIONS, stop=StopFlag(), base_dir=tmp_path, view=Silent())

    assert outcome.folder.is_relative_to(tmp_path / "runs")
    assert list(elsewhere.iterdir()) == []
