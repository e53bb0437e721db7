"""A server that was found: what it is, what it has, whether it can be measured now, and the command to go on with."""

import re
import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.address import is_loopback, normalize_url
from lmx_loadgen.targets.base import Dialect
from lmx_loadgen.targets.inventory import Inventory
from lmx_loadgen.targets.products import Identity

# A name that a shell and JSON take as it is.
_SAFE = re.compile(r"[A-Za-z0-9][\w./:@+-]*", re.ASCII)
_PLACEHOLDER = "MODEL"


@dataclass(frozen=True, slots=True)
class FoundServer:
    """`identity` is None where nobody known answers, `inventory` where it did not say what it has. `problem` is why it
    cannot be measured, where that is not for want of a model: a key goes into `key_variable`, and `start_command` helps
    where it is not on. `is_own` is one of the user's own targets."""

    name: str
    base_url: str
    dialect: Dialect
    identity: Identity | None = None
    inventory: Inventory | None = None
    problem: str | None = None
    key_variable: str | None = None
    is_own: bool = False
    version: str | None = None
    start_command: str | None = None

    @property
    def title(self) -> str:
        return self.identity.product.title if self.identity is not None else self.dialect.title

    @property
    def is_proxy(self) -> bool:
        return self.identity is not None and self.identity.product.is_proxy

    @property
    def loaded(self) -> tuple[str, ...]:
        return self.inventory.loaded if self.inventory is not None else ()

    @property
    def installed(self) -> tuple[str, ...]:
        return self.inventory.installed if self.inventory is not None else ()

    @property
    def candidates(self) -> tuple[str, ...]:
        """The models that can be asked for now."""
        if self.inventory is None or self.problem is not None:
            return ()
        if self.inventory.tells_loaded:
            return self.inventory.here or self.inventory.loaded
        return self.inventory.installed

    @property
    def measurable(self) -> bool:
        return bool(self.candidates)

    @property
    def is_picked_automatically(self) -> bool:
        """Whether a run may take it unasked: a known product that computes on this machine, with a model loaded."""
        known = self.identity is not None and not self.is_proxy and is_loopback(self.base_url)
        return known and self.measurable and self.inventory is not None and bool(self.inventory.here)

    @property
    def reason(self) -> str | None:
        """Why it cannot be measured, or what to know before it is."""
        if self.problem is not None:
            return self.problem
        if not self.measurable:
            return "no chat model is loaded" if self.installed else "no chat model is installed"
        if self.is_proxy:
            return "a proxy: other servers compute behind it, so it is measured only when named"
        if self.inventory is not None and not self.inventory.tells_loaded:
            return "it does not say which models are loaded"
        if self.inventory is not None and not self.inventory.here:
            return "a cloud computes its loaded models, so it is measured only when named"
        return None

    @property
    def target(self) -> str:
        """What `--target` takes to mean this server."""
        if self.is_own:
            return self.name
        default = self.dialect.default_url
        if self.name == self.dialect.name and default is not None and normalize_url(default, "") == self.base_url:
            return self.name
        return f"{self.name}={self.base_url.removesuffix('/v1')}"

    @property
    def model(self) -> str | None:
        """The model to name where several could be meant."""
        asks_for_default = self.dialect.default_model is not None and not self.loaded
        return self.candidates[0] if len(self.candidates) > 1 and not asks_for_default else None

    @property
    def command(self) -> str | None:
        """What measures it, or what has to be done first; None where that is not for a shell."""
        run = f"lmx-loadgen run --target {shlex.quote(self.target)}"
        if self.key_variable is not None:
            return f"export {self.key_variable}=KEY && {run}"
        if self.problem is not None or self.inventory is None:
            return self.start_command
        if self.measurable:
            return run if self.model is None else f"{run} --model {shlex.quote(self.model)}"
        return self._load_command() or None

    def _load_command(self) -> str:
        model = next((name for name in self.installed if _SAFE.fullmatch(name)), _PLACEHOLDER)
        if not self.dialect.is_generic:
            return self.dialect.load_command(model, self.base_url)
        # Every server that loads on request does so for a chat of one token.
        body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hi"}}], "max_tokens": 1}}'
        return f"curl {self.base_url}/chat/completions -H 'Content-Type: application/json' -d '{body}'"

    def as_row(self) -> dict[str, Any]:
        """The row of `targets --json`."""
        return {
            "name": self.name,
            "product": self.identity.product.name if self.identity is not None else None,
            "version": self.version,
            "url": self.base_url,
            "dialect": self.dialect.name,
            "loaded": list(self.loaded),
            "installed": list(self.installed),
            "measurable": self.measurable,
            "reason": self.reason,
            "command": self.command,
        }


def name_of(identity: Identity | None, base_url: str) -> str:
    """What a server is called as a target: by its dialect, by its product where it has no dialect of its own, and by
    its port where nobody known answers."""
    if identity is None:
        return f"server-{urlsplit(base_url).port or 80}"
    dialect = DIALECTS[identity.product.dialect]
    return identity.product.name if dialect.is_generic else dialect.name
