"""The benchmark of one app: one run at a time, measured in a process of its own, stored when it has ended."""

import os
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.service.child import MeasuringChild
from lmx_loadgen.service.messages import MeasureJob, MeasureReply
from lmx_loadgen.service.request import BenchmarkRequest
from lmx_loadgen.service.tokenizer import tokenizer_beside
from lmx_loadgen.store.plan_result import BenchmarkResultStore
from lmx_loadgen.system import folders
from lmx_loadgen.system.threads import on_thread
from lmx_loadgen.targets.address import dialect_of, is_loopback, parse_target

RUNS = "runs"
DEFAULT_TARGET = "lmx"


class Bench:
    """What an app has of the benchmark, by its `state`:

    `benchmark_store` keeps the results, by default in Opta-LMX's own folder; the runs themselves, with their event
    logs, go into its folder `runs`. `benchmark_target` is the server to measure, written as for `--target`.
    `benchmark_tokenizer` is a `tokenizer.json` that counts tokens; without it, one beside the model is looked for where
    the server does not count them in its streams. `benchmark_no_text` leaves prompts and answers out of what is stored
    and answered.
    """

    def __init__(self, state: Any) -> None:
        self._state = state
        self._child = MeasuringChild()
        self._free = threading.Lock()
        self._since: str | None = None

    @property
    def store(self) -> BenchmarkResultStore:
        """Raises InputError where its folder is in a home folder that is unknown."""
        if getattr(self._state, "benchmark_store", None) is None:
            self._state.benchmark_store = BenchmarkResultStore()
        found: BenchmarkResultStore = self._state.benchmark_store
        return found

    @property
    def target(self) -> TargetSpec:
        """Raises InputError."""
        found = getattr(self._state, "benchmark_target", None) or DEFAULT_TARGET
        return found if isinstance(found, TargetSpec) else parse_target(found)

    async def run(self, asked: BenchmarkRequest, receive: Callable[[], Awaitable[Any]]) -> MeasureReply:
        """Measure and store. A client that goes away, as `receive` tells, stops the run; so does whoever cancels it.
        What was measured is stored all the same."""
        if not self._free.acquire(blocking=False):
            return MeasureReply(trouble="busy", words="this service is measuring already", since=self._since)
        try:
            self._since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            async with anyio.create_task_group() as group:
                group.start_soon(self._stop_when_gone, receive)
                reply = await on_thread(lambda: self._measured_and_stored(asked), self.stop)
                group.cancel_scope.cancel()
            return reply
        finally:
            self._free.release()

    def stop(self, why: str = "interrupted") -> None:
        """The run at hand is to end in good order. From any thread."""
        self._child.stop(why)

    def close(self) -> None:
        """End the measuring process; it starts again when it is needed."""
        self._child.close()

    async def _stop_when_gone(self, receive: Callable[[], Awaitable[Any]]) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.stop("the client went away")

    def _measured_and_stored(self, asked: BenchmarkRequest) -> MeasureReply:
        try:
            store, job = self.store, self._job(asked)
        except LoadgenError as error:
            return MeasureReply(trouble="other", words=str(error))
        return _stored(self._child.measure(job), store)

    def _job(self, asked: BenchmarkRequest) -> MeasureJob:
        """Raises InputError for a state that cannot be used."""
        target, configured = self.target, getattr(self._state, "benchmark_tokenizer", None)
        if configured is not None:
            tokenizer: str | None = str(folders.expanded(Path(configured)).absolute())
        else:
            tokenizer = self._found_tokenizer(target, asked.model_id)
        return MeasureJob(
            asked=asked,
            target=target,
            runs_folder=Path(self.store.directory).absolute() / RUNS,
            tokenizer=tokenizer,
            is_tokenizer_found=configured is None,
            no_text=bool(getattr(self._state, "benchmark_no_text", False)),
        )

    def _found_tokenizer(self, target: TargetSpec, model: str) -> str | None:
        """One beside the model, where the server is on this machine and does not count in its streams."""
        dialect = dialect_of(target)
        is_here = is_loopback(target.url or dialect.default_url or "")
        if dialect.rules.usage_output_exact or not is_here:
            return None
        return tokenizer_beside(model, os.environ, folders.home())


def _stored(reply: MeasureReply, store: BenchmarkResultStore) -> MeasureReply:
    """The reply once its result is stored. Of one cut short before its first answer there is none to keep."""
    stats = reply.result.stats if reply.result is not None else None
    if reply.result is None or (reply.trouble is not None and not (stats and stats.runs_completed)):
        return reply
    try:
        store.save(reply.result)
    except (LoadgenError, OSError) as error:
        return reply.model_copy(update={"trouble": "not_stored", "words": str(error)})
    return reply


def bench_of(app: Any) -> Bench:
    """The benchmark of an app, made when it is first asked for."""
    if getattr(app.state, "benchmark_bench", None) is None:
        app.state.benchmark_bench = Bench(app.state)
    found: Bench = app.state.benchmark_bench
    return found
