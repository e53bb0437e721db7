"""Who counts the tokens of a whole prompt: an endpoint of the server, or its usage for an answer of one token."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.checks.client import CheckClient, CheckReply
from lmx_loadgen.targets.base import Target, request_body

Messages = Sequence[Mapping[str, Any]]
CountMessages = Callable[[Messages], int | None]

_STREAMED = ("stream", "stream_options")
_COUNT_WITHIN_S = 30.0
# How servers refuse what is too long for them.
_REFUSALS = (400, 413, 422, 500)


class RefusedLength(Exception):
    """A server refuses a prompt; its text is the server's own."""


@dataclass(frozen=True)
class Asker:
    """Asks one target for counts, outside of everything that is measured."""

    target: Target
    profile: Profile
    ask: CheckClient

    def by_usage(self, messages: Messages) -> int | None:
        """What the server's usage says of the prompt, for an answer of one token that is not streamed: what a stream
        says is an estimate on some. None where it tells nothing. Raises RefusedLength."""
        settings = self.profile.request.model_copy(update={"max_tokens": 1, "ignore_eos": False})
        body = request_body(self.target, self.profile.endpoint, messages, settings)
        whole = {name: value for name, value in body.items() if name not in _STREAMED}
        path = "/chat/completions" if self.profile.endpoint == "chat" else "/completions"
        reply = self._post(self.target.base_url + path, whole, self.profile.timeouts.request)
        if reply.status in _REFUSALS:
            raise RefusedLength(reply.refusal())
        data = reply.json()
        return _count(data.get("usage"), "prompt_tokens") if isinstance(data, dict) else None

    def endpoint(self) -> tuple[CountMessages, str] | None:
        """The server's own endpoint that counts the tokens of a chat, and its path; None where it has none."""
        if self.profile.endpoint != "chat":
            return None
        sample = [{"role": "user", "content": "How many?"}]
        for path, key, url in (
            (
                "/v1/chat/completions/input_tokens",
                "input_tokens",
                f"{self.target.base_url}/chat/completions/input_tokens",
            ),
            ("/tokenize", "count", f"{self.target.base_url.removesuffix('/v1')}/tokenize"),
        ):
            count = self._counter(url, key)
            if count(sample) is not None:
                return count, path
        return None

    def _counter(self, url: str, key: str) -> CountMessages:
        def count(messages: Messages) -> int | None:
            body = {"model": self.target.model, "messages": list(messages), "add_generation_prompt": True}
            reply = self._post(url, body, _COUNT_WITHIN_S)
            return _count(reply.json(), key) if reply.status == 200 else None

        return count

    def _post(self, url: str, body: dict[str, Any], timeout_s: float) -> CheckReply:
        return self.ask("POST", url, self.target.headers, body, timeout_s=timeout_s)


def _count(data: Any, key: str) -> int | None:
    value = data.get(key) if isinstance(data, dict) else None
    return value if type(value) is int and value > 0 else None
