"""Plain values the rooms of the simulator hand each other: the server's state, an answer, a short reply."""

import time
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.sim.settings import SimSettings


@dataclass(slots=True)
class State:
    """The server as a whole: what is loaded, since when it runs, how many answers are under way."""

    settings: SimSettings
    loaded: list[str]
    installed: list[str]
    port: int = 0
    started: int = field(default_factory=lambda: int(time.time()))
    in_flight: int = 0
    served: int = 0
    benchmarks: list[dict[str, Any]] = field(default_factory=list)

    def now(self) -> int:
        """Calendar time in whole seconds, for `created`."""
        return int(time.time())

    @property
    def known(self) -> list[str]:
        """All models, the loaded ones first."""
        return self.loaded + self.installed


@dataclass(slots=True)
class Reply:
    """A short, whole response. A dict or list goes out as JSON."""

    status: int
    body: dict[str, Any] | list[Any] | str | bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None  # None: as the dialect says JSON


@dataclass(slots=True)
class ScriptedToolCall:
    """The call a model makes when it was given tools: the arguments in pieces, one a token."""

    id: str
    name: str
    arguments: list[str]


@dataclass(slots=True)
class ScriptedAnswer:
    """What one response says about itself; the counts grow while it is made."""

    id: str
    model: str
    created: int
    endpoint: str  # chat | completions
    stream: bool
    include_usage: bool
    prompt_chars: int
    prompt_tokens: int
    cached_tokens: int
    finish: str = "length"
    tokens: int = 0  # of one choice, so far, sent or not
    chunks: int = 0  # non-empty text events of one choice
    prompts: int = 1
    choices: int = 1  # of all prompts together
    index: int = 0  # the choice of which is spoken now
    reasoning_tokens: int | None = None  # as usage tells them; None: it does not
    miscount: int = 0  # how far the completion tokens of usage are off
    running_usage: bool = False  # usage so far in each chunk
    call: ScriptedToolCall | None = None
    prefill_ms: float = 0.0  # slot given → first token
    decode_ms: float = 0.0  # first token → last token
    odd_usage: dict[str, Any] | None = None  # a fault's idea of usage
