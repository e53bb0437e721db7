"""`run` from its flags to its output: make the options, measure, print the result."""

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console

from lmx_loadgen.commands.run_flags import PROFILE_FLAGS, RUN_FLAGS
from lmx_loadgen.errors import NothingMeasured, StoppedEarly
from lmx_loadgen.report.progress import ProgressView
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.terminal import print_summary, summary_json
from lmx_loadgen.session.calibrated import calibration_for_run, workers_for
from lmx_loadgen.session.options import Options, resolved_profile, resume_options
from lmx_loadgen.session.outcome import RunOutcome
from lmx_loadgen.session.plan_description import dry_run_lines
from lmx_loadgen.session.run import run
from lmx_loadgen.system import lock


def run_command(flags: Mapping[str, Any]) -> int:
    """Measure as the flags of `run` say, store it, print it; the exit code. Raises LoadgenError."""
    if flags["resume"]:
        _check_flags_with_resume(click.get_current_context())
    options = _options(flags)
    if flags["dry_run"]:
        repeated = [f"all of it {flags['repeat']} times, each a run of its own"] if flags["repeat"] > 1 else []
        click.echo("\n".join(dry_run_lines(options) + repeated))
        return 0
    with lock.acquire(allow_concurrent=flags["allow_concurrent"]) as locked:
        for _ in range(flags["repeat"]):
            outcome = _measure(options, flags, locked)
            _print(outcome, flags)
            if outcome.exit_code:
                break
    return outcome.exit_code


def _check_flags_with_resume(ctx: click.Context) -> None:
    for flag in RUN_FLAGS:
        is_given = ctx.get_parameter_source(flag.name or "") is ParameterSource.COMMANDLINE
        if is_given and not flag.with_resume:
            raise click.UsageError(f"{flag.opts[0]} cannot be given with --resume: the run goes on as it was begun")


def _options(flags: Mapping[str, Any]) -> Options:
    """What the flags ask for: those with a profile key override the profile, those named like an option set it."""
    given = {key: flags[flag.name] for key, flag in PROFILE_FLAGS.items()}
    overrides = {key: value for key, value in given.items() if value not in (None, ())}
    if "load.duration" in overrides:  # by time alone, where no number was asked for
        overrides.setdefault("load.requests", None)
    named = {field.name: flags[field.name] for field in fields(Options) if field.name in flags}
    named["workers"] = flags["workers"] or 1
    return Options(overrides=overrides, flags={key: flag.opts[0] for key, flag in PROFILE_FLAGS.items()}, **named)


def _measure(options: Options, flags: Mapping[str, Any], locked: lock.Lock) -> RunOutcome:
    silent = flags["as_json"] or flags["quiet"]
    with ProgressView(Console(stderr=True), quiet=silent) as view:
        options = replace(options, lock=locked) if not flags["resume"] else resume_options(flags["resume"], locked)
        for warning in locked.warnings:
            view.say(warning)
        if options.resume_state is not None:
            return run(options, view, lambda loop, stamps: None)
        if flags["workers"] is None:
            slots = resolved_profile(options).load.heaviest().slots
            options = replace(options, workers=workers_for(options, slots))
        if flags["no_calibrate"]:
            return run(options, view, lambda loop, stamps: None)
        return run(options, view, calibration_for_run(options, view.say))


def _print(outcome: RunOutcome, flags: Mapping[str, Any]) -> None:
    result = outcome.result.as_dict()
    if flags["as_json"]:
        click.echo(json.dumps({**summary_json(result), "folder": str(outcome.folder)}, indent=1))
    elif not flags["quiet"]:
        print_summary(result, Console())
        click.echo(f"stored in {outcome.folder}")
        if not outcome.result.complete:
            click.echo(f"go on with it: lmx-loadgen run --resume {outcome.folder}")
    if outcome.exit_code == NothingMeasured.exit_code:
        click.echo(f"Error: every request failed; what the server said is in {outcome.folder}", err=True)
    if outcome.exit_code == StoppedEarly.exit_code:
        reason = sanitize(outcome.result.reason, 4000)
        click.echo(f"Error: {reason}; what was measured is in {outcome.folder}", err=True)
