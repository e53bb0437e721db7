"""`--dry-run`: everything that a run opens and asks before it measures, and how long it will take by what was measured
before. Servers are only read from; nothing is started and nothing is stored."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.profile.replay import asked_prompts
from lmx_loadgen.session import machine_limits
from lmx_loadgen.session.instrument import tls
from lmx_loadgen.session.last_rates import Rate, last_rates, seconds_of
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.ownership import check_owned
from lmx_loadgen.session.plan import Segment, estimate_s, make_plan
from lmx_loadgen.session.plan_description import plan_description
from lmx_loadgen.session.token_counter import token_counter
from lmx_loadgen.system import folders
from lmx_loadgen.targets.address import dialect_of
from lmx_loadgen.targets.base import Target, keys_of
from lmx_loadgen.targets.prepare import Access, prepare


@dataclass(frozen=True)
class _Asked:
    """The targets that are ready, by name, and why others are not."""

    ready: Mapping[str, Target]
    faults: Sequence[LoadgenError]


def dry_run(profile: Profile, options: Options, say: Callable[[str], None]) -> None:
    """Say what a run of this profile would do, a line each. Raises the LoadgenError that it would end with before it
    measures: of a file at once, of servers once the plan is said."""
    options.check(profile)
    _open_files(profile, options)
    if not options.i_own_this_server:
        check_owned(profile, goes_on=options.goes_on)
    asked = anyio.run(_asked, profile, options)
    keys = keys_of(asked.ready.values())  # one server may repeat what another was sent
    for spec in profile.targets:
        if (line := _target_line(spec, asked.ready.get(spec.name))) is not None:
            say(keys.redact(line))
    names = [spec.name for spec in profile.targets]
    plan = make_plan(profile, names, options.first_rounds(len(names)))
    rates = last_rates(options.out, asked.ready.values())
    description = plan_description(profile, plan, options, _estimate(profile, plan, rates))
    for line in [*description, *machine_limits.warnings(profile, options)]:
        say(line)
    if len(asked.faults) > 1:
        raise type(asked.faults[0])("; and ".join(str(fault) for fault in asked.faults))
    if asked.faults:
        raise asked.faults[0]


def _open_files(profile: Profile, options: Options) -> None:
    """Every file that the run will read. Raises ProfileError and InputError."""
    if options.reference is not None:
        from lmx_loadgen.store.reference import read_reference

        read_reference(options.reference)
    asked_prompts(profile, Path())
    if profile.tokenizer is not None:
        token_counter(profile.tokenizer, Path())
    tls(options)
    machine_limits.require(profile, options.workers)


async def _asked(profile: Profile, options: Options) -> _Asked:
    """Who answers, and with which model: by GETs alone. The run's own simulator is not there yet."""
    access = Access(
        os.environ,
        folders.home(),
        tls(options),
        needs_admin=options.isolate,
        allow_plain_http=options.allow_plain_http,
    )
    ready: dict[str, Target] = {}
    faults: list[LoadgenError] = []
    for spec in profile.targets:
        if not _is_started_by_run(spec):
            try:
                ready[spec.name] = await prepare(spec, access, may_load=options.isolate)
            except LoadgenError as fault:
                faults.append(fault)
    return _Asked(ready, faults)


def _is_started_by_run(spec: TargetSpec) -> bool:
    return spec.url is None and dialect_of(spec).name == "sim"


def _target_line(spec: TargetSpec, target: Target | None) -> str | None:
    """What answers, in words; None where nothing does."""
    if target is None:
        return f"{spec.name}: the built-in simulator, started by the run" if _is_started_by_run(spec) else None
    title, version = target.server.get("title") or target.dialect.title, target.server.get("version")
    notes = "".join(f"; {note}" for note in target.notes)
    return f"{spec.name}: {title}{f' {version}' if version else ''} at {target.base_url}, {target.model}{notes}"


def _estimate(profile: Profile, plan: Sequence[Segment], rates: Mapping[str, Rate]) -> str | None:
    """About how long the run will take; None where nothing was measured of any target."""
    if not rates:
        return None
    seconds = profile.load.pause * max(0, len(plan) - 1)
    for segment in plan:
        if (rate := rates.get(segment.target)) is not None:
            seconds += seconds_of(segment, rate, profile.request.max_tokens)
        else:
            seconds += estimate_s(profile, [segment])
    by = ", ".join(f"{name} {rate.words}" for name, rate in rates.items())
    assumed = [spec.name for spec in profile.targets if spec.name not in rates]
    beside = f"; {', '.join(assumed)} assumed" if assumed else ""
    return f"about {max(1, round(seconds / 60))} min at the rates last measured: {by}{beside}"
