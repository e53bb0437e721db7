"""When an answer is over: at [DONE], or a while after its finish reason, whatever its body does then."""

import asyncio
import gc
import json
from itertools import pairwise

import pytest

from lmx_loadgen.load.sender import build, perform
from lmx_loadgen.system.clock import NS
from lmx_loadgen.wire.ending import ServerHabits, cut_from, end_of_done, finished_ns, grace_s
from lmx_loadgen.wire.response import ResponseReader
from lmx_loadgen.wire.stamps import StampSource
from lmx_loadgen.wire.timing import Limits, RequestTiming
from lmx_loadgen.wire.transport import StampedTransport
from tests.helpers.scripted import CLOSE, HANG, HEAD, RESET, Script, chunked, delta, serving

# Far more than any test takes: whoever waits for one of these fails.
PATIENT = Limits(connect=60, first_token=60, gap=60, request=60)
SOON_S = 20

DONE = b"data: [DONE]\n\n"
FINISH = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n'
PING = b": ping\n\n"
LENGTH_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100000\r\n\r\n"
OLD_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


class Pause(asyncio.Event):
    """A step of a script that takes a moment."""

    async def wait(self) -> bool:  # type: ignore[override]
        await asyncio.sleep(0.01)
        return True


def pings(piece: bytes) -> Script:
    """More of them than are waited for, until the client closes."""
    return [step for _ in range(1000) for step in (Pause(), piece)]


async def ask(transport: StampedTransport, url: str, limits: Limits = PATIENT) -> RequestTiming:
    async with asyncio.timeout(SOON_S):
        return await perform(transport, build(url, None, b"{}", limits))


async def one(script: Script, stamps: StampSource, limits: Limits = PATIENT) -> RequestTiming:
    async with serving(script) as server:
        transport = StampedTransport(stamps=stamps)
        timing = await ask(transport, server.url, limits)
        await transport.aclose()
        return timing


@pytest.fixture
def soon_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second after a finish reason is enough."""
    monkeypatch.setattr("lmx_loadgen.wire.response.QUIET_S", 0.1)


@pytest.fixture
def long_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine is so slow that a healthy server would not end its body in time."""
    monkeypatch.setattr("lmx_loadgen.wire.ending.GRACE_S", SOON_S)
    monkeypatch.setattr("lmx_loadgen.wire.ending.QUIET_S", SOON_S)


BODY = delta("a") + FINISH
OPEN_AFTER_DONE: dict[str, Script] = {
    "silent": [HEAD, chunked(BODY + DONE, end=False), HANG],
    "comments": [HEAD, chunked(BODY + DONE, end=False), *pings(chunked(PING, end=False))],
    "named events": [HEAD, chunked(BODY + DONE, end=False), *pings(chunked(b"event: ping\ndata: {}\n\n", end=False))],
    "empty chunks": [HEAD, chunked(BODY + DONE, end=False), *pings(chunked(b'data: {"choices":[]}\n\n', end=False))],
    "CRLF": [HEAD, chunked((BODY + DONE).replace(b"\n", b"\r\n"), end=False), HANG],
    "CR": [HEAD, chunked((BODY + DONE).replace(b"\n", b"\r"), end=False), HANG],
    "no space": [HEAD, chunked(BODY + b"data:[DONE]\n\n", end=False), HANG],
    "more of its length promised": [LENGTH_HEAD, BODY + DONE, HANG],
    "until end of file": [OLD_HEAD, BODY + DONE, HANG],
    "until end of file, with pings": [OLD_HEAD, BODY + DONE, *pings(PING)],
    "201": [HEAD.replace(b"200 OK", b"201 Created"), chunked(BODY + DONE, end=False), HANG],
    "no finish reason": [HEAD, chunked(delta("a") + DONE, end=False), HANG],
    "no text at all": [HEAD, chunked(DONE, end=False), HANG],
}


@pytest.mark.parametrize("kind", list(OPEN_AFTER_DONE))
def test_a_body_left_open_after_done_costs_nothing(kind, stamps, on_loop):
    async def work():
        timing = await one(OPEN_AFTER_DONE[kind], stamps)
        assert timing.failure is None
        assert timing.notes == ["held_open"]
        assert timing.body.endswith((b"[DONE]\n\n", b"[DONE]\r\n\r\n", b"[DONE]\r\r"))
        assert timing.send_ns < timing.arrival_ns[-1] <= timing.end_ns

    on_loop(work())


@pytest.mark.timing  # a machine that pauses for longer than the grace reads no further
@pytest.mark.parametrize("line_ends", [b"\n\n", b"\r\n\r\n", b"\n", b""], ids=repr)
def test_done_split_over_many_reads_is_found_and_keeps_its_line_ends(line_ends, stamps, on_loop):
    async def work():
        slowly = [bytes([byte]) for byte in b"data: [DONE]" + line_ends]
        steps = [step for piece in slowly for step in (Pause(), chunked(piece, end=False))]
        timing = await one([HEAD, chunked(BODY, end=False), *steps, HANG], stamps)
        assert timing.failure is None
        assert timing.body == BODY + b"data: [DONE]" + line_ends
        assert sum(timing.arrival_bytes) == len(timing.body)

    on_loop(work())


def test_the_connection_is_closed_and_the_next_request_waits_for_nothing(stamps, on_loop):
    async def work():
        habits = ServerHabits()
        async with serving([HEAD, chunked(BODY + DONE, end=False), HANG]) as server:
            transport = StampedTransport(stamps=stamps, habits=habits)
            assert not habits.leaves_bodies_open
            traces = [await ask(transport, server.url) for _ in range(3)]
            async with asyncio.timeout(SOON_S):
                await server.closed_by_client.wait()
            await transport.aclose()
        assert habits.leaves_bodies_open
        assert server.connections == 3
        assert [timing.notes for timing in traces] == [["held_open"]] * 3
        assert not any(timing.reconnected for timing in traces)
        assert all(timing.connect_end_ns is not None for timing in traces)
        assert all(after.send_ns >= before.end_ns for before, after in pairwise(traces))

    on_loop(work())


@pytest.mark.parametrize("junk", [b"", PING], ids=["nothing", "a ping"])
def test_an_end_that_comes_a_little_later_keeps_the_connection(junk, stamps, on_loop, long_grace):
    async def work():
        gate = asyncio.Event()
        script = [HEAD, chunked(BODY + DONE, end=False), gate, (chunked(junk, end=False) if junk else b"") + chunked()]
        async with serving(script) as server:
            transport = StampedTransport(stamps=stamps)
            request = build(server.url, None, b"{}", PATIENT)
            task = asyncio.create_task(perform(transport, request))
            timing = request.extensions["trace"]
            while DONE not in timing.body:
                await asyncio.sleep(0)
            gate.set()
            await task
            second = await ask(transport, server.url)
            await transport.aclose()
        assert (timing.failure, timing.notes, timing.body) == (None, [], BODY + DONE)
        assert (second.failure, second.connect_start_ns) == (None, None)
        assert server.connections == 1

    on_loop(work())


def test_a_server_that_ended_one_body_is_always_given_the_moment():
    habits = ServerHabits(held_body=True)
    assert habits.leaves_bodies_open
    habits.ended_body = True
    assert not habits.leaves_bodies_open


@pytest.mark.parametrize(("pause_ms", "expected_s"), [(1, 0.05), (100, 0.2), (5000, 1.0)])
def test_a_server_that_is_slow_is_given_longer(pause_ms, expected_s):
    timing = RequestTiming()
    timing.arrival_ns.extend(turn * pause_ms * 1_000_000 for turn in range(20))
    assert grace_s(timing) == pytest.approx(expected_s)
    assert grace_s(RequestTiming()) == 0.05


OPEN_AFTER_FINISH: dict[str, Script] = {
    "silent": [HEAD, chunked(BODY, end=False), HANG],
    "comments": [HEAD, chunked(BODY, end=False), *pings(chunked(PING, end=False))],
    "empty chunks": [
        HEAD,
        chunked(BODY, end=False),
        *pings(chunked(b'data: {"choices":[{"delta":{}}]}\n\n', end=False)),
    ],
    "white space in the JSON": [HEAD, chunked(delta("a"), FINISH.replace(b":", b" : "), end=False), HANG],
    "text and finish in one event": [
        HEAD,
        chunked(b'data: {"choices":[{"finish_reason":"length","delta":{"content":"a"}}]}\n\n', end=False),
        HANG,
    ],
    "usage afterwards": [HEAD, chunked(BODY, end=False), Pause(), chunked(USAGE, end=False), HANG],
    "until end of file": [OLD_HEAD, BODY, HANG],
    "no text at all": [HEAD, chunked(FINISH, end=False), HANG],
    "202": [HEAD.replace(b"200 OK", b"202 Accepted"), chunked(BODY, end=False), HANG],
}


@pytest.mark.parametrize("kind", list(OPEN_AFTER_FINISH))
def test_without_done_a_finish_reason_frees_the_slot_after_a_while(kind, stamps, on_loop, soon_quiet):
    async def work():
        timing = await one(OPEN_AFTER_FINISH[kind], stamps)
        assert timing.failure is None
        assert timing.notes == ["held_open"]
        assert (USAGE in timing.body) == (kind == "usage afterwards")
        assert timing.end_ns >= timing.arrival_ns[0] + NS // 10
        assert timing.end_ns >= timing.arrival_ns[-1]

    on_loop(work())


UNFINISHED: dict[str, list[bytes]] = {
    "text after it": [delta("a"), FINISH, delta("b")],
    "reasoning after it": [delta("a"), FINISH, b'data: {"choices":[{"delta":{"reasoning":"b"}}]}\n\n'],
    "one in every event": [delta("a").replace(b"}}]", b'},"finish_reason":"stop"}]')] * 3,
    "null": [delta("a"), FINISH.replace(b'"stop"', b"null")],
    "the word null": [delta("a"), FINISH.replace(b'"stop"', b'"null"')],
    "empty": [delta("a"), FINISH.replace(b'"stop"', b'""')],
    "quoted in the text": [b"data: %s\n\n" % json.dumps({"content": FINISH.decode()}).encode()],
    "only usage": [delta("a"), USAGE],
}


@pytest.mark.parametrize("kind", list(UNFINISHED))
def test_what_is_no_end_leaves_the_gap_to_its_limit(kind, stamps, on_loop, monkeypatch):
    monkeypatch.setattr("lmx_loadgen.wire.response.QUIET_S", 0.02)

    async def work():
        limits = Limits(connect=60, first_token=60, gap=0.3, request=60)
        timing = await one([HEAD, chunked(*UNFINISHED[kind], end=False), HANG], stamps, limits)
        assert timing.failure[0] == "gap_timeout"
        assert timing.notes == []

    on_loop(work())


def test_a_gap_limit_below_the_wait_after_a_finish_reason_fails_no_finished_answer(stamps, on_loop):
    async def work():
        limits = Limits(connect=60, first_token=60, gap=0.05, request=60)
        timing = await one([HEAD, chunked(BODY, end=False), HANG], stamps, limits)
        assert (timing.failure, timing.notes) == (None, ["held_open"])

    on_loop(work())


def test_text_that_quotes_the_end_is_not_the_end(stamps, on_loop, long_grace):
    async def work():
        quoted = json.dumps({"choices": [{"delta": {"content": "\ndata: [DONE]\n\n"}}]}).encode()
        parts = [b"data: " + quoted + b"\n\n", delta("data: [DONE]"), delta("[DONE]"), FINISH + DONE]
        timing = await one([HEAD, *(chunked(part, end=False) for part in parts), chunked()], stamps)
        assert (timing.failure, timing.notes) == (None, [])
        assert timing.body == b"".join(parts)

    on_loop(work())


LATE = delta("late") + b"data: garbage\n\n"


@pytest.mark.parametrize(
    "script",
    [
        [HEAD, chunked(BODY + DONE + LATE)],
        [HEAD, chunked(BODY + DONE, LATE)],
        [HEAD, chunked(BODY + DONE + LATE, end=False), HANG],
        [HEAD, chunked(BODY + DONE + b": " + b"x" * 2000 + b"\n\n", end=False), HANG],
        [HEAD, chunked(BODY + DONE, end=False), Pause(), chunked(LATE, end=False), HANG],
        [HEAD, chunked(BODY + DONE, end=False), b"not a chunk\r\n", HANG],
        [HEAD, chunked(BODY + DONE) + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nlate", HANG],
    ],
    ids=["same chunk", "next chunk", "left open", "much, left open", "next read", "bad framing", "a second answer"],
)
def test_what_comes_after_done_is_ignored(script, stamps, on_loop):
    async def work():
        timing = await one(script, stamps)
        assert timing.failure is None
        assert (timing.status, timing.body) == (200, BODY + DONE)
        assert sum(timing.arrival_bytes) == len(timing.body)

    on_loop(work())


CUT = {
    "chunked": ([HEAD, chunked(BODY + DONE, end=False), CLOSE], None),
    "reset": ([HEAD, chunked(BODY + DONE, end=False), Pause(), RESET], None),
    "content-length": ([LENGTH_HEAD, BODY + DONE, CLOSE], None),
    "end of file": ([OLD_HEAD, BODY + DONE, CLOSE], None),
    "end of file, no finish reason": ([OLD_HEAD, delta("a") + DONE, CLOSE], None),
    "before done": ([HEAD, chunked(BODY, end=False), CLOSE], "truncated"),
    "before done, by length": ([LENGTH_HEAD, BODY, CLOSE], "truncated"),
    "before any text": (
        [HEAD, chunked(b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n', end=False), CLOSE],
        "truncated",
    ),
    "nothing but a head": ([HEAD, CLOSE], "truncated"),
    # llama-cpp-python gives up the older of two requests like this.
    "done, but no finish reason": ([HEAD, chunked(delta("a") + DONE, end=False), CLOSE], "truncated"),
    "identity is no framing": ([HEAD.replace(b"chunked", b"identity"), BODY, CLOSE], None),
}


@pytest.mark.parametrize("kind", list(CUT))
def test_a_body_that_is_cut_after_done_is_whole(kind, stamps, on_loop, long_grace):
    async def work():
        script, outcome = CUT[kind]
        timing = await one(script, stamps)
        assert (timing.failure and timing.failure[0]) == outcome
        assert timing.notes == []

    on_loop(work())


def test_an_answer_that_was_let_go_leaves_nothing_behind(stamps, on_loop, soon_quiet):
    seen = []

    async def work():
        gc.collect()
        gc.disable()
        try:
            for script in (OPEN_AFTER_DONE["silent"], OPEN_AFTER_DONE["comments"], OPEN_AFTER_FINISH["silent"]):
                await one(script, stamps)
            await asyncio.sleep(0)
            seen.append(sum(isinstance(thing, ResponseReader) for thing in gc.get_objects()))
        finally:
            gc.enable()

    on_loop(work())

    assert seen == [0]


@pytest.mark.parametrize("before", [0, 1, 1000])
@pytest.mark.parametrize("after", [0, 10, 3000])
def test_done_is_found_at_the_tail_of_any_body(before, after):
    body = bytearray(delta("[DONE]") * before + DONE)
    assert end_of_done(body + b"x" * after) == len(body)
    assert end_of_done(body[: -len(DONE)]) is None


def test_what_is_cut_off_has_never_arrived():
    timing = RequestTiming(body=bytearray(b"aabbccdd"))
    timing.arrival_ns.extend([1, 2, 3, 4])
    timing.arrival_bytes.extend([2, 2, 2, 2])
    cut_from(timing, 3)
    assert (timing.body, list(timing.arrival_ns), list(timing.arrival_bytes)) == (b"aab", [1, 2], [2, 1])
    cut_from(timing, 3)
    assert timing.body == b"aab"


def test_the_finish_reason_is_as_old_as_the_read_that_brought_it():
    timing = RequestTiming()
    for at_ns, piece in enumerate([delta("a"), FINISH[:-5], FINISH[-5:], USAGE, PING], 1):
        timing.body += piece
        timing.arrival_ns.append(at_ns)
        timing.arrival_bytes.append(len(piece))
    assert finished_ns(timing) == 2
