"""A recording between the OpenAI client and llama.cpp's own server."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.recording.record import RecordingNote, record
from lmx_loadgen.recording.upstream import Upstream
from tests.helpers.servers.needed import need_package
from tests.helpers.servers.server_process import RealServer

pytestmark = [pytest.mark.real_server, pytest.mark.slow]


async def chat_through(url: str, out: Path) -> tuple[list[str], list[str], RecordingNote]:
    """The same two turns straight to the server and through a recording, and its note."""
    import openai

    async def talk(base_url: str) -> list[str]:
        client = openai.AsyncOpenAI(base_url=base_url, api_key="not-needed-here")
        messages: list[Any] = [{"role": "user", "content": "Name a color."}]
        said = []
        for question in ("Another one?", None):
            stream = await client.chat.completions.create(
                model="m",
                messages=messages,
                stream=True,
                stream_options={"include_usage": True},
                max_tokens=12,
                temperature=0,
                seed=1,
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
            said.append(text)
            messages += [{"role": "assistant", "content": text}, {"role": "user", "content": question}]
        await client.close()
        return said

    until, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    recording = asyncio.ensure_future(
        record(Upstream(f"{url}/v1"), 0, out, keep_text=True, until=until, listening=ready.set_result)
    )
    through = await talk(f"http://127.0.0.1:{await ready}/v1")
    until.set()
    return await talk(f"{url}/v1"), through, await recording


def test_the_client_gets_what_the_server_says(llama_server: RealServer, tmp_path: Path) -> None:
    need_package("openai", "the OpenAI client", "pip install openai")
    direct, through, note = asyncio.run(chat_through(llama_server.url, tmp_path / "c.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text("utf-8").splitlines()]
    answers = [one["messages"][0]["content"] for one in lines if "ttft_ms" in one]

    assert through == direct == answers
    assert (note.chats, note.turns) == (1, 2)
    assert note.delay_p50_ms is not None
    assert note.delay_p50_ms < 5  # of some thirty pieces the p99 is the slowest, which another process may have held up
    assert note.delay_p99_ms is not None
    assert all(one["usage"]["prompt_tokens"] > 0 for one in lines if "ttft_ms" in one)
