"""A recording: bytes pass unchanged, chats are put together, texts stay out unless asked for, a kill loses nothing."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lmx_loadgen.errors import InputError, StorageError
from lmx_loadgen.recording.exchange import Delays
from lmx_loadgen.recording.record import RecordingNote, record
from lmx_loadgen.recording.upstream import Upstream
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from tests.helpers.cli import lmx_loadgen

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
SSE = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\r\n\r\n: ping\n\ndata: [DONE]\n\n'
CHUNKED = b"".join(b"%x\r\n%b\r\n" % (1, bytes([byte])) for byte in SSE) + b"0\r\n\r\n"
WHOLE = {
    "chunks of a byte": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "a length": HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(SSE), SSE),
    "to the end of the connection": HEAD + b"Connection: close\r\n\r\n" + SSE,
    "an interim answer first": b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "no body": b"HTTP/1.1 204 No Content\r\nX-A: \xc3\xa4\r\n\r\n",
    "a failure": b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater",
}


async def recorded(
    upstream: str, out: Path, use: Callable[[int], Awaitable[None]], *, keep_text: bool = True
) -> RecordingNote:
    """What a recording says after `use` was called with its port."""
    until, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.ensure_future(
        record(Upstream(upstream), 0, out, keep_text=keep_text, until=until, listening=ready.set_result)
    )
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
    if ready.done():
        await use(ready.result())
    until.set()
    return await task


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def turns_of(path: Path) -> list[tuple[str, int, list[str]]]:
    """Of each line of a chat: its chat, its turn, and who says what."""
    found = [line for line in lines_of(path) if "chat" in line]
    return [(line["chat"], line["turn"], [str(one["content"]) for one in line["messages"]]) for line in found]


@pytest.fixture(scope="module")
def sim() -> Any:
    with start(SimSettings(ttft_ms=1.0, step_ms=1.0, prefill_tok_s=None, text="Fine, thanks.")) as running:
        yield running


async def ask(port: int, messages: list[dict[str, Any]], stream: bool = True, **more: Any) -> str:
    body = {"model": "sim-model", "messages": messages, "stream": stream, **more}
    async with httpx.AsyncClient() as client:
        reply = await client.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body, timeout=20)
    return reply.text


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


ANSWER = {"role": "assistant", "content": "Fine, thanks."}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_an_answer_passes_byte_for_byte(kind: str, piece: int, tmp_path: Path) -> None:
    answer, asked = WHOLE[kind], []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"hello"))
        for start_ in range(0, len(answer), piece):
            writer.write(answer[start_ : start_ + piece])
            await writer.drain()
        if b"Connection: close" in answer:
            writer.close()

    async def scene() -> bytes:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        got = b""

        async def use(port: int) -> None:
            nonlocal got
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nX-Odd:  a \r\nContent-Length: 5\r\n\r\nhello")
            got = await asyncio.wait_for(reader.readexactly(len(answer)), 10)
            writer.close()

        async with server:
            await recorded(url, tmp_path / "c.jsonl", use)
        return got

    assert asyncio.run(scene()) == answer
    assert re.fullmatch(
        rb"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:\d+\r\nX-Odd:  a \r\nContent-Length: 5\r\n\r\nhello", asked[0]
    )


def test_turns_of_interleaved_chats_are_put_together(sim: SimProcess, tmp_path: Path) -> None:
    one, other = [user("One?")], [{"role": "system", "content": "Be brief."}, user("Other?")]

    async def use(port: int) -> None:
        await ask(port, one)
        await ask(port, other, stream=False)
        await ask(port, [*one, ANSWER, user("And then?")])
        trimmed = {**ANSWER, "content": " Fine, thanks. \n"}  # apps do that
        await ask(port, [*other, trimmed, user("Why?")])
        await ask(port, one)  # asked anew: another chat

    note = asyncio.run(recorded(sim.base_url, tmp_path / "c.jsonl", use))

    assert turns_of(tmp_path / "c.jsonl") == [
        ("1", 1, ["One?"]),
        ("1", 1, ["Fine, thanks."]),
        ("2", 1, ["Be brief.", "Other?"]),
        ("2", 1, ["Fine, thanks."]),
        ("1", 2, ["And then?"]),
        ("1", 2, ["Fine, thanks."]),
        ("2", 2, ["Why?"]),
        ("2", 2, ["Fine, thanks."]),
        ("3", 1, ["One?"]),
        ("3", 1, ["Fine, thanks."]),
    ]
    assert (note.chats, note.turns, note.answers) == (3, 5, 5)
    first = next(line for line in lines_of(tmp_path / "c.jsonl") if "ttft_ms" in line)
    assert first["ttft_ms"] > 0
    assert first["complete"] is True
    assert note.delay_p99_ms is not None


def test_without_text_only_lengths_and_marks_are_stored(sim: SimProcess, tmp_path: Path) -> None:
    secret = "What does Ms Winterbottom earn?"
    tools = [{"type": "function", "function": {"name": "salary_of", "parameters": {}}}]

    async def use(port: int) -> None:
        await ask(port, [user(secret)], tools=tools, tool_choice="none")
        await ask(port, [user(secret)])

    asyncio.run(recorded(sim.base_url, tmp_path / "c.jsonl", use, keep_text=False))
    stored = (tmp_path / "c.jsonl").read_text("utf-8")
    asked = [line for line in lines_of(tmp_path / "c.jsonl") if "at_s" in line]

    assert "Winterbottom" not in stored
    assert "Fine" not in stored
    assert "salary_of" not in stored
    assert [line["messages"][0]["characters"] for line in asked] == [len(secret), len(secret)]
    assert asked[0]["messages"][0]["mark"] == asked[1]["messages"][0]["mark"]
    assert asked[0]["tools"] == {"number": 1, "characters": len(json.dumps(tools))}


def test_marks_of_two_recordings_have_nothing_in_common(sim: SimProcess, tmp_path: Path) -> None:
    async def use(port: int) -> None:
        await ask(port, [user("One?")])

    marks = set()
    for name in ("a.jsonl", "b.jsonl"):
        asyncio.run(recorded(sim.base_url, tmp_path / name, use, keep_text=False))
        marks.add(lines_of(tmp_path / name)[1]["messages"][0]["mark"])
    assert len(marks) == 2


@pytest.mark.parametrize(
    "secret",
    [
        "my-own-key-1234",
        "sk-proj-abcdefghijklmnop1234",
        "ghp_abcdefghijklmnopqrstuv0123456789",
        "hf_abcdefghijklmnopqrstuvwx",
        "AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
    ],
)
def test_secrets_are_masked_in_texts(secret: str, sim: SimProcess, tmp_path: Path) -> None:
    async def use(port: int) -> None:
        async with httpx.AsyncClient(headers={"Authorization": "Bearer my-own-key-1234"}) as client:
            body = {"model": "sim-model", "messages": [user(f"Use {secret} for it")], "stream": True}
            await client.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body)

    asyncio.run(recorded(sim.base_url, tmp_path / "c.jsonl", use))

    assert secret not in json.loads(json.dumps(turns_of(tmp_path / "c.jsonl")))[0][2][0]
    assert turns_of(tmp_path / "c.jsonl")[0][2][0] == f"Use {'*' * len(secret)} for it"


def test_what_is_no_chat_passes_and_is_counted(sim: SimProcess, tmp_path: Path) -> None:
    async def use(port: int) -> None:
        async with httpx.AsyncClient() as client:
            listed = await client.get(f"http://127.0.0.1:{port}/v1/models")
            assert listed.json()["data"][0]["id"] == "sim-model"
            assert (await client.head(f"http://127.0.0.1:{port}/v1/models")).status_code in (200, 404, 405)
            assert (await client.get(f"http://127.0.0.1:{port}/v1/models")).status_code == 200  # the same connection

    note = asyncio.run(recorded(sim.base_url, tmp_path / "c.jsonl", use))

    assert note.not_stored == {"/v1/models": 3}
    assert note.chats == 0


def test_an_app_that_leaves_in_the_middle_ends_the_request(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b'\r\ndata: {"choices":[{"delta":{"content":"Hi"}}]}\n\n')
        while await reader.read(100):
            pass
        gone.set()

    async def scene() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

        async def use(port: int) -> None:
            async with (
                httpx.AsyncClient() as client,
                client.stream(
                    "POST", f"http://127.0.0.1:{port}/v1/chat/completions", json={"messages": [user("?")]}
                ) as it,
            ):
                async for _ in it.aiter_raw():
                    break
            await asyncio.wait_for(gone.wait(), 10)

        async with server:
            await recorded(url, tmp_path / "c.jsonl", use)

    asyncio.run(scene())
    assert turns_of(tmp_path / "c.jsonl") == [("1", 1, ["?"]), ("1", 1, ["Hi"])]


def test_a_server_that_is_not_there_and_a_foreign_host_are_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]

    async def use(port: int) -> None:
        async with httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{port}/v1/models"
            unreachable = await client.get(url)
            assert (unreachable.status_code, "nothing answers at" in unreachable.text) == (502, True)
            foreign = await client.get(url, headers={"Host": "evil.example"})
            assert foreign.status_code == 403

    asyncio.run(recorded(f"http://127.0.0.1:{nobody}/v1", tmp_path / "c.jsonl", use))


def test_a_file_that_exists_and_a_port_that_is_taken_are_one_sentence(sim: SimProcess, tmp_path: Path) -> None:
    async def nothing(port: int) -> None: ...

    (tmp_path / "c.jsonl").write_text("mine")
    with pytest.raises(StorageError, match="exists already: name another file with --out"):
        asyncio.run(recorded(sim.base_url, tmp_path / "c.jsonl", nothing))
    assert (tmp_path / "c.jsonl").read_text() == "mine"
    with pytest.raises(InputError, match=f"--listen {sim.port}: cannot listen"):
        asyncio.run(
            record(Upstream(sim.base_url), sim.port, tmp_path / "d.jsonl", keep_text=True, until=asyncio.Event())
        )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_was_said_until_it_is_killed_is_kept(number: int, tmp_path: Path) -> None:
    out = tmp_path / "c.jsonl"
    with start(SimSettings(ttft_ms=1.0, step_ms=1.0, prefill_tok_s=None)) as sim:
        command = [sys.executable, "-m", "lmx_loadgen", "record", "--listen", "0", "--text", "--out", str(out)]
        process = subprocess.Popen([*command, "--upstream", f"box={sim.url}"], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        said = process.stderr.readline()
        port = int(re.findall(r":(\d+)/v1", said)[0])
        asyncio.run(ask(port, [user("One?")], max_tokens=4))
        with httpx.stream(
            "POST",
            f"http://127.0.0.1:{port}/v1/chat/completions",
            json={"model": "sim-model", "messages": [user("Long?")], "stream": True, "max_tokens": 2000},
        ) as reply:
            next(piece for piece in reply.iter_raw() if "Long?" in out.read_text("utf-8"))
            os.kill(process.pid, number)
            process.wait(20)
        told = process.stderr.read()
        process.stderr.close()
    turns = turns_of(out)

    assert turns[0] == ("1", 1, ["One?"])
    assert turns[1][:2] == ("1", 1)
    assert ("2", 1, ["Long?"]) in turns
    if number == signal.SIGINT:
        assert process.returncode == 0
        assert "2 chats, 2 turns" in told
        assert "own delay: p50" in told
        assert turns[-1][:2] == ("2", 1)  # as far as it came
        assert lines_of(out)[-1]["note"]["delay_p99_ms"] > 0


def test_delays_are_told_to_a_twentieth() -> None:
    delays = Delays()
    assert delays.percentile_ms(99) is None
    for micros in range(1, 1001):
        delays.add(micros * 1000)
    for percent, exact in ((50, 0.5), (99, 0.99)):
        told = delays.percentile_ms(percent)
        assert told is not None
        assert exact <= told <= exact * 1.06


@pytest.mark.parametrize(
    ("upstream", "words"),
    [("nobody", "--upstream 'nobody': no such server"), ("openai", "--upstream openai needs an address")],
)
def test_a_server_that_is_not_known_is_one_sentence_with_its_flag(upstream: str, words: str, tmp_path: Path) -> None:
    done = lmx_loadgen("record", "--upstream", upstream, "--out", str(tmp_path / "c.jsonl"))

    assert done.exit_code == 2
    assert words in done.stderr
    assert not (tmp_path / "c.jsonl").exists()
