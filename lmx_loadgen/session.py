"""One run from start to end: prepare the targets, run the plan, store everything, show the result."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from lmx_loadgen import host, packaged
from lmx_loadgen.checks.asking import Asker
from lmx_loadgen.checks.run import Checks
from lmx_loadgen.clock import Anchor
from lmx_loadgen.course import Course, UntilSettled
from lmx_loadgen.errors import InputError, LoadgenError, NothingMeasured
from lmx_loadgen.isolation import Isolation, obstacles
from lmx_loadgen.load.counting import Count, token_counter
from lmx_loadgen.load.driver import Driver, WorkerProcess
from lmx_loadgen.load.jobs import JobMaker
from lmx_loadgen.load.messages import Ready
from lmx_loadgen.load.plan import Segment, blocks_of, described, make_plan
from lmx_loadgen.load.prompts import PromptBook, prompt_book
from lmx_loadgen.load.worker import tls_context
from lmx_loadgen.profile import Profile, TargetSpec, load_profile, overridden
from lmx_loadgen.recorder import Recorder, View, header, make_folder, new_run_id
from lmx_loadgen.store.result import Hypothesis, RunResult, write_result
from lmx_loadgen.targets.base import Target
from lmx_loadgen.targets.prepare import dialect_of, parse_target, prepare
from lmx_loadgen.wire.stamps import StampSource, kernel_stamps_available

INTERRUPTED = "interrupted"
_FEWEST_TO_SETTLE = 4
_MOST_TO_SETTLE_S = 1200.0


@dataclass(frozen=True)
class Options:
    """What the command line asked for, beside the profile's own settings."""

    profile: str = "quick"
    overrides: Mapping[str, Any] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    targets: Sequence[str] = ()
    models: Sequence[str] = ()
    out: Path = Path("reports")
    loop: str | None = None
    stamps: str | None = None
    workers: int = 1
    insecure: bool = False
    ca_file: str | None = None
    probe: bool = True
    accept: str | None = None
    until_settled: bool = False
    isolate: bool = False
    max_duration: float | None = None
    reference: Path | None = None
    server_benchmark: bool = False


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
class Outcome:
    """How a run ended: its stored result, the folder it is in, and the exit code it asks for."""

    result: RunResult
    folder: Path
    exit_code: int


# Given the loop and the stamps that a run measures with: what is known of its error, for the header; or None.
Calibrated = Callable[[str, str], Mapping[str, Any] | None]


def run(options: Options, view: View, calibrated: Calibrated) -> Outcome:
    """Do a whole run and store it. `calibrated` is asked once the targets are found and nothing is measured yet.

    Raises a LoadgenError for whatever stops the run before anything was measured. Once measuring has begun, what was
    seen is stored whatever happens, and only then is an error raised.
    """
    recorded = record(resolved_profile(options), options, view, calibrated)
    result = _result(recorded.folder)
    write_result(recorded.folder, result)
    if recorded.error is not None:
        recorded.error.args = (f"{recorded.error}; what was measured is in {recorded.folder}",)
        raise recorded.error
    if recorded.signal is not None:
        return Outcome(result, recorded.folder, 128 + recorded.signal)
    if not any(level.requests.ok for target in result.targets for level in target.levels):
        return Outcome(result, recorded.folder, NothingMeasured.exit_code)
    return Outcome(result, recorded.folder, 0)


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
    stop = StopFlag()
    with contextlib.ExitStack() as stack:
        loop, stamps = instrument(options)
        workers = [WorkerProcess(loop, stamps) for _ in range(options.workers)]
        for worker in workers:
            stack.callback(worker.close)
        targets = prepare_targets(profile, options, stack)
        hypotheses = expected(targets, options.reference)
        calibration = calibrated(loop, stamps.value)
        stack.enter_context(stop.armed())
        begin = _Start(options, profile, book, targets, calibration, hypotheses)
        for name, found in hypotheses.items():
            view.say(f"{name}: {found.sentence}")
        if len(targets) > 1:
            told = _told(profile, begin.plan, options)
            for line in told + (obstacles(begin.targets) if options.isolate else []):
                view.say(line)
        recorder, driver = begin.make(workers, view, stop, count)
        with contextlib.closing(driver), host.in_background():
            error = _measure(begin, recorder, driver, stop)
    return Recorded(recorder.folder, stop.signal, error)


def resolved_profile(options: Options) -> Profile:
    """The profile with every flag applied, targets and models included. Raises ProfileError or InputError."""
    profile = overridden(load_profile(options.profile), options.overrides, options.flags)
    specs = [parse_target(text) for text in options.targets] or list(profile.targets) or [TargetSpec(name="sim")]
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--target {name} is given twice; name one of them otherwise, like {name}2=URL")
    for text in options.models:
        specs = _with_model(specs, text)
    found = profile.model_copy(update={"targets": specs})
    if options.until_settled:
        _can_settle(found)
    elif options.max_duration is not None:
        raise InputError("--max-duration goes with --until-settled: it limits the blocks that are added")
    if options.accept is not None and not options.accept.strip():
        raise InputError("--accept needs a reason, which then stands in the result")
    if options.isolate and len(specs) < 2:
        raise InputError("--isolate needs two targets: alone, a server has the machine to itself")
    return found


def planned(options: Options) -> list[str]:
    """The plan of a run in words, as `--dry-run` prints it. No server is asked anything."""
    profile = resolved_profile(options)
    return _told(profile, make_plan(profile, [spec.name for spec in profile.targets]), options)


def _told(profile: Profile, plan: Sequence[Segment], options: Options) -> list[str]:
    lines = described(profile, plan, [spec.name for spec in profile.targets])
    if options.until_settled:
        from lmx_loadgen.measure.verdict import MOST_BLOCKS

        lines.append("then, at each level, two rounds more at a time until its verdicts are settled:")
        most = (options.max_duration or _MOST_TO_SETTLE_S) / 60
        lines.append(f"up to {MOST_BLOCKS} blocks of each, and none begun that would end after {most:g} min")
    return lines


def _can_settle(profile: Profile) -> None:
    targets = len(profile.targets)
    if targets < 2:
        raise InputError("--until-settled needs two targets to compare: give --target twice")
    if blocks_of(profile.load, targets) < _FEWEST_TO_SETTLE:
        raise InputError(f"--until-settled needs --blocks of at least {_FEWEST_TO_SETTLE} to begin with")


def _with_model(specs: list[TargetSpec], text: str) -> list[TargetSpec]:
    name, sign, model = text.partition("=")
    if sign and name in [spec.name for spec in specs]:
        return [spec.model_copy(update={"model": model}) if spec.name == name else spec for spec in specs]
    if len(specs) > 1:
        raise InputError(f"--model {text!r}: with several targets say which one, like --model {specs[0].name}=ID")
    return [specs[0].model_copy(update={"model": text})]


def prepare_targets(profile: Profile, options: Options, stack: contextlib.ExitStack) -> list[Target]:
    """Find every target and its model; simulators that are asked for without an address are started, and end with
    `stack`."""
    verify = _tls(options)

    async def all_of_them() -> list[Target]:
        return [
            await prepare(spec, os.environ, url=_sim_url(spec, stack), verify=verify, may_load=options.isolate)
            for spec in profile.targets
        ]

    return anyio.run(all_of_them)


def _tls(options: Options) -> Any:
    if not options.insecure and options.ca_file is None:
        return True
    try:
        return tls_context(not options.insecure, options.ca_file)
    except OSError as error:
        raise InputError(f"--ca-file {options.ca_file}: {error}") from None


def _sim_url(spec: TargetSpec, stack: contextlib.ExitStack) -> str | None:
    if spec.url is not None or dialect_of(spec).name != "sim":
        return None
    from lmx_loadgen.sim.presets import DEMO
    from lmx_loadgen.sim.process import start

    return stack.enter_context(start(DEMO)).base_url


def instrument(options: Options) -> tuple[str, StampSource]:
    """Event loop and stamps: the finest there are, unless something else was asked for."""
    loop = options.loop or ("uvloop" if _has_uvloop() else "asyncio")
    if loop == "uvloop" and not _has_uvloop():
        raise InputError("--loop uvloop: uvloop is not installed; install it, or use --loop asyncio")
    if options.stamps == "kernel" and not kernel_stamps_available():
        raise InputError("--stamps kernel: this system does not stamp TCP data (only Linux does); use --stamps loop")
    if options.stamps is None:
        return loop, StampSource.KERNEL if kernel_stamps_available() else StampSource.LOOP
    return loop, StampSource(options.stamps)


def _has_uvloop() -> bool:
    from importlib.util import find_spec

    return find_spec("uvloop") is not None


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
    ) -> None:
        self.options = options
        self.hypotheses = hypotheses
        self.calibration = calibration
        self.profile = profile
        self.book = book
        self.targets = {target.name: target for target in targets}
        self.plan = make_plan(profile, list(self.targets))
        self.run_id = new_run_id()
        self.jobs = JobMaker(profile, book, self.run_id, insecure=options.insecure, ca_file=options.ca_file)

    def make(
        self, workers: Sequence[WorkerProcess], view: View, stop: StopFlag, count: Count | None
    ) -> tuple[Recorder, Driver]:
        """The run's folder and log, and the driver that feeds it."""
        anchor = Anchor.take()
        holder: list[Recorder] = []
        driver = Driver(workers, lambda sent: holder[0].sent(sent), stop)
        try:
            ready = driver.wait_ready()
            folder = make_folder(self.options.out, list(self.targets), self.run_id, anchor)
            holder.append(
                Recorder(
                    folder,
                    self._header(ready, anchor),
                    profile=self.profile,
                    targets=list(self.targets.values()),
                    jobs=self.jobs,
                    view=view,
                    count=count,
                )
            )
        except BaseException:
            driver.close()
            raise
        return holder[0], driver

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
        line["prompt_preview"] = str(self.book.measured[0].messages[-1]["content"])[:100]
        return line


def _measure(start: _Start, recorder: Recorder, driver: Driver, stop: StopFlag) -> LoadgenError | None:
    """Run the plan; whatever ends it, the log gets its end line. The error, if one ended it."""
    error: LoadgenError | None = None
    reason: str | None = None
    isolation = Isolation(start.targets, _tls(start.options), recorder.host_state, stop)
    try:
        course = Course(
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
        )
        course.run()
    except LoadgenError as problem:
        error, reason = problem, str(problem)
    try:
        isolation.restore()
    except LoadgenError as problem:
        error = error or problem
    if stop() and reason is None:
        reason = INTERRUPTED
    try:
        recorder.end(reason)
    except LoadgenError as problem:
        error = error or problem
    return error


def _checks(start: _Start, recorder: Recorder, stop: StopFlag) -> Checks | None:
    """What targets are asked to do beside the load; None where a run is nothing but load."""
    options = start.options
    ask = Asker(_tls(options), stop)
    checks = Checks(start.profile, ask, stop, recorder.check, server_benchmark=options.server_benchmark)
    return checks if checks and options.probe else None


def expected(targets: Sequence[Target], path: Path | None) -> dict[str, Hypothesis]:
    """What is expected of each target, by its name. Raises ProfileError for a reference file that cannot be used."""
    from lmx_loadgen.measure.hypothesis import hypothesis
    from lmx_loadgen.store import reference

    folder, chip = packaged.folder("reference"), host.facts().get("chip")
    known = reference.read_reference(path or folder / reference.NAME)
    bandwidths = reference.read_bandwidths(folder / reference.CHIPS)
    return {
        target.name: hypothesis(
            known,
            bandwidths,
            model=target.model,
            quantization=target.server.get("quantization"),
            server=reference.SERVER_OF.get(target.dialect.name),
            chip=chip,
        )
        for target in targets
        if target.dialect.name != "sim"
    }


def _until(options: Options, folder: Path) -> UntilSettled | None:
    """How to go on until the verdicts are settled: by a look at what has been stored."""
    if not options.until_settled:
        return None
    from lmx_loadgen.measure.compare import settled
    from lmx_loadgen.measure.verdict import MOST_BLOCKS
    from lmx_loadgen.store.eventlog import NAME, read_log

    most_s = options.max_duration or _MOST_TO_SETTLE_S
    return UntilSettled(lambda level: settled(read_log(folder / NAME), level), most_s, MOST_BLOCKS)


def _result(folder: Path) -> RunResult:
    from lmx_loadgen.measure.summary import summarise
    from lmx_loadgen.store.eventlog import NAME, read_log

    return summarise(read_log(folder / NAME))
