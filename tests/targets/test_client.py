"""Cold requests are bounded as a whole: in time, however the answer drips, and in size, however it is packed."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from lmx_loadgen.errors import LoadgenError, Unreachable
from lmx_loadgen.profile.models import TargetSpec
from lmx_loadgen.targets import prepare as preparing
from lmx_loadgen.targets.client import AdminClient, NotInTime, ids
from lmx_loadgen.targets.prepare import prepare

Play = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def playing(play: Play) -> AsyncIterator[str]:
    """A server that reads a head and then plays; its address."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await play(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()


async def drip(writer: asyncio.StreamWriter, first: bytes, again: bytes) -> None:
    """More and more, a little every 10 ms: no single wait is long."""
    writer.write(first)
    while True:
        writer.write(again)
        await writer.drain()
        await asyncio.sleep(0.01)


async def tell(writer: asyncio.StreamWriter, body: bytes, headers: bytes = b"") -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body))
    await writer.drain()


async def silence(writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Closed without a word."""


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"a" * 1_000_000)
        await writer.drain()


def asked(
    play: Play, ask: Callable[[AdminClient], Awaitable[Any]], within_s: float = 10.0, idle_s: float = 5.0
) -> tuple[Any, float]:
    """What came of a request, and the seconds it took."""

    async def work() -> tuple[Any, float]:
        async with playing(play) as url, httpx.AsyncClient(timeout=idle_s) as client:
            began = time.monotonic()
            with anyio.fail_after(30):
                return await ask(AdminClient(client, url, {}, within_s)), time.monotonic() - began

    return anyio.run(work)


GET: Any = lambda cold: cold.get("/x")  # noqa: E731
POST: Any = lambda cold: cold.post("/x", {})  # noqa: E731


@pytest.mark.parametrize("ask", [GET, POST], ids=["get", "post"])
@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    ids=["status-line", "headers", "body", "interim"],
)
def test_an_answer_that_drips_is_not_waited_for(first: bytes, again: bytes, ask: Any) -> None:
    with pytest.raises(NotInTime, match=r"(GET|POST) /x within 0\.3 s"):
        asked(lambda writer: drip(writer, first, again), ask, within_s=0.3)


@pytest.mark.parametrize("ask", [GET, POST], ids=["get", "post"])
def test_silence_is_told_apart_from_an_answer_that_breaks_off(ask: Any) -> None:
    with pytest.raises(NotInTime, match=r"(GET|POST) /x within 0\.2 s"):
        asked(silence, ask, idle_s=0.2)

    answer, _ = asked(hang_up, ask)
    assert answer is None


@pytest.mark.parametrize("ask", [GET, POST], ids=["get", "post"])
def test_an_answer_without_end_is_not_kept(ask: Any) -> None:
    answer, seconds = asked(flood, ask)

    assert answer is None
    assert seconds < 5


@pytest.mark.slow
def test_a_compressed_answer_is_read_and_a_bomb_is_not() -> None:
    packed = b"Content-Encoding: gzip\r\n"
    small, _ = asked(lambda writer: tell(writer, gzip.compress(b'{"a": 1}'), packed), GET)
    bomb, _ = asked(lambda writer: tell(writer, gzip.compress(b" " * 100_000_000), packed), GET)
    torn, _ = asked(lambda writer: tell(writer, gzip.compress(b'{"a": 1}')[:-5], packed), GET)

    assert small.data == {"a": 1}
    assert bomb is None
    assert torn is None


def test_preparing_as_a_whole_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "_WHOLE_S", 0.3)

    async def work() -> None:
        async with playing(lambda writer: drip(writer, b"HTTP/1.1 200 OK\r\n\r\n", b" ")) as url:
            await prepare(TargetSpec(name="lmx", url=url), {})

    with pytest.raises(Unreachable, match=r"did not say within 0\.3 s who it is"):
        anyio.run(work)


@pytest.mark.parametrize("name", ["lmx", "ollama", "openai"])
def test_a_server_that_never_answers_is_neither_another_one_nor_without_a_model(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "_TIMEOUT_S", 0.2)

    async def work() -> None:
        async with playing(silence) as url:
            await prepare(TargetSpec(name=name, url=url), {})

    with pytest.raises(Unreachable, match=r"took the connection but did not answer GET /\S+ within 0\.2 s: "):
        anyio.run(work)


@pytest.mark.parametrize("name", ["openai", "mlx-lm"])
def test_a_server_that_hangs_up_is_not_called_one_without_a_model(name: str) -> None:
    async def work() -> None:
        async with playing(hang_up) as url:
            await prepare(TargetSpec(name=name, url=url), {})

    with pytest.raises(LoadgenError) as caught:
        anyio.run(work)
    assert "no chat model" not in str(caught.value)


def test_names_that_nobody_gives_a_model_are_no_models() -> None:
    assert ids([{"id": "m"}, {"id": "x" * 501}, {"id": 3}, "m", {"id": ""}], "id") == ["m"]
