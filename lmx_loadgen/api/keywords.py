"""The keywords of `run` and `arun`: the profile's own keys in plain form, how it is measured, and what is around it."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypedDict

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.checks import Checks
from lmx_loadgen.profile.durations import seconds, share
from lmx_loadgen.profile.models import Load, Profile, Prompts, Request, Slo, Timeouts
from lmx_loadgen.session.asked_profile import asked_profile
from lmx_loadgen.session.options import Options

Seconds = float | str  # 30, "30s", "2m"


class Keywords(TypedDict, total=False):
    """What may be said of a run. What is left out is as in the profile, or as the command line has it."""

    # Which profile, and which model: of the only target, or by the targets' names
    profile: str | Path
    model: str | Mapping[str, str]
    # `load` of a profile
    concurrency: int | Sequence[int]
    shapes: str | Sequence[str]
    users: int | Sequence[int]
    think: Seconds | Literal["reading"]
    rate: float | Sequence[float] | Literal["sweep"]
    arrivals: Literal["poisson", "constant"]
    replay: str | Path | None
    max_in_flight: int
    requests: int | None
    duration: Seconds | None
    warmup: int
    stagger: Seconds
    blocks: int | None
    pause: Seconds
    max_errors: int | None
    max_error_rate: float | str | None
    # `request`
    max_tokens: int
    temperature: float
    seed: int | None
    ignore_eos: bool
    extra: Mapping[str, Any]
    # `prompts`: one text, or a file of them, or the built-in ones of these lengths
    prompt: str | None
    prompts: str | Path | None
    chats: str | Path | None
    answers: Literal["recorded", "live"]
    shared_system: str | Path | None
    column: str | None
    sample: int | None
    lengths: Sequence[Literal["short", "medium", "long"]]
    cache: Literal["unique", "repeat"]
    # `timeouts`
    connect_timeout: Seconds
    first_token_timeout: Seconds
    gap_timeout: Seconds
    request_timeout: Seconds
    no_progress_timeout: Seconds | None
    # `slo`; with a unit: 2 could be seconds or milliseconds
    slo_ttft: str | None
    slo_tpot: str | None
    slo_e2e: str | None
    # `checks`
    include_tool_call: bool
    tool_calls: Sequence[Mapping[str, Any]]
    include_skills: Sequence[str | Mapping[str, Any]]
    skill_timeout: Seconds
    stability: bool
    # The rest of a profile
    endpoint: Literal["chat", "completions"]
    tokenizer: str | Path | None
    reading_tok_s: float
    # How it is measured and stored
    out: str | Path
    loop: Literal["uvloop", "asyncio"] | None
    stamps: Literal["kernel", "loop"] | None
    workers: int | None
    insecure: bool
    ca_file: str | Path | None
    probe: bool
    accept: str | None
    until_conclusive: bool
    no_text: bool
    detect: float | str | None
    budget: Seconds | None
    isolate: bool
    max_duration: Seconds | None
    reference: str | Path | None
    server_benchmark: bool
    i_own_this_server: bool
    allow_plain_http: bool
    # Around it
    calibrate: bool
    allow_concurrent: bool
    progress: bool


def _profile_keys() -> Iterator[tuple[str, str]]:
    """Each keyword that is a profile's key, and that key with its dots."""
    for section, model in (("load", Load), ("request", Request), ("checks", Checks)):
        # A sweep is a `rate`.
        yield from ((key, f"{section}.{key}") for key in model.model_fields if key != "sweep")
    yield from ((f"{key}_timeout", f"timeouts.{key}") for key in Timeouts.model_fields)
    yield from ((f"slo_{key}", f"slo.{key}") for key in Slo.model_fields)
    plain = {"text": "prompt", "file": "prompts"}
    yield from ((plain.get(key, key), f"prompts.{key}") for key in Prompts.model_fields)
    parts = {"load", "request", "checks", "timeouts", "slo", "prompts", "targets", "name", "description"}
    yield from ((key, key) for key in Profile.model_fields if key not in parts)


PROFILE_KEYS = dict(_profile_keys())
# Options that are for those who run sessions of their own, as the service does.
_INNER = {
    *("lock", "resume_state", "probe_cache", "count_tokens", "start_worker", "start_sim", "known_servers"),
    *("capacity", "share", "within", "cluster", "nodes", "workers_why"),
}
OPTIONS = tuple(one.name for one in fields(Options) if one.name not in _INNER)
AROUND = ("profile", "model", "calibrate", "allow_concurrent", "progress")


def _read(name: str, reader: Callable[[Any], float]) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        try:
            return reader(value)
        except ValueError as problem:
            raise InputError(f"{name}: {problem}, got {value!r}") from None

    return read


_OPTION_TYPES: dict[str, Callable[[Any], Any]] = {
    "out": Path,
    "reference": Path,
    "ca_file": str,
    "max_duration": _read("max_duration", seconds),
    "budget": _read("budget", seconds),
    "detect": _read("detect", share),
}


@dataclass(frozen=True)
class Arguments:
    """What a call asks for. `chooses_workers` says whether it names their number."""

    profile: Profile
    options: Options
    chooses_workers: bool
    calibrate: bool = True
    allow_concurrent: bool = False
    progress: bool = False


def check_names(function: str, given: Iterable[str]) -> None:
    """Raises TypeError for a keyword that there is not, naming those that there are."""
    allowed = sorted([*AROUND, *PROFILE_KEYS, *OPTIONS])
    for name in given:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            words = f"{function}() got an unexpected keyword argument {name!r}{hint}"
            raise TypeError(f"{words} (allowed: {', '.join(allowed)})")


def arguments(targets: Sequence[str], given: Mapping[str, Any]) -> Arguments:
    """What targets and keywords of known names ask for. Raises ProfileError or InputError."""
    profile = asked_profile(
        str(given.get("profile", "quick")),
        targets=targets,
        models=list(_models(given.get("model"))),
        overrides={dotted: _plain(given[name]) for name, dotted in PROFILE_KEYS.items() if name in given},
        flags={dotted: name for name, dotted in PROFILE_KEYS.items()},
    )
    around = {name: given[name] for name in ("calibrate", "allow_concurrent", "progress") if name in given}
    return Arguments(profile, _options(given), given.get("workers") is not None, **around)


def _options(given: Mapping[str, Any]) -> Options:
    values = {name: given[name] for name in OPTIONS if given.get(name) is not None}
    made = {name: _OPTION_TYPES[name](value) if name in _OPTION_TYPES else value for name, value in values.items()}
    return Options(**made)


def _models(model: str | Mapping[str, str] | None) -> Iterator[str]:
    if isinstance(model, Mapping):
        yield from (f"{target}={name}" for target, name in model.items())
    elif model is not None:
        yield model


def _plain(value: Any) -> Any:
    """A value as a profile's file could have it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
