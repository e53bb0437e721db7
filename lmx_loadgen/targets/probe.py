"""One request before measuring: which fields a server refuses, and how it can be asked all the same."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import anyio
import httpx

from lmx_loadgen.decode.errors import plain, words_of_body
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import Request
from lmx_loadgen.targets.base import Target, request_body

_SYSTEM, _PROMPT = "Be brief.", "Say hello."
_MOST_TOKENS = 16
_WITHIN_S = 30.0
_MAX_BODY = 64 * 1024
# What stands in the last words of a stream: a server may hold the body open after them, and go on pinging.
_LAST_WORDS = re.compile(rb'data: ?\[DONE\]|"finish_reason": ?"')
_REFUSED = frozenset({400, 404, 405, 415, 422, 500, 501})
# What can be left out or called otherwise without changing the work.
_LEFT_OUT = {
    "stream_options": "its answers may come without a count of tokens",
    "seed": "its sampling has no seed",
}
_RENAMED = {"max_tokens": "max_completion_tokens"}


async def adapted(
    target: Target,
    endpoint: str,
    nonce: str,
    settings: Request,
    client: httpx.AsyncClient,
    *,
    has_system: bool = False,
) -> Target:
    """The target as its server takes requests: one short request finds out, and another for each field it refuses, and
    for the system role where the run `has_system` messages.

    A server that refuses for other reasons, or does not answer in time, is left as it is: the run will say so. Raises
    InputError where it refuses the temperature.
    """
    short = {"max_tokens": min(_MOST_TOKENS, settings.max_tokens), "ignore_eos": False}
    asked = settings.model_copy(update=short)
    refusal = await _refusal(target, endpoint, nonce, asked, client)
    untried = [*_LEFT_OUT, *_RENAMED]
    while refusal is not None and (field := _suspect(refusal, untried)) is not None:
        untried.remove(field)
        other = _changed(target, field)
        again = await _refusal(other, endpoint, nonce, asked, client)
        if again is None or (field in refusal and field not in again):
            target, refusal = replace(other, notes=(*other.notes, _note(field))), again
    if refusal is not None and "temperature" in refusal:
        raise InputError(
            f"target {target.name} refuses temperature {settings.temperature:g} ({refusal}): choose one that it takes "
            "with --temperature, or request.temperature in the profile"
        )
    if refusal is None and has_system and endpoint == "chat":
        refusal = await _refusal(target, endpoint, nonce, asked, client, system=True)
        if refusal is not None:
            note = f"the server refuses a system role ({refusal}): its text stands at the head of the user's message"
            other = replace(target, merges_system=True, notes=(*target.notes, note))
            if await _refusal(other, endpoint, nonce, asked, client, system=True) is None:
                return other
    return target


def _changed(target: Target, field: str) -> Target:
    if field in _RENAMED:
        return replace(target, renamed={**target.renamed, field: _RENAMED[field]})
    return replace(target, left_out=target.left_out | {field})


def _note(field: str) -> str:
    if field in _RENAMED:
        return f"the server refuses {field}: requests say {_RENAMED[field]} instead"
    return f"the server refuses {field}, so requests leave it out: {_LEFT_OUT[field]}"


def _suspect(refusal: str, untried: Sequence[str]) -> str | None:
    """The field to try next: one that the refusal names; where it names none that could be meant, any."""
    named = [field for field in (*_LEFT_OUT, *_RENAMED, "temperature") if field in refusal]
    return next((field for field in untried if not named or field in named), None)


async def _refusal(
    target: Target,
    endpoint: str,
    nonce: str,
    settings: Request,
    client: httpx.AsyncClient,
    *,
    system: bool = False,
) -> str | None:
    """The server's words where it refuses the request; None where it takes it, or nothing can be told."""
    messages = [{"role": "user", "content": f"{nonce} {_PROMPT}"}]
    if system:
        messages = [{"role": "system", "content": f"{nonce} {_SYSTEM}"}, {"role": "user", "content": _PROMPT}]
    body = request_body(target, endpoint, messages, settings)
    path = "/chat/completions" if endpoint == "chat" else "/completions"
    try:
        with anyio.fail_after(_WITHIN_S):
            async with client.stream("POST", target.base_url + path, headers=dict(target.headers), json=body) as reply:
                data = b"".join([piece async for piece in _until_over(reply)])
    except (httpx.HTTPError, httpx.StreamError, TimeoutError):
        return None
    if reply.status_code not in _REFUSED:
        return None
    return plain(words_of_body(data) or f"HTTP {reply.status_code}")


async def _until_over(reply: httpx.Response) -> AsyncIterator[bytes]:
    seen = bytearray()
    async for piece in reply.aiter_raw():
        seen += piece
        yield piece
        if len(seen) > _MAX_BODY or _LAST_WORDS.search(seen):
            return
