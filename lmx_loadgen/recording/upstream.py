"""The server behind a recording, and what is done with what passes."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lmx_loadgen.recording.exchange import Delays, PassedRequest

Listener = Callable[[str, PassedRequest], None]  # called with "asked" and with "answered"


@dataclass(frozen=True)
class Upstream:
    """The server by its base address, which ends in `/v1` or whatever path its API has."""

    base_url: str
    tls: ssl.SSLContext | None = None

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.base_url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def prefix(self) -> str:
        """What its paths begin with before `/v1`."""
        return urlsplit(self.base_url).path.removesuffix("/v1")

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc


@dataclass(frozen=True)
class Passage:
    """What all connections of a recording share: the server, who listens, and by how much pieces were delayed."""

    upstream: Upstream
    passed: Listener
    delays: Delays = field(default_factory=Delays)
