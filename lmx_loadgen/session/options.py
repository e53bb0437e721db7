"""What was asked for on the command line, and the profile that results from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.loading import load_profile, overridden
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.session.plan import blocks_of
from lmx_loadgen.session.resume import ResumeState, load_resume_state
from lmx_loadgen.system.lock import Lock
from lmx_loadgen.targets.own import find_target, with_address

DEFAULT_MAX_DURATION_S = 1200.0  # of --until-conclusive
_MIN_BLOCKS_UNTIL_CONCLUSIVE = 4
# Options that a header keeps for nothing but resuming the run.
RESUMED_OPTIONS = (
    *("insecure", "ca_file", "probe", "isolate", "max_duration", "server_benchmark"),
    *("i_own_this_server", "allow_plain_http"),
)


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
    until_conclusive: bool = False
    isolate: bool = False
    max_duration: float | None = None
    reference: Path | None = None
    server_benchmark: bool = False
    lock: Lock | None = None
    resume_state: ResumeState | None = None
    i_own_this_server: bool = False
    allow_plain_http: bool = False


def resolved_profile(options: Options) -> Profile:
    """The profile with every flag applied, targets and models included; that of a resumed run is its own.

    Raises ProfileError, InputError or NotResumable.
    """
    if options.resume_state is not None:
        return options.resume_state.profile
    profile = overridden(load_profile(options.profile), options.overrides, options.flags)
    specs = [find_target(text) for text in options.targets] or [with_address(spec) for spec in profile.targets]
    specs = specs or [TargetSpec(name="sim")]
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--target {name} is given twice; name one of them otherwise, like {name}2=URL")
    for text in options.models:
        specs = _with_model(specs, text)
    profile = profile.model_copy(update={"targets": specs})
    if options.until_conclusive:
        _check_until_conclusive(profile)
    elif options.max_duration is not None:
        raise InputError("--max-duration goes with --until-conclusive: it limits the blocks that are added")
    if options.accept is not None and not options.accept.strip():
        raise InputError("--accept needs a reason, which then stands in the result")
    if options.isolate and len(specs) < 2:
        raise InputError("--isolate needs two targets: alone, a server has the machine to itself")
    return profile


def resume_options(folder: Path, lock: Lock | None = None) -> Options:
    """How to resume the run in `folder`: as it was begun. Raises ResultError or NotResumable."""
    resume_state = load_resume_state(folder)
    header = resume_state.header
    return Options(
        loop=header["instrument"]["loop"],
        stamps=header["instrument"]["stamps"],
        workers=header["instrument"]["workers"],
        accept=header.get("accepted"),
        until_conclusive=header["until_conclusive"],
        lock=lock,
        resume_state=resume_state,
        **{name: resume_state.resume_info[name] for name in RESUMED_OPTIONS if name in resume_state.resume_info},
    )


def _check_until_conclusive(profile: Profile) -> None:
    targets = len(profile.targets)
    if targets < 2:
        raise InputError("--until-conclusive needs two targets to compare: give --target twice")
    if blocks_of(profile.load, targets) < _MIN_BLOCKS_UNTIL_CONCLUSIVE:
        raise InputError(f"--until-conclusive needs --blocks of at least {_MIN_BLOCKS_UNTIL_CONCLUSIVE} to begin with")


def _with_model(specs: list[TargetSpec], text: str) -> list[TargetSpec]:
    name, sign, model = text.partition("=")
    if sign and name in [spec.name for spec in specs]:
        return [spec.model_copy(update={"model": model}) if spec.name == name else spec for spec in specs]
    if len(specs) > 1:
        raise InputError(f"--model {text!r}: with several targets say which one, like --model {specs[0].name}=ID")
    return [specs[0].model_copy(update={"model": text})]
