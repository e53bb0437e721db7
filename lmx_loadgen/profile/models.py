"""Load profiles: YAML into a `Profile`, with every mistake named by file and key."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    model_validator,
)

from lmx_loadgen.errors import InputError, LoadgenError, ProfileError
from lmx_loadgen.profile.strict_yaml import read_yaml
from lmx_loadgen.system import package_data

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\Z")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_DAY_S = 86_400.0
_NO_PROGRESS_S = 120.0
_KEY_VARIABLES = ("api_key_env", "admin_key_env")


def seconds(value: Any) -> float:
    """A duration in seconds from a number of seconds or a text like "500ms", "30s", "2m", "1h".

    Raises ValueError for anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a number of seconds or a duration like 500ms, 30s, 2m")
    return float(match[1]) * _UNIT_S[match[2]]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


def _spread(value: Any) -> Any:
    return value if value == "auto" else seconds(value)


def _as_share(value: Any) -> Any:
    """0.2 or "20%"."""
    if isinstance(value, bool):
        raise ValueError("must be a share like 0.2 or 20%")
    if not isinstance(value, str):
        return value
    try:
        return float(value.strip()[:-1]) / 100 if value.strip().endswith("%") else float(value)
    except ValueError:
        raise ValueError("must be a share like 0.2 or 20%") from None


def _levels(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, list | tuple) and all(isinstance(level, int) for level in value):
        if len(set(value)) != len(value):
            raise ValueError("must not name a level twice")
        return sorted(value)
    return value


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=_DAY_S, allow_inf_nan=False)]
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
ConcurrencyLevel = Annotated[StrictInt, Field(ge=1, le=4096)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_SCHEMES = ("http://", "https://")


def split_target(text: str) -> dict[str, str | None]:
    """Name, address and dialect of a target that is written as `NAME`, `NAME=URL`, `NAME=DIALECT+URL`, or as an address
    alone, which is then called by its host and port."""
    text = text.strip()
    name, _, url = text.partition("=")
    if text.lower().startswith(_SCHEMES):
        host = text.partition("://")[2].partition("/")[0].rpartition("@")[2]
        name, url = re.sub(r"[^A-Za-z0-9_.-]+", "-", host).strip("-._")[:40] or "server", text
    dialect, plus, address = url.partition("+")
    if plus and ":" not in dialect and address.lower().startswith(_SCHEMES):
        return {"name": name, "url": address, "dialect": dialect}
    return {"name": name, "url": url or None, "dialect": None}


def _target(value: Any) -> Any:
    return split_target(value) if isinstance(value, str) else value


class TargetSpec(_Part):
    """A server to measure. `dialect` defaults to `name`; `url` and the key variables to that dialect's own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
    url: str | None = None
    model: Name | None = None
    dialect: str | None = None
    api_key_env: VariableName | None = None
    admin_key_env: VariableName | None = None


class Load(_Part):
    """A closed loop: `concurrency` levels, and for each `requests` and/or `duration` (seconds).

    With neither, a level has ten requests or four per slot, whichever is more. Several targets share a level in
    `blocks` that take turns, with a pause of `settle` seconds before each. A level is given up, and with it the rest
    of its target, once `max_errors` of its requests have failed, or more than the share `max_error_rate` of the last
    twenty.
    """

    concurrency: Annotated[list[ConcurrencyLevel], BeforeValidator(_levels), Field(min_length=1, max_length=64)] = [1]
    requests: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    duration: Duration | None = None
    warmup: Annotated[StrictInt, Field(ge=0, le=100)] = 1
    stagger: Annotated[
        Literal["auto"] | Annotated[float, Field(ge=0, le=_DAY_S, allow_inf_nan=False)], BeforeValidator(_spread)
    ] = "auto"
    blocks: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    settle: Annotated[float, BeforeValidator(seconds), Field(ge=0, le=3600, allow_inf_nan=False)] = 2.0
    max_errors: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    max_error_rate: Annotated[float, BeforeValidator(_as_share), Field(ge=0, lt=1, allow_inf_nan=False)] | None = None


class Prompts(_Part):
    """What is asked: built-in prompts of the given lengths, or one text, or a file of prompts."""

    lengths: Annotated[list[Literal["short", "medium", "long"]], Field(min_length=1)] = ["short", "medium", "long"]
    text: Annotated[str, Field(min_length=1, max_length=10_000_000)] | None = None
    file: Name | None = None
    cache: Literal["unique", "repeat"] = "unique"


class Request(_Part):
    """What every request asks for; `extra` holds further fields of its JSON body, merged in last."""

    max_tokens: Annotated[StrictInt, Field(ge=1, le=131_072)] = 200
    temperature: Annotated[Number, Field(ge=0, le=2)] = 0.0
    seed: Annotated[StrictInt, Field(ge=0, lt=2**31)] | None = 42
    ignore_eos: StrictBool = False
    extra: dict[str, Any] = {}


class Timeouts(_Part):
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


class Slo(_Part):
    """What a good answer takes at most, in seconds; goodput counts requests that meet all that are set."""

    ttft: Duration | None = None
    tpot: Duration | None = None
    e2e: Duration | None = None


def _check_schema(tool: str, schema: Any) -> None:
    from jsonschema import SchemaError, validators

    from lmx_loadgen.profile.json_schema import has_pattern

    if not isinstance(schema, dict):
        raise ValueError(f"the `parameters` of {tool} must be a JSON schema")
    if has_pattern(schema):
        raise ValueError(
            f"the `parameters` of {tool} have a `pattern`, which could take for ever; use `enum` or `type`"
        )
    try:
        validators.validator_for(schema).check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"the `parameters` of {tool} are no JSON schema: {error.message}") from None


def _skill(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class SkillSpec(_Part):
    """A skill to run; without `arguments` it gets the least that its own schema asks for."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@/-]{0,119}$")]
    arguments: dict[str, Any] | None = None


class ToolCallSpec(_Part):
    """A tool call to ask for: the `tools` on offer as OpenAI's API writes them, and which of them the prompt `expect`s
    to be called."""

    prompt: Annotated[str, Field(min_length=1, max_length=100_000)]
    expect: Name
    tools: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=100)]

    @model_validator(mode="after")
    def _is_on_offer(self) -> "ToolCallSpec":
        names = []
        for tool in self.tools:
            function = tool.get("function")
            if not isinstance(function, dict) or not isinstance(function.get("name"), str):
                raise ValueError("each of `tools` must have a `function` with a `name`")
            names.append(function["name"])
            _check_schema(function["name"], function.get("parameters", {}))
        if self.expect not in names:
            raise ValueError(f"`expect` must name one of the tools: {', '.join(names)}")
        return self


class Checks(_Part):
    """What a model is asked to do beside the load, outside all measured windows.

    `include_tool_call` asks for `tool_calls`, or where there are none for the weather in Sydney. `stability` compares
    answers to one prompt alone and among others, where the temperature is 0 and a level has more than one slot.
    `skill_timeout` is in seconds.
    """

    include_tool_call: StrictBool = False
    tool_calls: Annotated[list[ToolCallSpec], Field(max_length=50)] = []
    include_skills: Annotated[list[Annotated[SkillSpec, BeforeValidator(_skill)]], Field(max_length=50)] = []
    skill_timeout: Duration = 30.0
    stability: StrictBool = True


class Profile(_Part):
    """A whole load, as written in `profiles/*.yaml`."""

    name: Name = "unnamed"
    description: str = ""
    targets: list[Annotated[TargetSpec, BeforeValidator(_target)]] = []
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
