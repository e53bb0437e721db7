"""Load profiles: YAML into a `Profile`, with every mistake named by file and key."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt, ValidationError, model_validator

from lmx_loadgen.errors import InputError, LoadgenError, ProfileError
from lmx_loadgen.profile.checks import Checks
from lmx_loadgen.profile.durations import seconds, seconds_or_auto, share
from lmx_loadgen.profile.fields import DAY_S, ConcurrencyLevel, Duration, Name, Number, ProfilePart, VariableName
from lmx_loadgen.profile.strict_yaml import read_yaml
from lmx_loadgen.system import package_data

_NO_PROGRESS_S = 120.0
_KEY_VARIABLES = ("api_key_env", "admin_key_env")


def _levels(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, list | tuple) and all(isinstance(level, int) for level in value):
        if len(set(value)) != len(value):
            raise ValueError("must not name a level twice")
        return sorted(value)
    return value


def _target(value: Any) -> Any:
    if isinstance(value, str):
        name, _, url = value.partition("=")
        return {"name": name, "url": url or None}
    return value


class TargetSpec(ProfilePart):
    """A server to measure. `dialect` defaults to `name`; `url` and the key variables to that dialect's own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
    url: str | None = None
    model: Name | None = None
    dialect: str | None = None
    api_key_env: VariableName | None = None
    admin_key_env: VariableName | None = None


class Load(ProfilePart):
    """A closed loop: `concurrency` levels, and for each `requests` and/or `duration` (seconds).

    With neither, a level has ten requests or four per slot, whichever is more. Several targets share a level in
    `blocks` that take turns, with `pause` seconds before each. A level is given up, and with it the rest
    of its target, once `max_errors` of its requests have failed, or more than the share `max_error_rate` of the last
    twenty.
    """

    concurrency: Annotated[list[ConcurrencyLevel], BeforeValidator(_levels)] = Field(
        default=[1], min_length=1, max_length=64
    )
    requests: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    duration: Duration | None = None
    warmup: Annotated[StrictInt, Field(ge=0, le=100)] = 1
    stagger: Annotated[
        Literal["auto"] | Annotated[float, Field(ge=0, le=DAY_S, allow_inf_nan=False)], BeforeValidator(seconds_or_auto)
    ] = "auto"
    blocks: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    pause: Annotated[float, BeforeValidator(seconds), Field(ge=0, le=3600, allow_inf_nan=False)] = 2.0
    max_errors: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    max_error_rate: Annotated[float, BeforeValidator(share), Field(ge=0, lt=1, allow_inf_nan=False)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_former_name(cls, value: Any) -> Any:
        """`settle` is what `pause` was called until 0.1; 0.2 no longer knows it."""
        if isinstance(value, dict) and "settle" in value and "pause" not in value:
            return {"pause" if key == "settle" else key: one for key, one in value.items()}
        return value


class Prompts(ProfilePart):
    """What is asked: built-in prompts of the given lengths, or one text, or a file of prompts."""

    lengths: list[Literal["short", "medium", "long"]] = Field(default=["short", "medium", "long"], min_length=1)
    text: Annotated[str, Field(min_length=1, max_length=10_000_000)] | None = None
    file: Name | None = None
    cache: Literal["unique", "repeat"] = "unique"


class Request(ProfilePart):
    """What every request asks for."""

    max_tokens: Annotated[StrictInt, Field(ge=1, le=131_072)] = 200
    temperature: Annotated[Number, Field(ge=0, le=2)] = 0.0
    seed: Annotated[StrictInt, Field(ge=0, lt=2**31)] | None = 42
    ignore_eos: StrictBool = False


class Timeouts(ProfilePart):
    """Bounds on waits, in seconds; each of a request has its own outcome when it is passed.

    `no_progress` is of a level: it ends after this long without one byte from the server. Where it is not given, that
    is two minutes, or just longer than the bounds on a request let it wait in silence: a long prompt may be read.
    """

    connect: Duration = 10.0
    first_token: Duration = 300.0
    gap: Duration = 60.0
    request: Duration = 600.0
    no_progress: Duration | None = None

    @property
    def longest_silence(self) -> float:
        """Seconds without a byte after which a level is given up."""
        return self.no_progress or max(_NO_PROGRESS_S, min(max(self.first_token, self.gap), self.request) + 1.0)


class Slo(ProfilePart):
    """What a good answer takes at most, in seconds; goodput counts requests that meet all that are set."""

    ttft: Duration | None = None
    tpot: Duration | None = None
    e2e: Duration | None = None


class Profile(ProfilePart):
    """A whole load, as written in `profiles/*.yaml`."""

    name: Name = "unnamed"
    description: str = ""
    targets: list[Annotated[TargetSpec, BeforeValidator(_target)]] = Field(default=[])
    endpoint: Literal["chat", "completions"] = "chat"
    load: Load = Load()
    prompts: Prompts = Prompts()
    request: Request = Request()
    timeouts: Timeouts = Timeouts()
    slo: Slo = Slo()
    checks: Checks = Checks()
    tokenizer: Name | None = None
    reading_tok_s: Annotated[Number, Field(gt=0, le=10_000)] = 5.0


def profile_names() -> list[str]:
    """The names of the profiles that come with the package."""
    return sorted(path.stem for path in package_data.folder("profiles").glob("*.yaml"))


def load_profile(name_or_path: str) -> Profile:
    """The profile of that name, or the one in that file. Raises ProfileError."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        path = package_data.folder("profiles") / f"{name_or_path}.yaml"
        if name_or_path not in profile_names():
            raise ProfileError(
                f"there is no profile {name_or_path!r}: give a YAML file or one of {', '.join(profile_names())}"
            )
    return _validated(read_yaml(path, "profile"), str(path), ProfileError)


def overridden(profile: Profile, values: Mapping[str, Any], flags: Mapping[str, str] | None = None) -> Profile:
    """The profile with `values` (dotted key → value) in place of its own.

    `flags` says which flag a key came from. Raises InputError that names the flag.
    """
    data = profile.model_dump()
    for key, value in values.items():
        *parents, last = key.split(".")
        part = data
        for parent in parents:
            part = part[parent]
        part[last] = value
    return _validated(data, None, InputError, flags or {})


def _validated(
    data: Any, source: str | None, error_type: type[LoadgenError], flags: Mapping[str, str] | None = None
) -> Profile:
    try:
        return Profile.model_validate(data)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        raise error_type(_sentence(first, source, flags or {})) from None


def _sentence(error: Any, source: str | None, flags: Mapping[str, str]) -> str:
    path = [part for part in error["loc"] if not str(part).startswith(("function-", "literal[", "float"))]
    dotted = ".".join(str(part) for part in path)
    flag = next((name for key, name in flags.items() if dotted == key or dotted.startswith(key + ".")), None)
    where = flag or (f"{source}: {dotted}" if source else dotted)
    if error["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{where}: unknown key{hint} (allowed: {', '.join(known)})"
    if path and path[-1] in _KEY_VARIABLES:  # whoever put the key itself there must not see it printed
        return f"{where}: must be the name of an environment variable that holds the key, not the key itself"
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}, got {_shown(error.get('input'))}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _known_keys(path: list[Any]) -> list[str]:
    model: type[BaseModel] = Profile
    for part in path:
        if part == "targets":
            return list(TargetSpec.model_fields)
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
