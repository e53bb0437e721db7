"""The transport over real sockets: what it writes down, and what it calls each way an answer can end."""

import asyncio
import socket
import ssl
import time

import httpx
import pytest
import trustme

from lmx_loadgen.load.sender import build, perform
from lmx_loadgen.system.clock import now_ns
from lmx_loadgen.wire.stamps import StampedSocket, StampSource, carried_over, kernel_stamps_available
from lmx_loadgen.wire.timing import Limits, RequestTiming
from lmx_loadgen.wire.transport import StampedTransport
from tests.helpers.scripted import CLOSE, HANG, HEAD, RESET, Script, chunked, delta, serving

pytestmark = pytest.mark.timing

QUICK = Limits(connect=5, first_token=5, gap=5, request=5)


async def ask(transport: StampedTransport, url: str, body: bytes = b"{}", limits: Limits = QUICK) -> RequestTiming:
    return await perform(transport, build(url, None, body, limits))


async def one(script: Script, stamps: StampSource, limits: Limits = QUICK) -> RequestTiming:
    async with serving(script) as server:
        transport = StampedTransport(stamps=stamps)
        timing = await ask(transport, server.url, limits=limits)
        await transport.aclose()
        return timing


def test_arrivals_are_reads_with_body_bytes_in_order(stamps, on_loop):
    async def work():
        gate = asyncio.Event()
        script = [HEAD, chunked(delta("a"), end=False), gate, chunked(delta("b"))]
        async with serving(script) as server:
            transport = StampedTransport(stamps=stamps)
            request = build(server.url, None, b"{}", QUICK)
            task = asyncio.create_task(perform(transport, request))
            timing = request.extensions["trace"]
            while not timing.body and not task.done():
                await asyncio.sleep(0)
            between = now_ns()
            gate.set()
            await task
            await transport.aclose()
        assert timing.failure is None
        assert bytes(timing.body) == delta("a") + delta("b")
        assert list(timing.arrival_bytes) == [len(delta("a")), len(delta("b"))]
        first, second = timing.arrival_ns
        assert timing.send_ns < timing.headers_ns <= first <= between <= second <= timing.end_ns
        assert timing.first_text_ns == first

    on_loop(work())


def test_a_role_event_or_a_ping_is_not_the_first_text(stamps, on_loop):
    async def work():
        role = b'data: {"choices":[{"delta":{"role":"assistant","content":"","tool_calls":null}}]}\n\n'
        gate = asyncio.Event()
        script = [HEAD, chunked(b": ping\n\n", role, end=False), gate, chunked(delta("x"))]
        async with serving(script) as server:
            request = build(server.url, None, b"{}", QUICK)
            transport = StampedTransport(stamps=stamps)
            task = asyncio.create_task(perform(transport, request))
            timing = request.extensions["trace"]
            while not timing.body and not task.done():
                await asyncio.sleep(0)
            assert timing.first_text_ns is None
            gate.set()
            await task
            assert timing.first_text_ns == timing.arrival_ns[-1]
            await transport.aclose()

    on_loop(work())


@pytest.mark.parametrize(
    ("head", "body", "ending"),
    [
        (HEAD, chunked(delta("a")), []),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(delta("a")), delta("a"), []),
        (b"HTTP/1.0 200 OK\r\n\r\n", delta("a"), [CLOSE]),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", delta("a"), [CLOSE]),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD,
            chunked(delta("a")),
            [],
        ),
    ],
    ids=["chunked", "content-length", "http-1.0", "close-delimited", "informational-first"],
)
def test_every_framing_gives_the_same_body(head, body, ending, stamps, on_loop):
    async def work():
        timing = await one([head, body, *ending], stamps)
        assert timing.failure is None
        assert bytes(timing.body) == delta("a")
        assert timing.status == 200

    on_loop(work())


def test_one_byte_at_a_time(stamps, on_loop):
    async def work():
        whole = HEAD + chunked(delta("a"), delta("b"))
        timing = await one([bytes([byte]) for byte in whole], stamps)
        assert timing.failure is None
        assert bytes(timing.body) == delta("a") + delta("b")
        assert sum(timing.arrival_bytes) == len(timing.body)

    on_loop(work())


def test_an_answer_in_more_pieces_than_any_has_is_ended(stamps, on_loop, monkeypatch):
    monkeypatch.setattr("lmx_loadgen.wire.response.MAX_READS", 20)

    async def work():
        gates = [asyncio.Event() for _ in range(40)]
        script = [HEAD, *(step for gate in gates for step in (chunked(b": ping\n\n", end=False), gate)), HANG]
        async with serving(script) as server:
            transport = StampedTransport(stamps=stamps)
            request = build(server.url, None, b"{}", QUICK)
            task = asyncio.create_task(perform(transport, request))
            for reads, gate in enumerate(gates, 1):
                while len(request.extensions["trace"].arrival_ns) < reads and not task.done():
                    await asyncio.sleep(0)
                gate.set()
            timing = await task
            await transport.aclose()
        assert timing.failure == ("protocol_error", "answer in over 20 pieces")
        assert len(timing.arrival_ns) == 21

    on_loop(work())


def test_one_connection_serves_many_requests(stamps, on_loop):
    async def work():
        async with serving([HEAD, chunked(delta("a"))]) as server:
            transport = StampedTransport(stamps=stamps)
            traces = [await ask(transport, server.url) for _ in range(3)]
            await transport.aclose()
        assert server.connections == 1
        assert [timing.connect_start_ns is None for timing in traces] == [False, True, True]
        assert traces[0].connect_end_ns <= traces[0].send_ns

    on_loop(work())


def test_an_idle_connection_closed_by_the_server_is_opened_again(stamps, on_loop):
    async def work():
        async with serving([HEAD, chunked(delta("a")), CLOSE], [HEAD, chunked(delta("b"))]) as server:
            transport = StampedTransport(stamps=stamps)
            first = await ask(transport, server.url)
            second = await ask(transport, server.url)
            await transport.aclose()
        assert first.failure is None
        assert second.failure is None
        assert bytes(second.body) == delta("b")
        assert second.connect_start_ns is not None
        assert len(server.requests) == 2

    on_loop(work())


def test_a_goodbye_that_crosses_the_request_is_not_a_failed_request(stamps, on_loop):
    """The server hangs up on a kept connection just when the next request is written, without reading it."""

    async def work():
        async with serving([HEAD, chunked(delta("a"))], [CLOSE], [HEAD, chunked(delta("b"))]) as server:
            transport = StampedTransport(stamps=stamps)
            await ask(transport, server.url)
            second = await ask(transport, server.url)
            await transport.aclose()
        assert second.failure is None
        assert second.reconnected
        assert second.connect_end_ns <= second.send_ns
        assert bytes(second.body) == delta("b")

    on_loop(work())


def test_a_server_that_always_hangs_up_is_a_failure_not_a_loop(stamps, on_loop):
    async def work():
        async with serving([CLOSE]) as server:
            transport = StampedTransport(stamps=stamps)
            timing = await ask(transport, server.url)
        assert timing.failure[0] == "reset"
        assert len(server.requests) == 1

    on_loop(work())


@pytest.mark.parametrize(
    ("script", "outcome", "words"),
    [
        ([CLOSE], "reset", "without answering"),
        ([HEAD, chunked(delta("a"), end=False), CLOSE], "truncated", "ended before"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nxx", CLOSE], "truncated", "ended before"),
        ([HEAD, chunked(delta("a"), end=False), RESET], "reset", "lost"),
        ([b"SSH-2.0-OpenSSH_9.9\r\n"], "protocol_error", "not HTTP"),
        ([HEAD, b"zz\r\n"], "protocol_error", "not HTTP"),
        (
            [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
            "protocol_error",
            "switched",
        ),
        ([b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 40_000], "protocol_error", "headers over"),
    ],
    ids=[
        "no-answer",
        "cut-chunked",
        "cut-length",
        "reset",
        "not-http",
        "bad-chunk",
        "upgrade",
        "endless-headers",
    ],
)
def test_each_way_to_fail_has_its_outcome(script, outcome, words, stamps, on_loop):
    async def work():
        timing = await one(script, stamps)
        assert timing.failure is not None
        assert timing.failure[0] == outcome
        assert words in timing.failure[1]
        assert timing.end_ns is not None

    on_loop(work())


@pytest.mark.parametrize(
    ("script", "limits", "outcome"),
    [
        ([HANG], Limits(5, 0.05, 3600, 3600), "first_token_timeout"),
        ([HEAD, chunked(b": ping\n\n", end=False), HANG], Limits(5, 0.05, 3600, 3600), "first_token_timeout"),
        ([HEAD, chunked(delta("a"), end=False), HANG], Limits(5, 3600, 0.05, 3600), "gap_timeout"),
        ([HEAD, chunked(delta("a"), end=False), HANG], Limits(5, 3600, 3600, 0.05), "request_timeout"),
    ],
    ids=["silence", "only-pings", "gap", "whole"],
)
def test_each_wait_is_bounded_and_the_connection_closed(script, limits, outcome, stamps, on_loop):
    async def work():
        async with serving(script) as server:
            transport = StampedTransport(stamps=stamps)
            async with asyncio.timeout(30):
                timing = await ask(transport, server.url, limits=limits)
                assert timing.failure[0] == outcome
                await server.closed_by_client.wait()

    on_loop(work())


def test_cancelling_closes_the_connection_and_says_so(stamps, on_loop):
    async def work():
        async with serving([HEAD, chunked(delta("a"), end=False), HANG]) as server:
            transport = StampedTransport(stamps=stamps)
            request = build(server.url, None, b"{}", QUICK)
            task = asyncio.create_task(perform(transport, request))
            while not request.extensions["trace"].body and not task.done():
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert request.extensions["trace"].failure[0] == "cancelled"
            async with asyncio.timeout(5):
                await server.closed_by_client.wait()

    on_loop(work())


def test_nothing_on_the_port_is_a_connect_error(stamps, on_loop, unused_port):
    async def work():
        timing = await ask(StampedTransport(stamps=stamps), f"http://127.0.0.1:{unused_port}/v1/x")
        assert timing.failure[0] == "connect_error"
        assert timing.send_ns is None

    on_loop(work())


def test_ipv6(stamps, on_loop):
    async def work():
        try:
            async with serving([HEAD, chunked(delta("a"))], host="::1") as server:
                timing = await ask(StampedTransport(stamps=stamps), server.url)
        except OSError:
            pytest.skip("no IPv6 on this machine")
        assert timing.failure is None

    on_loop(work())


def test_tls_with_one_shared_context(on_loop):
    async def work():
        ca = trustme.CA()
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("localhost").configure_cert(server_context)
        client_context = ssl.create_default_context()
        ca.configure_trust(client_context)
        async with serving([HEAD, chunked(delta("a"))], tls=server_context) as server:
            url = f"https://localhost:{server.port}/v1/chat/completions"
            trusted = await ask(StampedTransport(ssl_context=client_context), url)
            untrusted = await ask(StampedTransport(), url)
        assert trusted.failure is None
        assert bytes(trusted.body) == delta("a")
        assert untrusted.failure[0] == "connect_error"
        assert "certificate" in untrusted.failure[1].lower()

    on_loop(work())


def test_a_large_request_arrives_whole(stamps, on_loop):
    async def work():
        body = b"x" * 3_000_000
        async with serving([HEAD, chunked(delta("a"))]) as server:
            timing = await ask(StampedTransport(stamps=stamps), server.url, body)
            assert timing.failure is None
            assert server.requests[0].endswith(body)

    on_loop(work())


def test_the_httpx_client_can_use_it_too(stamps, on_loop):
    async def work():
        async with serving([HEAD, chunked(delta("a"), delta("b"))]) as server:
            async with httpx.AsyncClient(transport=StampedTransport(stamps=stamps)) as client:
                response = await client.post(server.url, json={})
                assert response.content == delta("a") + delta("b")
            with pytest.raises(httpx.ConnectError):
                async with httpx.AsyncClient(transport=StampedTransport(stamps=stamps)) as client:
                    await client.post("http://127.0.0.1:1/", json={})

    on_loop(work())


class TestKernelStamps:
    def test_age_carries_a_stamp_to_the_monotonic_clock(self):
        assert carried_over(stamp_ns=1_000, wall_ns=1_400, mono_ns=50_000) == 49_600

    @pytest.mark.parametrize("stamp_ns", [2_000, 1_400 - 11_000_000_000])
    def test_a_stepped_wall_clock_is_not_believed(self, stamp_ns):
        assert carried_over(stamp_ns=stamp_ns, wall_ns=1_400, mono_ns=50_000) is None

    @pytest.mark.skipif(not kernel_stamps_available(), reason="the kernel gives no stamps here")
    @pytest.mark.parametrize("step_s", [5, -5, 3600])
    def test_a_step_of_the_wall_clock_between_stamp_and_read_moves_no_arrival(self, step_s, monkeypatch):
        """Five seconds are within the age a stamp may have, so what came before has to tell."""
        wall, stepped = time.time_ns, []
        monkeypatch.setattr(
            "lmx_loadgen.wire.stamps.time.time_ns", lambda: wall() + (step_s * 1_000_000_000 if stepped else 0)
        )
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname()) as writer,
        ):
            reader, _ = listener.accept()
            with reader:
                stamped = StampedSocket(reader, StampSource.KERNEL)
                stamped.expect_nothing_before(now_ns())
                arrivals = []
                for step in ([], [True], []):
                    before = now_ns()
                    writer.sendall(b"hello")
                    stepped[:] = step
                    arrivals.append((before, stamped.read()[1], now_ns()))
        assert all(before - 1_000_000 <= at_ns <= after for before, at_ns, after in arrivals), arrivals

    def test_macos_has_none(self):
        assert not kernel_stamps_available("darwin")

    @pytest.mark.skipif(not kernel_stamps_available(), reason="the kernel gives no stamps here")
    def test_a_late_read_does_not_move_the_arrival(self):
        """The stamp says when the bytes came, however long nobody read them."""
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname()) as writer,
        ):
            reader, _ = listener.accept()
            with reader:
                stamped = StampedSocket(reader, StampSource.KERNEL)
                before = now_ns()
                writer.sendall(b"hello")
                after = now_ns()
                while now_ns() < after + 20_000_000:
                    pass
                data, at_ns = stamped.read()
        assert data == b"hello"
        assert before - 1_000_000 <= at_ns <= after + 1_000_000
