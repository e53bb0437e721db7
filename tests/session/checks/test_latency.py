"""What a check's latency is made of: from just before the question is written to the last byte of the answer."""

import asyncio
import socket
import statistics
import zlib
from typing import Any

import pytest

from lmx_loadgen.session.checks.client import CheckClient, CheckReply
from lmx_loadgen.wire import transport
from lmx_loadgen.wire.connection import connected_socket
from tests.helpers.hostile_server import Told, answering, as_json
from tests.helpers.scripted import HEAD, Script, chunked, served_in_thread

SLOW_S = 0.3
SLOW_NS = int(SLOW_S * 1e9)


def asked(url: str, **body: Any) -> CheckReply:
    return CheckClient(None, lambda: False)("POST", url, {}, body, timeout_s=60)


def test_connecting_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
        await asyncio.sleep(SLOW_S)
        return await connected_socket(loop, host, port)

    monkeypatch.setattr(transport, "connected_socket", slow)
    with answering(lambda asked: as_json({"ok": True})) as url:
        reply = asked(url)

    assert reply.json() == {"ok": True}
    assert 0 < reply.latency_ns < SLOW_NS


def test_it_ends_with_the_last_byte_and_not_with_the_wait_for_more() -> None:
    """A body that names its end and stays open is over one second later; that second is nobody's latency."""
    finish = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    script: Script = [HEAD, chunked(finish, end=False), "hang"]
    with served_in_thread(script) as url:
        reply = asked(url, stream=True)

    assert (reply.error, reply.body) == (None, finish)
    assert reply.latency_ns < 1e9


def test_a_compressed_answer_that_nobody_asked_for_is_read() -> None:
    packed = zlib.compressobj(wbits=31)
    body = packed.compress(b'{"ok":true}') + packed.flush()
    with answering(lambda asked: Told(body, headers=[("Content-Encoding", b"gzip")])) as url:
        assert asked(url).json() == {"ok": True}
    with answering(lambda asked: Told(body[:9], headers=[("Content-Encoding", b"gzip")])) as url:
        assert asked(url).error


@pytest.mark.timing
def test_a_skill_that_answers_at_once_takes_no_time() -> None:
    with answering(lambda asked: as_json({"ok": True})) as url:
        latencies = [asked(url).latency_ns for _ in range(20)]

    assert statistics.median(latencies) < 5e6
