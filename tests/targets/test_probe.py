"""What a server refuses is found out by one request, and only what leaves the work as it is gets changed."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
import respx

from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.models import Request
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target, request_body
from lmx_loadgen.targets.probe import adapted

URL = "http://127.0.0.1:1234/v1"
PLAIN = Target("box", DIALECTS["openai"], URL, "m", {})
Refuses = dict[str, str]


def probed(refuses: Refuses, status: int = 400, **settings: Any) -> tuple[Target, list[dict[str, Any]]]:
    """The target after the probe of a server that refuses fields with these words, and the bodies it was sent."""
    bodies: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        bodies.append(body)
        words = next((words for field, words in refuses.items() if field in body), None)
        return (
            httpx.Response(200, text="data: [DONE]\n\n")
            if words is None
            else httpx.Response(status, json={"error": {"message": words}})
        )

    async def work() -> Target:
        async with httpx.AsyncClient() as client:
            return await adapted(PLAIN, "chat", "0123456789abcdef", Request(**settings), client)

    with respx.mock as mock:
        mock.post(f"{URL}/chat/completions").mock(side_effect=answer)
        return anyio.run(work), bodies


def test_a_server_that_takes_everything_is_asked_once_and_left_as_it_is() -> None:
    target, bodies = probed({})

    assert target == PLAIN
    (body,) = bodies
    assert body["messages"] == [{"role": "user", "content": "0123456789abcdef Say hello."}]
    assert body["max_tokens"] == 16


@pytest.mark.parametrize("last", [b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"])
def test_a_body_that_is_held_open_after_its_last_words_is_not_waited_for(last: bytes) -> None:
    class HeldOpen(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'data: {"choices":[{"delta":{"content":"Hello"},"finish_reason":null}]}\n\n'
            yield last
            pytest.fail("more was read than the answer")

    async def work() -> Target:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=HeldOpen()))
        async with httpx.AsyncClient(transport=transport) as client:
            return await adapted(PLAIN, "chat", "0123456789abcdef", Request(), client)

    assert anyio.run(work) == PLAIN


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize("words", ["Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "no"])
def test_max_tokens_is_called_otherwise_where_it_is_refused(words: str, status: int) -> None:
    target, _ = probed({"max_tokens": words}, status)
    body = request_body(target, "chat", [], Request(max_tokens=9))

    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body
    assert "stream_options" in body
    assert any("max_completion_tokens" in note for note in target.notes)


def test_stream_options_are_left_out_where_they_are_refused() -> None:
    target, _ = probed({"stream_options": "body.stream_options: extra fields not permitted"})

    assert "stream_options" not in request_body(target, "chat", [], Request())
    assert any("stream_options" in note for note in target.notes)


def test_two_refused_fields_are_both_mended() -> None:
    target, _ = probed({"stream_options": "unknown field stream_options", "max_tokens": "use max_completion_tokens"})
    body = request_body(target, "chat", [], Request())

    assert {"stream_options", "max_tokens"} & set(body) == set()
    assert len(target.notes) == 2


def test_a_refused_temperature_is_an_error_with_a_hint() -> None:
    with pytest.raises(InputError) as caught:
        probed({"temperature": "temperature: only 1 is supported"}, temperature=0.0)
    assert "only 1 is supported" in str(caught.value)
    assert "--temperature" in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 429, 503])
def test_a_refusal_for_other_reasons_changes_nothing(status: int) -> None:
    target, _ = probed({"model": "request 7d1f is refused"}, status)

    assert target == PLAIN


NONCED = {"role": "system", "content": "0123456789abcdef You are a pirate."}
SYSTEM = NONCED["content"]


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        ([NONCED, {"role": "user", "content": "Hi"}], [{"role": "user", "content": f"{SYSTEM}\n\nHi"}]),
        (
            [NONCED, {"role": "user", "content": [{"type": "image_url"}]}],
            [{"role": "user", "content": [{"type": "text", "text": SYSTEM}, {"type": "image_url"}]}],
        ),
        ([NONCED], [{"role": "user", "content": SYSTEM}]),
        ([{"role": "user", "content": "Hi"}], [{"role": "user", "content": "Hi"}]),
        (
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, NONCED],
            [{"role": "user", "content": f"{SYSTEM}\n\na"}, {"role": "assistant", "content": "b"}],
        ),
    ],
)
def test_a_system_s_text_goes_to_the_user_s_turn(messages: list[Any], sent: list[Any]) -> None:
    merging = replace(PLAIN, merges_system=True)

    assert request_body(merging, "chat", messages, Request())["messages"] == sent
    assert request_body(PLAIN, "chat", messages, Request())["messages"] == messages


def test_the_user_s_own_fields_come_last() -> None:
    settings = Request(max_tokens=9, extra={"max_tokens": 7, "top_k": 1})

    assert request_body(PLAIN, "chat", [], settings).items() >= {"max_tokens": 7, "top_k": 1}.items()
