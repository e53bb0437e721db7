"""What a simulator does, as one flat value that travels to the child process as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import UnionType
from typing import Any, get_args, get_origin

from lmx_loadgen.errors import InputError
from lmx_loadgen.sim import DIALECT_NAMES

ENGINES = ("batch", "independent")
LOOPS = ("auto", "uvloop", "asyncio")
SYSTEM_ROLE = "system"  # a message of that role; the others are fields
REFUSABLE = (SYSTEM_ROLE, "stream_options", "max_tokens")

Fields = Mapping[str, tuple[type, ...]]


@dataclass(frozen=True, slots=True)
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
    port: int = 0
    dialect: str = "openai"
    models: tuple[str, ...] = ("sim-model",)  # loaded now; empty: none is loaded
    installed: tuple[str, ...] = ()  # known but not loaded
    skills: tuple[str, ...] = ()  # of the lmx dialect
    load_ms: float = 0.0  # time to load an installed model, where the dialect loads on demand
    engine: str = "batch"
    ttft_ms: float = 50.0
    prefill_tok_s: float | None = 2000.0  # None: prompt length does not matter
    step_ms: float = 20.0
    step_ms_per_seq: float = 0.0
    slots: int | None = None
    queue_limit: int | None = None  # waiting requests beyond which the server says it is busy
    queue_wait_s: float | None = None  # a request that waited this long for a slot is told the server is busy
    jitter: float = 0.0
    slowdown: float = 0.0
    tokens_per_chunk: int = 1
    stream_interval: int = 1  # as vLLM's: the first token alone, then so many an event
    drafted_tokens: int = 0  # up to so many more tokens in a step, as with speculative decoding
    thought_tokens: int = 16  # of each answer, where a fault makes the model think or the server hold text back
    burst: bool = False
    default_max_tokens: int = 256  # where the request names no max_tokens
    context: int | None = None  # tokens of a prompt beyond which it is refused or cut, as the dialect does; None: never
    refuses: tuple[str, ...] = ()  # what it does not take in a request, of REFUSABLE
    stop_after: int | None = None  # the answer ends by itself after about this many tokens
    stop_spread: float = 0.0  # share by which stop_after varies, seeded by the prompt
    text: str | None = None  # what every answer says; None: English prose
    prefix_cache: bool = False
    seed: int = 0
    api_key: str | None = field(default=None, repr=False)
    admin_key: str | None = field(default=None, repr=False)
    log: str | None = None  # path of the truth log
    faults: Mapping[str, float] = field(default_factory=dict)  # fault name → share of requests
    fault_after: int = 3  # text chunks before a fault in mid-stream
    fault_seconds: float = 60.0  # longest stall or endless answer
    loop: str = "auto"

    def __post_init__(self) -> None:
        _check_types(asdict(self), SETTINGS, "simulator setting")
        _check_values(self)

    def to_json(self) -> str:
        """The settings as one line of JSON, keys included: for the child's stdin, never for a log."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "SimSettings":
        """Read what `to_json` wrote, or a hand-written part of it. Raises InputError."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"the simulator settings are not JSON: {error}") from None
        if not isinstance(data, dict):
            raise InputError("the simulator settings must be a JSON object")
        for name in ("models", "installed", "skills", "refuses"):
            if isinstance(data.get(name), list):
                data[name] = tuple(data[name])
        _check_types(data, SETTINGS, "simulator setting")
        return cls(**data)


def _declared(annotation: Any) -> tuple[type, ...]:
    """The types that a setting so annotated takes: a whole number is good for any number, a mapping is a dict."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (get_origin(annotation) or annotation,)
    taken = {float: (float, int), Mapping: (dict,)}
    return tuple(kind for declared in kinds for kind in taken.get(declared, (declared,)))


SETTINGS: Fields = {item.name: _declared(item.type) for item in fields(SimSettings)}

# What one request may order for itself, in the body field "sim" or the header X-Sim.
ORDERS: Fields = {
    "fault": (str,),
    "after": (int,),
    "seconds": (float, int),
    "text": (str,),
    "output_tokens": (int,),
    "ttft_ms": (float, int),
    "tokens_per_chunk": (int,),
    "stream_interval": (int,),
    "drafted_tokens": (int,),
    "thought_tokens": (int,),
    "burst": (bool,),
}


def check_orders(data: object) -> dict[str, Any]:
    """The orders one request gives, checked. Raises InputError."""
    if not isinstance(data, dict):
        raise InputError('"sim" must be an object such as {"fault": "reset_mid"}')
    _check_types(data, ORDERS, '"sim" key')
    for name in ("after", "seconds", "output_tokens", "ttft_ms", "drafted_tokens", "thought_tokens"):
        if data.get(name, 0) < 0:
            raise InputError(f'"sim" key {name!r} must not be negative')
    for name in ("tokens_per_chunk", "stream_interval"):
        if data.get(name, 1) < 1:
            raise InputError(f'"sim" key {name!r} must be at least 1')
    return data


def _check_types(data: Mapping[str, Any], known: Fields, what: str) -> None:
    for name, value in data.items():
        if name not in known:
            raise InputError(f"unknown {what} {name!r}; known are: {', '.join(sorted(known))}")
        allowed = known[name]
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            wanted = " or ".join(kind.__name__ for kind in allowed)
            raise InputError(f"{what} {name!r} must be {wanted}, not {value!r}")


def _check_values(settings: SimSettings) -> None:
    for name, allowed in (("dialect", DIALECT_NAMES), ("engine", ENGINES), ("loop", LOOPS)):
        if getattr(settings, name) not in allowed:
            raise InputError(
                f"simulator setting {name!r} must be one of {', '.join(allowed)}, not {getattr(settings, name)!r}"
            )
    least = {"slots": 1, "tokens_per_chunk": 1, "default_max_tokens": 1, "step_ms": 0.0, "ttft_ms": 0.0}
    least |= {"step_ms_per_seq": 0.0, "jitter": 0.0, "queue_limit": 0, "fault_after": 0, "fault_seconds": 0.0}
    least |= {"stop_after": 1, "load_ms": 0.0, "slowdown": 0.0, "stop_spread": 0.0, "queue_wait_s": 0.0}
    least |= {"stream_interval": 1, "drafted_tokens": 0, "thought_tokens": 0, "context": 1}
    for name, bound in least.items():
        value = getattr(settings, name)
        if value is not None and value < bound:
            raise InputError(f"simulator setting {name!r} must be at least {bound}, not {value}")
    if settings.prefill_tok_s is not None and settings.prefill_tok_s <= 0:
        raise InputError("simulator setting 'prefill_tok_s' must be positive")
    if not all(isinstance(model, str) for model in settings.models + settings.installed):
        raise InputError("simulator settings 'models' and 'installed' must hold strings")
    if not set(settings.refuses) <= set(REFUSABLE):
        raise InputError(f"simulator setting 'refuses' may hold {', '.join(REFUSABLE)}")
    _check_faults(settings.faults)


def _check_faults(faults: Mapping[str, float]) -> None:
    for name, share in faults.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise InputError(f"the share of fault {name!r} must be a number from 0 to 1, not {share!r}")
    if sum(faults.values()) > 1 + 1e-9:
        raise InputError("the shares of all faults together must not exceed 1")
