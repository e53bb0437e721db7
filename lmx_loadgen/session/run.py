"""One run from start to end: set up, measure what the plan says, store the result."""

import contextlib
from collections.abc import Callable

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.load.driver import Driver
from lmx_loadgen.load.messages import INTERRUPTED
from lmx_loadgen.observe.observer import Samples, observing
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.client import CheckClient
from lmx_loadgen.session.checks.run import CheckRunner
from lmx_loadgen.session.instrument import instrument, tls
from lmx_loadgen.session.isolation import Isolation
from lmx_loadgen.session.jobs import most_connections
from lmx_loadgen.session.options import DEFAULT_MAX_DURATION_S, Options, resolved_profile
from lmx_loadgen.session.outcome import Recorded, RunOutcome, store_outcome
from lmx_loadgen.session.ownership import check_owned
from lmx_loadgen.session.recorder import Recorder, View
from lmx_loadgen.session.run_log import open_log
from lmx_loadgen.session.runner import Runner, UntilConclusive
from lmx_loadgen.session.setup import Calibrated, RunSetup, set_up
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.store.eventlog import NAME, read_log
from lmx_loadgen.system import open_files, priority, sleep
from lmx_loadgen.system.clock import Anchor


def run(options: Options, view: View, calibrated: Calibrated) -> RunOutcome:
    """Do a whole run and store it. `calibrated` is asked once the targets are found and nothing is measured yet.

    Raises a LoadgenError for whatever stops the run before anything was measured. Once measuring has begun, what was
    seen is stored whatever happens, and only then is an error raised.
    """
    profile = resolved_profile(options)
    if not options.i_own_this_server:
        check_owned(profile, until_conclusive=options.until_conclusive)
    return store_outcome(record(profile, options, view, calibrated))


def record(profile: Profile, options: Options, view: View, calibrated: Calibrated) -> Recorded:
    """Run a profile and write its event log, but no result; see `run`."""
    stop = StopFlag()
    open_files.require(most_connections(profile, options.workers), profile.load.heaviest().label)
    with contextlib.ExitStack() as stack:
        setup = set_up(profile, options, calibrated, stack)
        stack.enter_context(stop.armed())
        for line in setup.announcement():
            view.say(line)
        samples = stack.enter_context(observing(target.base_url for target in setup.targets.values()))
        recorder, driver = _start_recording(setup, view, stop, samples)
        with contextlib.closing(driver), sleep.prevented(), priority.giving_way():
            error = _measure(setup, recorder, driver, stop, view)
    return Recorded(recorder.folder, stop.signal, error)


def _start_recording(setup: RunSetup, view: View, stop: StopFlag, samples: Samples) -> tuple[Recorder, Driver]:
    """The recorder on the run's log, and the driver that feeds it; `samples` is what is observed beside the load."""
    anchor = Anchor.take()
    driver = Driver(setup.workers, lambda sent: recorder.sent(sent), stop)
    try:
        folder, log = open_log(setup, driver.wait_ready(), anchor)
        recorder = Recorder(
            folder,
            log,
            profile=setup.profile,
            targets=list(setup.targets.values()),
            jobs=setup.jobs,
            view=view,
            count=setup.count,
            resume_state=setup.options.resume_state,
            samples=samples,
        )
    except BaseException:
        driver.close()
        raise
    return recorder, driver


def _measure(setup: RunSetup, recorder: Recorder, driver: Driver, stop: StopFlag, view: View) -> LoadgenError | None:
    """Run the plan; whatever ends it, the log gets its end line. The error, if one ended it."""
    errors: list[LoadgenError] = []
    isolation = _isolation(setup, recorder, stop, view)
    stop.parting = isolation.left_unloaded
    runner = Runner(
        profile=setup.profile,
        plan=setup.plan,
        targets=setup.targets,
        jobs=setup.jobs,
        workers=setup.options.workers,
        recorder=recorder,
        driver=driver,
        stop=stop,
        probe=setup.options.probe,
        until=_until_conclusive(setup.options, recorder),
        checks=_checks(setup, recorder, stop),
        before_segment=isolation if setup.options.isolate else lambda segment: None,
        resume_state=setup.options.resume_state,
        tainted=_tainted(recorder),
    )
    reason = None
    try:
        runner.run()
    except LoadgenError as error:
        errors.append(error)
        reason = str(error)
    try:
        isolation.restore()
    except LoadgenError as error:
        if errors:  # only the first is raised
            errors[0].args = (f"{errors[0]}; and {error}",)
        errors.append(error)
    if reason is None:
        reason = INTERRUPTED if stop() else "; ".join(runner.aborted.values()) or None
    try:
        recorder.end(reason, setup.options.lock.joined() if setup.options.lock is not None else ())
    except LoadgenError as error:
        errors.append(error)
    return errors[0] if errors else None


def _isolation(setup: RunSetup, recorder: Recorder, stop: StopFlag, view: View) -> Isolation:
    resume_state = setup.options.resume_state
    unloaded = resume_state.resume_info["found_away"] if resume_state is not None else None
    return Isolation(
        setup.targets, tls(setup.options), recorder.host_state, stop, initially_unloaded=unloaded, say=view.say
    )


def _checks(setup: RunSetup, recorder: Recorder, stop: StopFlag) -> CheckRunner | None:
    """What targets are asked to do beside the load; None where a run is nothing but load."""
    options = setup.options
    _, stamps = instrument(options)
    client = CheckClient(tls(options), stop, stamps)
    done = options.resume_state.finished_checks if options.resume_state is not None else frozenset()
    prompt = setup.jobs.prompt_text("measured", 0, setup.run_id) if options.server_benchmark else None
    checks = CheckRunner(setup.profile, client, stop, recorder.check, prompt, done)
    return checks if checks and options.probe else None


def _tainted(recorder: Recorder) -> Callable[[LoadPoint, int], bool]:
    """Whether this machine moved a round's figures, judged by what has been stored of it."""

    def tainted(point: LoadPoint, block: int) -> bool:
        if (point, block) not in recorder.delayed_blocks:
            return False  # no need to read all that was stored
        from lmx_loadgen.analysis.comparison.taint import is_round_tainted

        return is_round_tainted(read_log(recorder.folder / NAME), point, block)

    return tainted


def _until_conclusive(options: Options, recorder: Recorder) -> UntilConclusive | None:
    """Whether to add rounds until the verdicts are conclusive, judged by what has been stored."""
    if not options.until_conclusive:
        return None
    from lmx_loadgen.analysis.comparison.compare import conclusive
    from lmx_loadgen.analysis.comparison.looks import MOST_BLOCKS
    from lmx_loadgen.analysis.measured_run import MeasuredRun

    def is_conclusive(point: LoadPoint) -> bool:
        return conclusive(MeasuredRun(read_log(recorder.folder / NAME)), point)

    return UntilConclusive(is_conclusive, options.max_duration or DEFAULT_MAX_DURATION_S, MOST_BLOCKS)
