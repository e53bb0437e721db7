"""What a server is recognized as, and how it is asked who it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.targets.client import AdminClient, AdminReply


@dataclass(frozen=True, slots=True)
class Product:
    """A server, or a proxy in front of one. `dialect` names the rules its answers go by."""

    name: str
    title: str
    dialect: str = "openai"
    is_proxy: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers, in which version ("" where it does not say)."""

    product: Product
    version: str = ""


@dataclass
class ServerQuestions:
    """Each path is asked once, whoever wants its answer."""

    client: AdminClient
    _answers: dict[str, AdminReply | None] = field(default_factory=dict)

    async def get(self, path: str) -> AdminReply | None:
        if path not in self._answers:
            self._answers[path] = await self.client.get(path)
        return self._answers[path]

    async def json(self, path: str) -> dict[str, Any]:
        """The JSON object that is served there with 200; empty where it is anything else, an error included."""
        reply = await self.get(path)
        data = reply.data if reply is not None and reply.status == 200 else None
        return data if isinstance(data, dict) and "error" not in data else {}

    async def server_header(self) -> str:
        reply = await self.get("/health")
        return "" if reply is None else reply.headers.get("server", "")


# Given what a server answers: who it is, None where it is somebody else.
Recognize = Callable[[ServerQuestions], Awaitable[Identity | None]]
