"""One run from start to end: prepare the targets, run the plan, store everything, show the result."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmx_loadgen.errors import LoadgenError, NothingMeasured, StoppedEarly
from lmx_loadgen.load.driver import Driver, WorkerProcess
from lmx_loadgen.load.messages import INTERRUPTED, Ready
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.profile.prompts import PromptBook, prompt_book
from lmx_loadgen.session.checks.client import CheckClient
from lmx_loadgen.session.checks.run import CheckRunner
from lmx_loadgen.session.isolation import Isolation, obstacles
from lmx_loadgen.session.jobs import JobMaker, most_connections
from lmx_loadgen.session.options import KEPT, MOST_TO_SETTLE_S, Options, plan_description, resolved_profile
from lmx_loadgen.session.ownership import check_owned
from lmx_loadgen.session.plan import make_plan
from lmx_loadgen.session.recorder import Recorder, View, header, make_folder, new_run_id, start_log
from lmx_loadgen.session.resume import hash_inputs
from lmx_loadgen.session.runner import Runner, UntilSettled
from lmx_loadgen.session.setup import expected, instrument, prepare_targets, tls
from lmx_loadgen.session.token_counter import TokenCounter, token_counter
from lmx_loadgen.store.eventlog import EventLog
from lmx_loadgen.store.result import Hypothesis, RunResult, write_result
from lmx_loadgen.system import open_files, priority, sleep
from lmx_loadgen.system.api_keys import without_keys
from lmx_loadgen.system.clock import Anchor
from lmx_loadgen.targets.base import Target
from lmx_loadgen.targets.prepare import key_variables


class StopFlag:
    """Set by Ctrl-C or SIGTERM while a run is on; a second one ends the process at once."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        def handle(number: int, frame: Any) -> None:
            if self.signal is not None:
                os._exit(128 + number)
            self.signal = number

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended: its stored result, the folder it is in, and the exit code it asks for."""

    result: RunResult
    folder: Path
    exit_code: int


# Given the loop and the stamps that a run measures with: what is known of its error, for the header; or None.
Calibrated = Callable[[str, str], Mapping[str, Any] | None]


def run(options: Options, view: View, calibrated: Calibrated) -> RunOutcome:
    """Do a whole run and store it. `calibrated` is asked once the targets are found and nothing is measured yet.

    Raises a LoadgenError for whatever stops the run before anything was measured. Once measuring has begun, what was
    seen is stored whatever happens, and only then is an error raised.
    """
    profile = resolved_profile(options)
    if not options.i_own_this_server:
        check_owned(profile, until_settled=options.until_settled)
    recorded = record(profile, options, view, calibrated)
    try:
        result = _result(recorded.folder)
    except LoadgenError as trouble:
        raise recorded.error or trouble from None
    try:
        write_result(recorded.folder, result)
    except LoadgenError as trouble:
        if recorded.error is None:
            hint = f"what was measured is safe: `lmx-loadgen recompute {recorded.folder}` makes it"
            trouble.args = (f"{trouble}; {hint}",)
            raise
    if recorded.error is not None:
        hint = f"`lmx-loadgen run --resume {recorded.folder}` goes on with it"
        recorded.error.args = (f"{recorded.error}; what was measured is in {recorded.folder}, and {hint}",)
        raise recorded.error
    if recorded.signal is not None:
        return RunOutcome(result, recorded.folder, 128 + recorded.signal)
    counts = [level.requests for target in result.targets for level in target.levels]
    # A level that was given up in silence has no failed request, only such as were never answered.
    if not any(one.ok for one in counts) and (result.complete or any(one.failed for one in counts)):
        return RunOutcome(result, recorded.folder, NothingMeasured.exit_code)
    return RunOutcome(result, recorded.folder, 0 if result.complete else StoppedEarly.exit_code)


@dataclass(frozen=True)
class Recorded:
    """A run whose event log is complete: its folder, the signal and the error that cut it short, if any did."""

    folder: Path
    signal: int | None
    error: LoadgenError | None


def record(profile: Profile, options: Options, view: View, calibrated: Calibrated) -> Recorded:
    """Run a profile and write its event log, but no result; see `run`."""
    book = prompt_book(profile.prompts, base_dir=Path.cwd())
    count = token_counter(profile.tokenizer, Path.cwd()) if profile.tokenizer is not None else None
    input_hashes = hash_inputs(book, profile.tokenizer, Path.cwd())
    stop = StopFlag()
    open_files.require(most_connections(profile, options.workers), f"concurrency {max(profile.load.concurrency)}")
    with contextlib.ExitStack() as stack:
        loop, stamps = instrument(options)
        environment = without_keys(os.environ, key_variables(profile.targets))
        workers = [WorkerProcess(loop, stamps, environment) for _ in range(options.workers)]
        for worker in workers:
            stack.callback(worker.close)
        targets = prepare_targets(profile, options, stack)
        if options.resume_state is not None:
            options.resume_state.refuse_if_changed(targets, input_hashes)
        hypotheses = expected(targets, options.reference) if options.resume_state is None else {}
        calibration = calibrated(loop, stamps.value)
        stack.enter_context(stop.armed())
        begin = _Start(options, profile, book, targets, calibration, hypotheses, input_hashes)
        if options.resume_state is not None:
            view.say(
                f"going on with {options.resume_state.folder}: {len(options.resume_state.finished)} blocks are done"
            )
        for name, found in hypotheses.items():
            view.say(f"{name}: {found.sentence}")
        if len(targets) > 1:
            plan = plan_description(profile, begin.plan, options) if options.resume_state is None else []
            for line in plan + (obstacles(begin.targets) if options.isolate else []):
                view.say(line)
        recorder, driver = begin.make(workers, view, stop, count)
        with contextlib.closing(driver), sleep.prevented(), priority.giving_way():
            error = _measure(begin, recorder, driver, stop)
    return Recorded(recorder.folder, stop.signal, error)


class _Start:
    """Everything that is decided once all targets are known."""

    def __init__(
        self,
        options: Options,
        profile: Profile,
        book: PromptBook,
        targets: Sequence[Target],
        calibration: Mapping[str, Any] | None,
        hypotheses: Mapping[str, Hypothesis],
        input_hashes: Mapping[str, str | None],
    ) -> None:
        self.options = options
        self.hypotheses = hypotheses
        self.calibration = calibration
        self.input_hashes = input_hashes
        self.profile = profile
        self.book = book
        self.targets = {target.name: target for target in targets}
        resume_state = options.resume_state
        self.plan = make_plan(profile, list(self.targets)) if resume_state is None else resume_state.plan
        self.run_id = new_run_id() if resume_state is None else str(resume_state.header["run_id"])
        key = self.run_id if resume_state is None else resume_state.nonce_key
        self.jobs = JobMaker(profile, book, key, insecure=options.insecure, ca_file=options.ca_file)

    def make(
        self, workers: Sequence[WorkerProcess], view: View, stop: StopFlag, count: TokenCounter | None
    ) -> tuple[Recorder, Driver]:
        """The run's folder and log, and the driver that feeds it."""
        anchor = Anchor.take()
        holder: list[Recorder] = []
        driver = Driver(workers, lambda sent: holder[0].sent(sent), stop)
        try:
            ready = driver.wait_ready()
            folder, log = self._log(ready, anchor)
            holder.append(
                Recorder(
                    folder,
                    log,
                    profile=self.profile,
                    targets=list(self.targets.values()),
                    jobs=self.jobs,
                    view=view,
                    count=count,
                    resume_state=self.options.resume_state,
                )
            )
        except BaseException:
            driver.close()
            raise
        return holder[0], driver

    def _log(self, ready: Ready, anchor: Anchor) -> tuple[Path, EventLog]:
        """The run's folder, and its log with the line that says how it begins, or that it goes on."""
        resume_state = self.options.resume_state
        if resume_state is not None:
            return resume_state.folder, resume_state.reopened(anchor, self._beside)
        folder = make_folder(self.options.out, list(self.targets), self.run_id, anchor)
        return folder, start_log(folder, self._header(ready, anchor))

    @property
    def _beside(self) -> dict[str, Any] | None:
        return self.options.lock.beside if self.options.lock is not None else None

    def _header(self, ready: Ready, anchor: Anchor) -> dict[str, Any]:
        how = {
            "loop": ready.loop,
            "stamps": ready.stamps,
            "workers": self.options.workers,
            "calibration": self.calibration,
        }
        said = {name: found.model_dump(mode="json", exclude_none=True) for name, found in self.hypotheses.items()}
        line = header(self.profile, list(self.targets.values()), self.plan, how, self.run_id, anchor, said)
        line["accepted"] = self.options.accept
        line["until_settled"] = self.options.until_settled
        line["beside"] = self._beside
        line["going_on"] = {name: getattr(self.options, name) for name in KEPT} | {
            "found_away": [target.name for target in self.targets.values() if not target.is_loaded],
            "prints": dict(self.input_hashes),
        }
        line["prompt_preview"] = str(self.book.measured[0].messages[-1]["content"])[:100]
        return line


def _measure(start: _Start, recorder: Recorder, driver: Driver, stop: StopFlag) -> LoadgenError | None:
    """Run the plan; whatever ends it, the log gets its end line. The error, if one ended it."""
    error: LoadgenError | None = None
    reason: str | None = None
    resume_state = start.options.resume_state
    initially_unloaded = resume_state.resume_info["found_away"] if resume_state is not None else None
    isolation = Isolation(
        start.targets, tls(start.options), recorder.host_state, stop, initially_unloaded=initially_unloaded
    )
    runner = Runner(
        profile=start.profile,
        plan=start.plan,
        targets=start.targets,
        jobs=start.jobs,
        workers=start.options.workers,
        recorder=recorder,
        driver=driver,
        stop=stop,
        probe=start.options.probe,
        until=_until(start.options, recorder.folder),
        checks=_checks(start, recorder, stop),
        before_segment=isolation if start.options.isolate else lambda segment: None,
        resume_state=resume_state,
    )
    try:
        runner.run()
    except LoadgenError as problem:
        error, reason = problem, str(problem)
    try:
        isolation.restore()
    except LoadgenError as problem:
        error = error or problem
    if reason is None:
        reason = INTERRUPTED if stop() else "; ".join(runner.aborted.values()) or None
    try:
        recorder.end(reason, start.options.lock.joined() if start.options.lock is not None else ())
    except LoadgenError as problem:
        error = error or problem
    return error


def _checks(start: _Start, recorder: Recorder, stop: StopFlag) -> CheckRunner | None:
    """What targets are asked to do beside the load; None where a run is nothing but load."""
    options = start.options
    ask = CheckClient(tls(options), stop)
    done = options.resume_state.checked if options.resume_state is not None else frozenset()
    prompt = start.jobs.prompt_text("measured", 0, start.run_id) if options.server_benchmark else None
    checks = CheckRunner(start.profile, ask, stop, recorder.check, prompt, done)
    return checks if checks and options.probe else None


def _until(options: Options, folder: Path) -> UntilSettled | None:
    """How to go on until the verdicts are settled: by a look at what has been stored."""
    if not options.until_settled:
        return None
    from lmx_loadgen.analysis.comparison.compare import settled
    from lmx_loadgen.analysis.comparison.verdict import MOST_BLOCKS
    from lmx_loadgen.store.eventlog import NAME, read_log

    most_s = options.max_duration or MOST_TO_SETTLE_S
    return UntilSettled(lambda level: settled(read_log(folder / NAME), level), most_s, MOST_BLOCKS)


def _result(folder: Path) -> RunResult:
    from lmx_loadgen.analysis.summary import summarize
    from lmx_loadgen.store.eventlog import NAME, read_log

    return summarize(read_log(folder / NAME))
