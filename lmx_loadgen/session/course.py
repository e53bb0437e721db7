"""The course of a run: set up, measure what its strategy says, close its log."""

import contextlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.load.driver import Driver
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.observe.observer import Samples, observing
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session import machine_limits
from lmx_loadgen.session.capacity import CapacitySearch, Deadline, time_left
from lmx_loadgen.session.checks.budget import check_budget
from lmx_loadgen.session.checks.client import CheckClient
from lmx_loadgen.session.checks.questions import CheckQuestions
from lmx_loadgen.session.checks.run import CheckRunner
from lmx_loadgen.session.checks.same_work import SameWorkChecks
from lmx_loadgen.session.history import History
from lmx_loadgen.session.instrument import instrument, tls
from lmx_loadgen.session.isolation import Isolation
from lmx_loadgen.session.options import DEFAULT_MAX_DURATION_S, Options
from lmx_loadgen.session.outcome import Recorded
from lmx_loadgen.session.plan import estimate_s
from lmx_loadgen.session.recorder import Recorder
from lmx_loadgen.session.run_log import open_log
from lmx_loadgen.session.runner import Runner
from lmx_loadgen.session.segment_run import Parts
from lmx_loadgen.session.setup import Calibrated, RunSetup, set_up
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.stop_rules import MaxDuration, StopRules
from lmx_loadgen.session.strategy import FixedPlan, Repeats, Strategy, UntilConclusive
from lmx_loadgen.session.token_count import token_count
from lmx_loadgen.session.view import PlannedSegment, View
from lmx_loadgen.store.eventlog import NAME
from lmx_loadgen.system import host, priority, sleep
from lmx_loadgen.system.clock import Anchor

if TYPE_CHECKING:
    from lmx_loadgen.analysis.measured_run import MeasuredRun, RunReader

# What has been stored of a run that is still being measured.
StoredRun = Callable[[], "MeasuredRun"]


def record(
    profile: Profile,
    options: Options,
    *,
    stop: StopFlag,
    base_dir: Path,
    view: View,
    calibrated: Calibrated | None = None,
) -> Recorded:
    """Run a profile on this thread and write its event log, but no result; see `session.run`."""
    if options.cluster is None:  # each node has limits of its own
        machine_limits.require(profile, options.workers)
    view.phase("finding the servers")
    with contextlib.ExitStack() as stack:
        setup = set_up(profile, options, calibrated, stack, stop=stop, base_dir=base_dir, say=view.say)
        for line in [*setup.announcement(), *machine_limits.warnings(profile, options)]:
            view.say(line)
        samples = stack.enter_context(observing(target.base_url for target in setup.targets.values()))
        recorder, driver = _start_recording(setup, samples)
        with contextlib.closing(driver), sleep.prevented(), priority.giving_way():
            return _measure(setup, recorder, driver, stop, view)


def _start_recording(setup: RunSetup, samples: Samples) -> tuple[Recorder, Driver]:
    """The recorder on the run's log, and the driver that measures; `samples` is what is observed beside the load."""
    anchor, resumed = Anchor.take(), setup.options.resume_state
    driver = Driver(setup.workers)
    try:
        folder, log = open_log(setup, driver.wait_ready(), anchor)
        recorder = Recorder(
            folder,
            log,
            profile=setup.profile,
            targets=list(setup.targets.values()),
            jobs=setup.jobs,
            count=setup.count,
            next_id=resumed.next_id if resumed is not None else 0,
            samples=samples,
            no_text=setup.options.no_text,
        )
    except BaseException:
        driver.close()
        raise
    return recorder, driver


def _measure(setup: RunSetup, recorder: Recorder, driver: Driver, stop: StopFlag, view: View) -> Recorded:
    """Measure; whatever ends it, the servers are left as they were found, and the log gets its end line."""
    errors: list[LoadgenError] = []
    history = History.of(setup.options.resume_state)
    view.planned(_planned(setup, history))
    isolation = _isolation(setup, stop, view)
    view.unrestored(isolation.left_unloaded)
    make_ready = isolation if setup.options.isolate else lambda segment: None
    limit = time_left(setup.options.within, setup.began, history.spent_s)
    deadline = Deadline(limit) if setup.options.capacity is not None else None
    parts = Parts(driver, recorder, history, StopRules(setup.profile), stop, view, host.state, make_ready, deadline)
    try:
        _runner(setup, parts).run()
    except LoadgenError as error:
        errors.append(error)
    reason = str(errors[0]) if errors else None
    try:
        isolation.restore()
    except LoadgenError as error:
        if errors:  # only the first is raised
            errors[0].args = (f"{errors[0]}; and {error}",)
        errors.append(error)
    ended = stop.why or _all_of(list(history.aborted.values()))
    lock = setup.options.lock
    try:
        reason = reason or (ended.message if ended is not None else None)
        recorder.end(reason, lock.joined() if lock is not None else ())
    except LoadgenError as error:
        errors.append(error)
    return Recorded(recorder.folder, ended, errors[0] if errors else None, recorder.close)


def _planned(setup: RunSetup, history: History) -> list[PlannedSegment]:
    """What is left of the plan."""
    pause = setup.profile.load.pause if len(setup.targets) > 1 else 0.0
    return [
        PlannedSegment(one.target, one.load_point, one.block, estimate_s(setup.profile, [one]) + pause)
        for one in setup.plan
        if not history.is_finished(one)
    ]


def _all_of(stops: list[Stop]) -> Stop | None:
    return Stop(stops[0].kind, "; ".join(stop.message for stop in stops)) if stops else None


def _runner(setup: RunSetup, parts: Parts) -> Runner:
    return Runner(
        profile=setup.profile,
        targets=setup.targets,
        strategy=_strategy(setup, parts),
        parts=parts,
        jobs=setup.jobs,
        workers=setup.options.workers,
        probe=setup.options.probe and setup.options.probe_cache,
        checks=_checks(setup, parts),
    )


def _isolation(setup: RunSetup, stop: StopFlag, view: View) -> Isolation:
    resume_state = setup.options.resume_state
    unloaded = resume_state.resume_info["found_away"] if resume_state is not None else None
    return Isolation(setup.targets, tls(setup.options), stop, initially_unloaded=unloaded, say=view.say)


def _checks(setup: RunSetup, parts: Parts) -> CheckRunner | None:
    """What targets are asked to do beside the load; None where a run is nothing but load."""
    options = setup.options
    if options.capacity is not None:
        return None
    _, stamps = instrument(options)
    client = CheckClient(tls(options), parts.stop, stamps)
    done = options.resume_state.finished_checks if options.resume_state is not None else frozenset()
    prompt = setup.jobs.first_prompt_text(setup.run_id) if options.server_benchmark else None
    log_path = parts.recorder.folder / NAME
    count = token_count(setup.profile, setup.jobs, log_path, client) if options.count_tokens else None
    same_work = _same_work(setup, client, done)
    checks = CheckRunner(setup.profile, client, parts.stop, parts.recorder.check, prompt, done, same_work, count)
    return checks if checks and options.probe else None


def _same_work(setup: RunSetup, client: CheckClient, done: frozenset[tuple[str, str, str]]) -> SameWorkChecks | None:
    """What a comparison is checked by, as far as there is time for it."""
    budget = check_budget(setup.profile, setup.plan)
    if not budget.groups:
        return None
    questions = CheckQuestions(setup.profile.request, setup.book, setup.nonce_key)
    return SameWorkChecks(setup.profile, budget, questions, client, done, estimate_s(setup.profile, setup.plan))


def _strategy(setup: RunSetup, parts: Parts) -> Strategy:
    """What decides what is measured; the verdicts it looks at are those of what has been stored."""
    options, stored = setup.options, _stored_run(parts.recorder.folder / NAME)
    if options.capacity is not None:
        return _capacity_search(setup, parts, stored)
    if setup.profile.load.sweep:
        return _sweep(setup, stored)
    repeats = Repeats(_tainted(stored, parts.history))
    if options.detect is not None or options.budget is not None:
        from lmx_loadgen.session.sized import by_precision

        return by_precision(setup, parts, repeats, stored)
    if not options.until_conclusive:
        return FixedPlan(setup.plan, repeats)
    from lmx_loadgen.analysis.comparison.compare import conclusive
    from lmx_loadgen.analysis.comparison.looks import MOST_BLOCKS

    return UntilConclusive(
        setup.profile,
        list(setup.targets),
        setup.plan,
        repeats,
        lambda point: conclusive(stored(), point),
        MaxDuration(options.max_duration or DEFAULT_MAX_DURATION_S, parts.history.spent_s),
        MOST_BLOCKS,
    )


def _stored_run(log_path: Path) -> StoredRun:
    """What has been stored of the run until now. Each request is read once, however often it is asked for."""

    @cache
    def reader() -> "RunReader":
        from lmx_loadgen.analysis.measured_run import RunReader

        return RunReader(log_path)

    return lambda: reader().run()


def _capacity_search(setup: RunSetup, parts: Parts, stored: StoredRun) -> Strategy:
    from lmx_loadgen.analysis.capacity import tried_of
    from lmx_loadgen.analysis.capacity_search import ladder_of

    options = setup.options
    assert options.capacity is not None
    ladder = ladder_of(options.capacity, setup.profile.load.max_in_flight)
    return CapacitySearch(
        setup.profile,
        list(setup.targets),
        ladder,
        options.share,
        lambda target: tried_of(stored(), target, ladder),
        time_left(options.within, setup.began, parts.history.spent_s),
        parts.view.say,
    )


def _sweep(setup: RunSetup, stored: StoredRun) -> Strategy:
    from lmx_loadgen.analysis.sweep import swept_of
    from lmx_loadgen.session.sweep import Sweep

    return Sweep(setup.profile, setup.plan, lambda target: swept_of(stored(), target))


def _tainted(stored: StoredRun, history: History) -> Callable[[LoadPoint, int], bool]:
    """Whether this machine moved a round's figures, judged by what has been stored of it."""

    def tainted(point: LoadPoint, block: int) -> bool:
        if (point, block) not in history.delayed:
            return False  # no need to read all that was stored
        from lmx_loadgen.analysis.comparison.taint import is_round_tainted

        return is_round_tainted(stored(), point, block)

    return tainted
