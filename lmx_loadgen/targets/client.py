"""Cold requests: what is asked of a server before and after measuring, never while."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pydantic_core

from lmx_loadgen.decode.encoding import Undecodable, unpacked
from lmx_loadgen.decode.errors import words_of_body
from lmx_loadgen.system.api_keys import Keys

_MAX_BODY = 4 * 1024 * 1024
_PLAIN = {"Accept-Encoding": "identity"}


class NotInTime(TimeoutError):
    """A server took the connection and then kept silent, or let its answer drip. Its text names request and limit."""


@dataclass(frozen=True, slots=True)
class AdminReply:
    """A cold answer: `data` is its JSON, None where it has none."""

    status: int
    headers: Mapping[str, str]
    data: Any
    words: str


@dataclass(frozen=True, slots=True)
class AdminClient:
    """A server by its base address (which ends in `/v1` or whatever path its API has), and a client to ask it with.

    No request takes longer than `within_s`, however slowly its answer drips in, nor than the client's own timeouts:
    every method raises NotInTime then, and httpx.ConnectError where nobody answers.
    """

    client: httpx.AsyncClient
    base_url: str
    headers: Mapping[str, str]
    within_s: float = 15.0

    @property
    def keys(self) -> Keys:
        """What to mask in words of this server before they are shown."""
        return Keys.sent_in(self.headers)

    @property
    def root(self) -> str:
        """The address that paths outside the OpenAI API hang on."""
        return self.base_url.removesuffix("/v1")

    async def get(self, path: str, *, key: bool = False) -> AdminReply | None:
        """The answer to GET `path` below the root; None when none came that can be read."""
        return await self._get(self.root + path, key)

    async def get_api(self, path: str) -> AdminReply | None:
        """The same below the base address, with the key."""
        return await self._get(self.base_url + path, True)

    async def get_object(self, path: str) -> dict[str, Any]:
        """The JSON object in the answer to GET `path` below the root, with the key; empty where there is none."""
        reply = await self.get(path, key=True)
        return reply.data if reply is not None and isinstance(reply.data, dict) else {}

    async def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, str] | None:
        """Status and words of the answer to a POST below the root, with the key; None when none came."""
        found = await self._whole("POST", self.root + path, self.headers, dict(body))
        return None if found is None else (found[0].status_code, words_of_body(self.keys.redact_bytes(found[1])))

    async def _get(self, url: str, key: bool) -> AdminReply | None:
        found = await self._whole("GET", url, self.headers if key else {})
        if found is None:
            return None
        response, body = found
        try:
            data = pydantic_core.from_json(body)
        except ValueError:
            data = None
        return AdminReply(response.status_code, response.headers, data, words_of_body(self.keys.redact_bytes(body)))

    async def _whole(
        self, method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> tuple[httpx.Response, bytes] | None:
        """The answer and its whole body; None where it breaks off or cannot be read."""
        what = f"{method} {urlsplit(url).path}"
        try:
            with anyio.fail_after(self.within_s):
                async with self.client.stream(method, url, headers={**_PLAIN, **headers}, json=body) as response:
                    return await _bounded(response)
        except httpx.ConnectError:
            raise
        except httpx.ConnectTimeout:
            raise httpx.ConnectError(f"no connection within {self.client.timeout.connect:g} s") from None
        except httpx.ReadTimeout:
            raise NotInTime(f"{what} within {self.client.timeout.read:g} s") from None
        except TimeoutError:
            raise NotInTime(f"{what} within {self.within_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError, Undecodable):
            return None


async def _bounded(response: httpx.Response) -> tuple[httpx.Response, bytes] | None:
    """The answer with its body, None where that is larger than any that is asked for. Raises Undecodable."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > _MAX_BODY:
            return None
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return response, bytes(body)
    plain, _ = unpacked(encoding, bytes(body), [(0, len(body))], whole=True)
    return (response, plain) if len(plain) <= _MAX_BODY else None


def version_in(data: Any, *keys: str) -> str:
    """The first of `keys` that holds a text, else "". Its words are the server's: cut and cleaned by who shows them."""
    values = [data.get(key) for key in keys] if isinstance(data, dict) else []
    return next((value for value in values if isinstance(value, str)), "")[:4096]
