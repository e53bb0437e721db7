"""`run --server-cmd` from its flags to its output: start, measure and end servers in random turns, and compare them."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from lmx_loadgen.analysis.comparison.blocks import arm_of
from lmx_loadgen.analysis.comparison.runs import compare_runs
from lmx_loadgen.analysis.comparison.sides import Rules, Side
from lmx_loadgen.analysis.measured_run import read_run
from lmx_loadgen.commands.run import exit_code_of, options_of, profile_of, view_of_run
from lmx_loadgen.commands.signals import StopSignals
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.report.comparison import print_comparison
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.plan import make_plan
from lmx_loadgen.session.plan_description import plan_description
from lmx_loadgen.session.restarts import Restarts, check_restarts
from lmx_loadgen.session.run_log import make_folder
from lmx_loadgen.session.started_server import ServerCommand, server_command
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.worker_count import with_calibration
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.eventlog import NAME
from lmx_loadgen.system import lock
from lmx_loadgen.system.clock import Anchor

# Stands for the address of a server that does not run yet.
_LATER = "http://127.0.0.1:1"


def restarts_command(flags: Mapping[str, Any]) -> int:
    """Measure as the flags say, store it, print it; the exit code. Raises LoadgenError; no server is left then."""
    commands = [server_command(text) for text in flags["server_cmds"]]
    if flags["targets"]:
        raise InputError("--server-cmd and --target do not go together: the servers that are started are the targets")
    if flags["cluster"]:
        raise InputError("--server-cmd and --cluster do not go together: the servers are started on this machine")
    if flags["repeat"] > 1:
        raise InputError(
            "--server-cmd and --repeat do not go together: --restarts says how many runs there are of each"
        )
    profile = profile_of({**flags, "targets": [f"{one.name}={_LATER}" for one in commands]})
    options = options_of(flags)
    check_restarts(commands, options)
    if flags["dry_run"]:
        click.echo("\n".join(_dry_run_lines(profile, commands, options, flags["restarts"])))
        return 0
    with lock.acquire(allow_concurrent=flags["allow_concurrent"]) as locked:
        restarts, exit_code = _measured(profile, commands, replace(options, lock=locked), flags)
    _print(restarts, _comparisons(restarts, options), flags)
    return exit_code


def _measured(
    profile: Profile, commands: Sequence[ServerCommand], options: Options, flags: Mapping[str, Any]
) -> tuple[Restarts, int]:
    stop, names = StopFlag(), [command.name for command in commands]
    folder = make_folder(options.out, names, f"restarts-{secrets.token_hex(2)}", Anchor.take())
    exit_code, has_workers = 0, flags["workers"] is not None
    with view_of_run(flags) as view:
        signals = StopSignals(stop, view.left_unrestored)
        with signals.armed():
            options, calibrated = with_calibration(
                options, profile, stop, view, chooses_workers=has_workers, calibrates=not flags["no_calibrate"]
            )
            restarts = Restarts(profile, commands, flags["restarts"], options, folder)
            for outcome in restarts.run(stop, Path(), view, lambda: calibrated):
                if exit_code := exit_code_of(outcome.result, signals.number):
                    break
    return restarts, 128 + signals.number if signals.number is not None else exit_code


def _comparisons(restarts: Restarts, options: Options) -> list[Comparison]:
    """Every two servers, each restart one observation; all of them are one family."""
    pairs = list(combinations([one.name for one in restarts.commands if one.name in restarts.outcomes], 2))
    rules = Rules(accepted=options.accept, comparisons=len(pairs) * len(restarts.profile.load.points()))
    sides = {
        name: Side([arm_of(read_run(one.folder / NAME), name) for one in outcomes])
        for name, outcomes in restarts.outcomes.items()
    }
    return [compare_runs(sides[a], sides[b], rules) for a, b in pairs]


def _dry_run_lines(profile: Profile, commands: Sequence[ServerCommand], options: Options, restarts: int) -> list[str]:
    turns = Restarts(profile, commands, restarts, options, Path()).turns()
    one = profile.model_copy(update={"targets": profile.targets[:1]})
    return [
        *(f"{command.name}: {' '.join(command.words)}" for command in commands),
        f"each started {restarts} times: {', '.join(' '.join(command.name for command in turn) for turn in turns)}",
        "and every time:",
        *plan_description(one, make_plan(one, [one.targets[0].name]), options),
    ]


def _print(restarts: Restarts, comparisons: Sequence[Comparison], flags: Mapping[str, Any]) -> None:
    folders = {name: [str(one.folder) for one in outcomes] for name, outcomes in restarts.outcomes.items()}
    if flags["as_json"]:
        found = [one.model_dump(mode="json") for one in comparisons]
        click.echo(json.dumps({"folder": str(restarts.folder), "runs": folders, "comparisons": found}, indent=1))
    elif not flags["quiet"]:
        console = Console()
        for one in comparisons:
            print_comparison(one, console, all_notes=flags["verbose"])
        click.echo(f"stored in {restarts.folder}")
        if len(folders) > 1:
            a, b = list(folders)[:2]
            again = f"lmx-loadgen compare --base {restarts.folder / a} --new {restarts.folder / b}"
            click.echo(f"Compare again: {again}")
