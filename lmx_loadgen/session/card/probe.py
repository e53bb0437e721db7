"""The course of a probe: which requests are sent, in which order, and the card that they make."""

import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx

from lmx_loadgen import __version__
from lmx_loadgen.errors import NothingMeasured
from lmx_loadgen.profile.models import Request
from lmx_loadgen.session.card import failures, request_fields, streaming, under_load
from lmx_loadgen.session.card.ask import CardClient, CardReply
from lmx_loadgen.session.card.context import context_of
from lmx_loadgen.session.card.questions import (
    CACHED_WORDS,
    ENOUGH,
    FEW,
    LIMIT,
    LOAD_LIMIT,
    LONG_STORY,
    NATURAL_LIMIT,
    SHORT,
    STORY,
    STORY_LIMIT,
    SYSTEM,
    Questions,
    new,
    words,
)
from lmx_loadgen.session.checks.tool_call import WEATHER
from lmx_loadgen.store.cards import CacheFacts, DialectCard, FieldFact, LongPromptFacts, ToolCallFacts
from lmx_loadgen.targets.base import Target, keys_of
from lmx_loadgen.targets.client import AdminClient, NotInTime
from lmx_loadgen.targets.probe import adapted

AT_ONCE = 8


class CardProbe:
    """Sends the requests of one card.

    Args:
        target: the server, with its model loaded.
        tls: whom to trust over TLS.
        report: is told what is being found out.
    """

    def __init__(self, target: Target, tls: ssl.SSLContext | None, report: Callable[[str], None]) -> None:
        self._target, self._tls, self._report = target, tls, report
        self._client, self._questions = CardClient(target, tls), Questions(target)

    async def card(self) -> DialectCard:
        """Raises InputError and NothingMeasured where the server answers no request."""
        began = time.monotonic()
        self._report("how it streams")
        streamed, whole, natural = await self._first_answers()
        self._report("which fields it honors")
        fields = request_fields.refused_fields(self._target)
        fields |= await self._fields(streamed, whole, natural, known=fields)
        self._report("its prefix cache")
        cache = await self._cache()
        self._report("long prompts and errors")
        long_prompts, errors = await self._long_prompts(), await self._errors()
        calls = await self._tool_call()
        self._report(f"{AT_ONCE} concurrent requests")
        at_once = under_load.at_once_facts(await self._at_once())
        if "max_completion_tokens" not in fields:
            # Last, since a server that ignores it may go on after it was left.
            body = {**self._questions.body(new(LONG_STORY)), "max_completion_tokens": FEW}
            body.pop("max_tokens", None)
            reply = await self._client.chat(body, enough=ENOUGH)
            fields["max_completion_tokens"] = request_fields.max_completion_tokens(reply, FEW)
        server = self._target.server
        return DialectCard(
            tool_version=__version__,
            probed_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            url=self._target.base_url,
            dialect=self._target.dialect.name,
            product=server.get("product"),
            version=server.get("version"),
            model=keys_of([self._target]).redact(self._target.model),
            requests=self._client.requests,
            seconds=round(time.monotonic() - began, 1),
            stream=streaming.stream_facts(streamed, whole, LIMIT),
            usage=streaming.usage_facts(streamed, natural, whole, LIMIT),
            fields=dict(sorted(fields.items())),
            cache=cache,
            long_prompts=long_prompts,
            at_once=at_once,
            errors=errors,
            tool_calls=calls,
        )

    async def _adapt(self) -> None:
        """Find out what it refuses, as a run does, so that it answers at all."""
        settings = Request(max_tokens=LIMIT)
        async with httpx.AsyncClient(timeout=10.0, verify=self._tls or True, trust_env=False) as client:

            async def count(request: httpx.Request) -> None:
                self._client.requests += 1

            client.event_hooks["request"].append(count)
            self._target = await adapted(self._target, "chat", secrets.token_hex(8), settings, client)
        self._client.target, self._questions = self._target, Questions(self._target)

    async def _first_answers(self) -> tuple[CardReply, CardReply, CardReply]:
        """One that its limit ends, the same whole, and one that should end by itself, without a word of usage. Raises
        NothingMeasured."""
        messages = new(LONG_STORY)
        streamed = await self._client.chat(self._questions.body(messages))
        if not streamed.ok:
            await self._adapt()
            streamed = await self._client.chat(self._questions.body(messages))
        if not streamed.ok:
            raise NothingMeasured(
                f"{self._target.name} gave no answer to a plain request ({streamed.refusal}): nothing can be told of it"
            )
        whole = await self._client.chat(self._questions.whole(messages, LIMIT))
        body = self._questions.body(new(SHORT), NATURAL_LIMIT)
        body.pop("stream_options", None)
        return streamed, whole, await self._client.chat(body)

    async def _fields(
        self, streamed: CardReply, whole: CardReply, natural: CardReply, known: Mapping[str, Any]
    ) -> dict[str, Any]:
        found = {
            **await self._forcing(natural),
            "max_tokens": request_fields.max_tokens(streamed, whole, LIMIT),
            "stream_options": request_fields.stream_options(streamed),
        }
        story = {**self._questions.body(new(STORY), STORY_LIMIT), "temperature": 1.0}
        stories = [await self._client.chat({**story, "seed": seed}) for seed in request_fields.SEEDS]
        found |= request_fields.seed_and_temperature(stories)
        # The question of `whole`, whose nonce is as long.
        clerk = [{"role": "system", "content": SYSTEM}, *new(LONG_STORY)]
        found["system role"] = request_fields.system_role(
            whole, await self._client.chat(self._questions.whole(clerk, 1))
        )
        return {name: fact for name, fact in found.items() if name not in known}

    async def _forcing(self, natural: CardReply) -> dict[str, FieldFact]:
        """What keeps an answer from ending by itself; the second field is asked for where the first one does not."""
        found = {}
        for name, value in (("ignore_eos", True), ("min_tokens", NATURAL_LIMIT)):
            body = {**self._questions.body(new(SHORT), NATURAL_LIMIT), name: value}
            found[name] = request_fields.forced(natural, await self._client.chat(body), NATURAL_LIMIT)
            if found[name].status == "honored":
                break
        return found

    async def _cache(self) -> CacheFacts:
        """A new prompt and the same again; where the server does not say what it had cached, another new one tells what
        chance does."""
        one, other = (self._questions.body(new(words(CACHED_WORDS)), 2) for _ in range(2))
        cold, repeat = [await self._client.chat(one)], await self._client.chat(one)
        if repeat.ok and repeat.usage[2] is None:
            cold.append(await self._client.chat(other))
        return under_load.cache_facts(cold, repeat)

    async def _long_prompts(self) -> LongPromptFacts:
        target = self._target
        async with httpx.AsyncClient(timeout=5.0, verify=self._tls or True, trust_env=False) as connection:
            try:
                headers = {**target.headers, **target.admin_headers}
                context = await context_of(AdminClient(connection, target.base_url, headers), target.model)
            except (httpx.ConnectError, NotInTime):
                context = None
        if context is None:
            return LongPromptFacts(status="unknown", words="it does not tell the length of its context")
        if context > under_load.MOST_CONTEXT:
            too_long = f"its context is too long to fill for a look ({context} tokens)"
            return LongPromptFacts(status="unknown", context=context, words=too_long)
        count = round(context * under_load.BEYOND) + 16
        reply = await self._client.chat(self._questions.whole(new(words(count)), 1))
        return under_load.long_prompt_facts(reply, context, count)

    async def _errors(self) -> dict[str, Any]:
        wrong = {**self._questions.body(new(SHORT), 1), "model": "no-such-model"}
        return {
            "wrong model": failures.error_facts(await self._client.chat(wrong)),
            "bad JSON": failures.error_facts(await self._client.post(b'{"messages": [', is_streamed=True)),
        }

    async def _tool_call(self) -> ToolCallFacts:
        messages = [{"role": "user", "content": WEATHER.prompt}]
        body = {**self._questions.body(messages, NATURAL_LIMIT), "tools": WEATHER.tools}
        return failures.tool_call_facts(await self._client.chat(body))

    async def _at_once(self) -> list[CardReply]:
        replies: list[CardReply] = []

        async def one() -> None:
            replies.append(await self._client.chat(self._questions.body(new(LONG_STORY), LOAD_LIMIT)))

        async with anyio.create_task_group() as group:
            for _ in range(AT_ONCE):
                group.start_soon(one)
        return replies


def probe_card(target: Target, tls: ssl.SSLContext | None, report: Callable[[str], None]) -> DialectCard:
    """A server's dialect card. Raises InputError and NothingMeasured."""
    return anyio.run(CardProbe(target, tls, report).card)
