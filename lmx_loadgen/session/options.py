"""What was asked for on the command line, and the profile and plan that it comes to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import Profile, TargetSpec, load_profile, overridden
from lmx_loadgen.session.plan import Segment, blocks_of, described, make_plan
from lmx_loadgen.session.resume import ResumeState, load_resume_state
from lmx_loadgen.system.lock import Lock
from lmx_loadgen.targets.address import parse_target

_FEWEST_TO_SETTLE = 4
MOST_TO_SETTLE_S = 1200.0


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
    lock: Lock | None = None
    resume_state: ResumeState | None = None
    i_own_this_server: bool = False
    allow_plain_http: bool = False


def resolved_profile(options: Options) -> Profile:
    """The profile with every flag applied, targets and models included; that of a run that goes on is its own.

    Raises ProfileError, InputError or NotResumable.
    """
    if options.resume_state is not None:
        return options.resume_state.profile
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


def resume_options(folder: Path, lock: Lock | None = None) -> Options:
    """How to go on with the run in `folder`: as it was begun. Raises ResultError or NotResumable."""
    resume_state = load_resume_state(folder)
    how, kept = resume_state.header["instrument"], resume_state.resume_info
    return Options(
        loop=how["loop"],
        stamps=how["stamps"],
        workers=how["workers"],
        accept=resume_state.header.get("accepted"),
        until_settled=resume_state.header["until_settled"],
        lock=lock,
        resume_state=resume_state,
        **{name: kept[name] for name in KEPT if name in kept},
    )


# Options that only a run that goes on needs to know again.
KEPT = (
    "insecure",
    "ca_file",
    "probe",
    "isolate",
    "max_duration",
    "server_benchmark",
    "i_own_this_server",
    "allow_plain_http",
)


def dry_run_lines(options: Options) -> list[str]:
    """The plan of a run in words, as `--dry-run` prints it. No server is asked anything; a reference file is read, so
    that what is wrong with it is known before the run. Raises InputError and ProfileError."""
    if options.reference is not None:
        from lmx_loadgen.store.reference import read_reference

        read_reference(options.reference)
    profile = resolved_profile(options)
    return plan_description(profile, make_plan(profile, [spec.name for spec in profile.targets]), options)


def plan_description(profile: Profile, plan: Sequence[Segment], options: Options) -> list[str]:
    lines = described(profile, plan, [spec.name for spec in profile.targets])
    if options.server_benchmark:
        lines.append("and Opta-LMX measures itself, one answer after the other")
    if options.until_settled:
        from lmx_loadgen.analysis.comparison.verdict import MOST_BLOCKS

        lines.append("then, at each level, two rounds more at a time until its verdicts are settled:")
        most = (options.max_duration or MOST_TO_SETTLE_S) / 60
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
