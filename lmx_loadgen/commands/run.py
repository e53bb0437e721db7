"""`run` from its flags to its output: make the options, measure, print the result."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console

from lmx_loadgen.commands.flags import Flag
from lmx_loadgen.commands.run_flags import PROFILE_FLAGS, RUN_FLAGS
from lmx_loadgen.commands.signals import StopSignals
from lmx_loadgen.errors import NothingMeasured, ResultError, StoppedEarly
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.report.progress import ProgressView
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.session.asked_profile import asked_profile
from lmx_loadgen.session.options import Options, StartSim, resume_options
from lmx_loadgen.session.outcome import RunOutcome
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.worker_count import with_calibration, with_workers
from lmx_loadgen.store.eventlog import NAME
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import RunResult
from lmx_loadgen.system import lock
from lmx_loadgen.targets.address import AUTO


def run_command(flags: Mapping[str, Any], start_sim: StartSim | None = None) -> int:
    """Measure as the flags of `run` say, store it, print it; the exit code. `start_sim` starts a simulator where it is
    not to be started as usual. Raises LoadgenError."""
    if flags["resume"]:
        check_flags_with_resume(flags["resume"])
    if flags["cluster"] and flags["workers"]:
        raise click.UsageError("--cluster and --workers do not go together: each node has one measuring process")
    if flags["server_cmds"]:
        from lmx_loadgen.commands.restarts import restarts_command

        return restarts_command(flags)
    if flags["dry_run"]:
        from lmx_loadgen.session.dry_run import dry_run

        flags = with_asked_targets(flags)
        profile, options = profile_of(flags), options_of(flags)
        if flags["workers"] is None:
            options = with_workers(options, profile, None)
        dry_run(profile, options, lambda words: click.echo(sanitize(words, 4000)))
        if flags["repeat"] > 1:
            click.echo(f"repeated {flags['repeat']} times, each as a run of its own")
        return 0
    with lock.acquire(allow_concurrent=flags["allow_concurrent"]) as locked:
        flags = flags if flags["resume"] else with_asked_targets(flags)
        for _ in range(flags["repeat"]):
            outcome, signal = measured(flags, locked, start_sim)
            exit_code = exit_code_of(outcome.result, signal)
            _print(outcome, flags, exit_code)
            if exit_code:
                break
    return exit_code


def check_flags_with_resume(folder: Path) -> None:
    """Raises UsageError for a flag that says how a run is made, where the one in `folder` is resumed."""
    for flag in RUN_FLAGS:
        if _is_given(flag) and not flag.with_resume and not (flag.has_text and _has_no_text(folder)):
            raise click.UsageError(
                f"{flag.opts[0]} cannot be combined with --resume: the run resumes with its original settings"
            )


def _has_no_text(folder: Path) -> bool:
    with suppress(ResultError):
        return bool(read_log(folder / NAME).header.get("no_text"))
    return False


def _is_given(flag: Flag) -> bool:
    source = click.get_current_context().get_parameter_source(flag.name or "")
    return source is ParameterSource.COMMANDLINE


def with_asked_targets(flags: Mapping[str, Any]) -> Mapping[str, Any]:
    """The flags with targets; what is wrong with the others is known before anybody is asked which."""
    if flags["targets"] and AUTO not in flags["targets"]:
        return flags
    from lmx_loadgen.commands.choose import with_targets

    return with_targets(flags, profile_of({**flags, "targets": (), "models": ()}))


def profile_of(flags: Mapping[str, Any]) -> Profile:
    """What the flags ask for: those with a profile key override the profile."""
    given = {key: flags[flag.name] for key, flag in PROFILE_FLAGS.items()}
    overrides = {key: value for key, value in given.items() if value not in (None, ())}
    named = {key: flag.opts[0] for key, flag in PROFILE_FLAGS.items()}
    asked = {"targets": flags["targets"], "models": flags["models"]}
    return asked_profile(flags["profile"], **asked, overrides=overrides, flags=named)


def options_of(flags: Mapping[str, Any]) -> Options:
    """How the flags ask for it: those named like an option set it."""
    named = {field.name: flags[field.name] for field in fields(Options) if field.name in flags}
    return Options(**{**named, "workers": flags["workers"] or 1})


def measured(
    flags: Mapping[str, Any], locked: lock.Lock, start_sim: StartSim | None = None
) -> tuple[RunOutcome, int | None]:
    """One run, and the signal that stopped it, if one did."""
    stop = StopFlag()
    with view_of_run(flags) as view:
        signals = StopSignals(stop, lambda: view.left_unrestored())
        for warning in locked.warnings:
            view.say(warning)
        if flags["resume"]:
            given = profile_of(flags) if any(_is_given(flag) for flag in RUN_FLAGS if flag.has_text) else None
            options = resume_options(flags["resume"], locked, given)
            options = replace(options, cluster=flags["cluster"] or options.cluster)
            assert options.resume_state is not None
            profile = options.resume_state.profile
        else:
            profile, options = profile_of(flags), replace(options_of(flags), lock=locked)
            if start_sim is not None:
                options = replace(options, start_sim=start_sim)
        # Each node of a cluster has one process.
        has_workers = flags["workers"] is not None or options.cluster is not None
        calibrates = not flags["no_calibrate"]
        with signals.armed():
            calibrated = None
            if not flags["resume"]:
                options, calibrated = with_calibration(
                    options, profile, stop, view, chooses_workers=has_workers, calibrates=calibrates
                )
            outcome = run_blocking(
                profile, options=options, stop=stop, base_dir=Path(), view=view, calibrated=calibrated
            )
    return outcome, signals.number


def view_of_run(flags: Mapping[str, Any]) -> ProgressView:
    """What is shown on stderr meanwhile."""
    return ProgressView(Console(stderr=True), quiet=flags["as_json"] or flags["quiet"])


def exit_code_of(result: RunResult, signal: int | None) -> int:
    if signal is not None:
        return 128 + signal
    counts = [level.requests for target in result.targets for level in target.levels]
    # A level that was aborted in silence has no failed request, only such as were never answered.
    if not any(count.ok for count in counts) and (result.complete or any(count.failed for count in counts)):
        return NothingMeasured.exit_code
    return 0 if result.complete else StoppedEarly.exit_code


def _print(outcome: RunOutcome, flags: Mapping[str, Any], exit_code: int) -> None:
    # Imported after the run, and not before its first request.
    if flags["as_json"]:
        from lmx_loadgen.report.terminal import summary_json

        click.echo(json.dumps({**summary_json(outcome.result), "folder": str(outcome.folder)}, indent=1))
    elif not flags["quiet"]:
        from lmx_loadgen.report.run_screen import print_run

        print_run(outcome.result, outcome.folder, Console(), all_notes=flags["verbose"])
    if exit_code == NothingMeasured.exit_code:
        click.echo(f"Error: every request failed; what the server said is in {outcome.folder}", err=True)
    if exit_code == StoppedEarly.exit_code:
        reason = sanitize(outcome.result.reason, 4000)
        click.echo(f"Error: {reason}; what was measured is in {outcome.folder}", err=True)
