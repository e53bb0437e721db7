"""`capacity` from its flags to its output: search, store, print."""

import json
from collections.abc import Mapping
from typing import Any

import click

from lmx_loadgen.commands.flags import Flag
from lmx_loadgen.commands.run import check_flags_with_resume, exit_code_of, measured, with_asked_targets
from lmx_loadgen.commands.run_flags import RUN_FLAGS
from lmx_loadgen.errors import InputError, NoLoadFails, NoLoadPasses
from lmx_loadgen.report.capacity import capacity_lines
from lmx_loadgen.session.outcome import RunOutcome
from lmx_loadgen.store.result import RunResult
from lmx_loadgen.system import lock

_LIMITS = ("slo_ttft", "slo_tpot", "slo_e2e")


def capacity_command(given: Mapping[str, Any]) -> int:
    """Search as the flags say, store it, print it; the exit code. Raises LoadgenError."""
    flags = {str(flag.name): _not_given(flag) for flag in RUN_FLAGS} | dict(given)
    if flags["resume"]:
        check_flags_with_resume(flags["resume"])
    elif not any(flags[name] for name in _LIMITS):
        raise InputError("capacity needs a limit that requests must keep: --slo-ttft 2s, --slo-tpot 100ms or --slo-e2e")
    flags |= _load_of(flags)
    with lock.acquire(allow_concurrent=flags["allow_concurrent"]) as locked:
        flags = flags if flags["resume"] else dict(with_asked_targets(flags))
        outcome, signal = measured(flags, locked)
    _print(outcome, flags)
    return exit_code_of(outcome.result, signal) or _own_exit_code(outcome.result)


def _not_given(flag: Flag) -> Any:
    """What a flag of `run` is that `capacity` does not have."""
    if flag.multiple:
        return ()
    return False if flag.is_flag and not flag.secondary_opts else None


def _load_of(flags: Mapping[str, Any]) -> dict[str, Any]:
    """What a search sets itself: it begins with one request at a time or one a second, and asks for nothing beside."""
    by = {"rate": [1.0]} if flags["by"] == "rate" else {"concurrency": [1]}
    return {"capacity": flags["by"], "stability": False, "probe_cache": False, "repeat": 1, **by}


def _own_exit_code(result: RunResult) -> int:
    found = [target.capacity for target in result.targets if target.capacity is not None]
    if any(one.passes is None for one in found):
        return NoLoadPasses.exit_code
    return NoLoadFails.exit_code if any(one.fails is None for one in found) else 0


def _print(outcome: RunOutcome, flags: Mapping[str, Any]) -> None:
    result = outcome.result
    found = {target.name: target.capacity for target in result.targets if target.capacity is not None}
    if flags["as_json"]:
        each = {name: one.model_dump(mode="json") for name, one in found.items()}
        click.echo(
            json.dumps(
                {
                    "capacity": next(iter(each.values()), None) if len(result.targets) == 1 else each,
                    "ratios": [one.model_dump(mode="json") for one in result.capacity_ratios],
                    "complete": result.complete,
                    "folder": str(outcome.folder),
                },
                indent=1,
            )
        )
    elif not flags["quiet"]:
        for line in capacity_lines(result):
            click.echo(line)
        click.echo(f"stored in {outcome.folder}")
        if not result.complete:
            click.echo(f"resume it: lmx-loadgen capacity --resume {outcome.folder}")
