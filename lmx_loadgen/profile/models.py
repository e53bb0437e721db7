"""The models of a load profile: targets, load, prompts, requests, timeouts and limits."""

import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, ValidationInfo, field_validator, model_validator

from lmx_loadgen.profile.checks import Checks
from lmx_loadgen.profile.durations import seconds, seconds_or_auto, share
from lmx_loadgen.profile.fields import (
    DAY_S,
    Duration,
    FileName,
    InFlight,
    Name,
    Number,
    ProfilePart,
    RequestRate,
    VariableName,
)
from lmx_loadgen.profile.load_point import (
    ALONE,
    DEFAULT_IN_FLIGHT,
    Arrivals,
    Closed,
    LoadPoint,
    Open,
    Replay,
    Sessions,
)
from lmx_loadgen.profile.shape import Shape

_NO_PROGRESS_S = 120.0
# The rate that stands for as many rates as it takes.
SWEEP = "sweep"
_LIKELY_SWEPT = 3.0


def _levels(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = [value]
    if isinstance(value, list | tuple) and all(isinstance(level, int | float) for level in value):
        if len(set(value)) != len(value):
            raise ValueError("must not name a level twice")
        return sorted(value)
    return value


def _seconds_or_reading(value: Any) -> Any:
    return value if value == "reading" else seconds(value)


def _shapes(value: Any) -> Any:
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if isinstance(value, list) and len({str(shape).strip() for shape in value}) != len(value):
        raise ValueError("must not name a shape twice")
    return value


# What a level can be beside a closed loop.
_OTHERS = ("users", "rate", "sweep", "replay")
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


class TargetSpec(ProfilePart):
    """A server to measure. `dialect` defaults to `name`; `url` and the key variables to that dialect's own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
    url: str | None = None
    model: Name | None = None
    dialect: str | None = None
    api_key_env: VariableName | None = None
    admin_key_env: VariableName | None = None


class Load(ProfilePart):
    """Levels, and for each `requests` and/or `duration` (seconds): closed loops of `concurrency`; open loops of `rate`
    requests a second, at `arrivals`; the `replay` of a file. With a rate or a replay, no concurrency is the default.
    With `shapes`, prompts and answers of closed loops have these lengths in tokens, each at each concurrency. `users`
    lead chats, each turn after a `think` time in seconds, or as long as `reading` the answer takes.
    The rate `sweep` sets `sweep`: ten loads, from one request at a time to a rate that the server cannot keep up with.

    With neither requests nor a duration, a closed loop has ten requests or four per slot, whichever is more, and an
    open loop lasts 30 s, or as long as thirty requests take, up to five minutes. Several targets share a level in
    `blocks` that take turns, with `pause` seconds before each. A level is aborted, and with it the rest
    of its target, once `max_errors` of its requests have failed, or more than the share `max_error_rate` of the last
    twenty.
    """

    rate: Annotated[list[RequestRate], BeforeValidator(_levels)] = Field(default=[], max_length=64)
    sweep: StrictBool = False
    arrivals: Arrivals = "poisson"
    replay: FileName | None = None
    max_in_flight: InFlight = DEFAULT_IN_FLIGHT
    users: Annotated[list[InFlight], BeforeValidator(_levels)] = Field(
        default=[], max_length=64, exclude_if=lambda value: not value
    )
    think: Annotated[
        Literal["reading"] | Annotated[float, Field(ge=0, le=DAY_S, allow_inf_nan=False)],
        BeforeValidator(_seconds_or_reading),
    ] = Field(default=0.0, exclude_if=lambda value: value == 0)
    concurrency: Annotated[list[InFlight], BeforeValidator(_levels)] = Field(default=[1], max_length=64)
    shapes: Annotated[list[Shape], BeforeValidator(_shapes)] = Field(
        default=[], max_length=64, exclude_if=lambda value: not value
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

    @model_validator(mode="before")
    @classmethod
    def _no_default_beside_open_loops(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if value.get("rate"):
            is_sweep = value["rate"] == SWEEP
            value = {**value, "rate": [] if is_sweep else value["rate"], "sweep": is_sweep}
        if not ("concurrency" in value or value.get("shapes")) and any(map(value.get, _OTHERS)):
            return {**value, "concurrency": []}
        return value

    @field_validator("concurrency")
    @classmethod
    def _is_a_level(cls, value: list[int], info: ValidationInfo) -> list[int]:
        others = [info.data[name] for name in _OTHERS if name in info.data]  # those that are not wrong
        if not value and len(others) == len(_OTHERS) and not any(others):
            raise ValueError("needs a level, unless there are `users`, a `rate` or a `replay`")
        return value

    def points(self) -> list[LoadPoint]:
        """The load points that the levels are, in the order they run; of a sweep the first one."""
        shapes: list[Shape | None] = [*self.shapes] or [None]
        closed = [Closed(concurrency=concurrency, shape=shape) for shape in shapes for concurrency in self.concurrency]
        if self.sweep and ALONE not in closed:
            closed.insert(0, ALONE)
        opened = [Open(rate=rate, arrivals=self.arrivals, max_in_flight=self.max_in_flight) for rate in self.rate]
        name = PurePath(self.replay).name if self.replay is not None else None
        replayed = [Replay(file=name, max_in_flight=self.max_in_flight)] if name else []
        sessions = [Sessions(users=users) for users in self.users]
        return [*closed, *opened, *replayed, *sessions]

    def heaviest(self) -> LoadPoint:
        """The level with the most requests in flight."""
        return max(self._points_and_swept(), key=lambda point: point.slots)

    def likely_in_flight(self) -> int:
        """About how many requests will be in flight at most."""
        return max(point.likely_in_flight for point in self._points_and_swept())

    def _points_and_swept(self) -> list[LoadPoint]:
        swept = [Open(rate=_LIKELY_SWEPT, max_in_flight=self.max_in_flight)] if self.sweep else []
        return [*self.points(), *swept]


class Prompts(ProfilePart):
    """What is asked: built-in prompts of the given lengths, or one text, or a file of prompts.

    Of a file that has more, `sample` prompts are drawn by the request's seed; `column` names what to read of a table or
    of an object. Users lead the `chats` of a file, else those built in, with the `answers` recorded there as history or
    with the server's own (`live`); `shared_system` is a file whose text is the system message of all of them.
    """

    lengths: list[Literal["short", "medium", "long"]] = Field(default=["short", "medium", "long"], min_length=1)
    text: Annotated[str, Field(min_length=1, max_length=10_000_000)] | None = None
    file: Name | None = None
    chats: Name | None = Field(default=None, exclude_if=lambda value: value is None)
    answers: Literal["recorded", "live"] = Field(default="recorded", exclude_if=lambda value: value == "recorded")
    shared_system: Name | None = Field(default=None, exclude_if=lambda value: value is None)
    column: Name | None = Field(default=None, exclude_if=lambda value: value is None)
    sample: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, exclude_if=lambda value: value is None
    )
    cache: Literal["unique", "repeat"] = "unique"


class Request(ProfilePart):
    """What every request asks for; `extra` holds further fields of its JSON body, merged in last."""

    max_tokens: Annotated[StrictInt, Field(ge=1, le=131_072)] = 200
    temperature: Annotated[Number, Field(ge=0, le=2)] = 0.0
    seed: Annotated[StrictInt, Field(ge=0, lt=2**31)] | None = 42
    ignore_eos: StrictBool = False
    extra: dict[str, Any] = Field(default={})


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
        """Seconds without a byte after which a level is aborted."""
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
