"""What a simulator does, as one flat value that travels to the child process as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, field, fields
from typing import Annotated, Literal

import pydantic_core
from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.mistakes import joined, mistakes
from lmx_loadgen.sim import DialectName

SYSTEM_ROLE = "system"  # a message of that role; the others that may be refused are fields

Count = Annotated[int, Field(ge=0)]
CountFromOne = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Names = Annotated[tuple[str, ...], Field(strict=False)]  # JSON has lists
Refusable = Literal["system", "stream_options", "max_tokens"]

# A number in place of a key is a key all the same.
_SECRET = dict.fromkeys(("api_key", "admin_key"), "must be text; write a key of digits alone in double quotes")


def _known_fault(name: str) -> str:
    from lmx_loadgen.sim.faults import FAULTS  # faults are made of the simulator's parts, which take these settings

    if name not in FAULTS:
        raise ValueError(f"unknown fault (known: {', '.join(sorted(FAULTS))})")
    return name


FaultName = Annotated[str, AfterValidator(_known_fault)]


def _shared_out(faults: Mapping[str, float]) -> Mapping[str, float]:
    if sum(faults.values()) > 1 + 1e-9:
        raise ValueError("the shares of all faults together must not exceed 1")
    return faults


Faults = Annotated[
    Mapping[FaultName, Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]], AfterValidator(_shared_out)
]


@dataclass(frozen=True, slots=True, config=ConfigDict(strict=True, extra="forbid"))
class SimSettings:
    """Settings of one simulator. `to_json` and `from_json` are each other's inverse.

    Timing: a request waits for one of `slots` (`None`: no limit), then its first token comes after
    `ttft_ms + uncached prompt tokens / prefill_tok_s`. With `engine="batch"` all sequences then get their next
    token at the same moment, every `step_ms + step_ms_per_seq * batch` (b = sequences in that step); with
    "independent" every request has a schedule of its own, with b = 1. Deadlines are absolute: no drift.
    `jitter` is the sigma of a lognormal factor (mean 1) on prefill and on each step; `slowdown` is the share by
    which all times grow per minute. `burst` sends every chunk as fast as the socket takes it after the first.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    dialect: DialectName = "openai"
    models: Names = ("sim-model",)  # loaded now; empty: none is loaded
    installed: Names = ()  # known but not loaded
    skills: Names = ()  # of the lmx dialect
    load_ms: Amount = 0.0  # time to load an installed model, where the dialect loads on demand
    engine: Literal["batch", "independent"] = "batch"
    ttft_ms: Amount = 50.0
    # None: prompt length does not matter
    prefill_tok_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 2000.0
    step_ms: Amount = 20.0
    step_ms_per_seq: Amount = 0.0
    slots: CountFromOne | None = None
    queue_limit: Count | None = None  # waiting requests beyond which the server says it is busy
    queue_wait_s: Amount | None = None  # a request that waited this long for a slot is told the server is busy
    jitter: Amount = 0.0
    slowdown: Amount = 0.0
    tokens_per_chunk: CountFromOne = 1
    stream_interval: CountFromOne = 1  # as vLLM's: the first token alone, then so many an event
    drafted_tokens: Count = 0  # up to so many more tokens in a step, as with speculative decoding
    thought_tokens: Count = 16  # of each answer, where a fault makes the model think or the server hold text back
    burst: bool = False
    default_max_tokens: CountFromOne = 256  # where the request names no max_tokens
    refuses: Annotated[tuple[Refusable, ...], Field(strict=False)] = ()  # what it does not take in a request
    stop_after: CountFromOne | None = None  # the answer ends by itself after about this many tokens
    stop_spread: Amount = 0.0  # share by which stop_after varies, seeded by the prompt
    text: str | None = None  # what every answer says; None: English prose
    prefix_cache: bool = False
    seed: int = 0
    api_key: str | None = field(default=None, repr=False)
    admin_key: str | None = field(default=None, repr=False)
    log: str | None = None  # path of the truth log
    faults: Faults = field(default_factory=dict)  # fault name → share of requests
    fault_after: Count = 3  # text chunks before a fault in mid-stream
    fault_seconds: Amount = 60.0  # longest stall or endless answer
    loop: Literal["auto", "uvloop", "asyncio"] = "auto"

    def to_json(self) -> str:
        """The settings as one line of JSON, keys included: for the child's stdin, never for a log."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "SimSettings":
        """Read what `to_json` wrote, or a hand-written part of it. Raises InputError with every mistake."""
        try:
            data = pydantic_core.from_json(text)
        except ValueError as error:
            raise InputError(f"the simulator settings are not JSON: {error}") from None
        if not isinstance(data, dict):
            raise InputError("the simulator settings must be a JSON object")
        try:
            return cls(**data)
        except ValidationError as problem:
            names = [item.name for item in fields(cls)]
            found = mistakes(problem, data, "simulator setting {}".format, lambda _: names, _SECRET)
            raise InputError(joined(found)) from None
