"""The real servers that other tests measure, seen through plain httpx: they stream and count correctly."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.paths import ROOT
from tests.helpers.servers.llama_server import run_llama_server
from tests.helpers.servers.models import TINY_ANSWER_TOKENS, write_script_gguf
from tests.helpers.servers.server_process import RealServer, free_port, server_command

pytestmark = [pytest.mark.real_server, pytest.mark.slow]

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place.",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    },
}
# A token each, between the bars.
WEATHER_CALL = '<tool_call>|\n{"|name|": "|get|_weather|", "|arguments|": {"|location|":| "|Sydney|"}|}\n|</tool_call>'


def chunks_of(server: RealServer, prompt: str, max_tokens: int, **fields: Any) -> list[dict[str, Any]]:
    """The data of a streamed chat answer, at temperature 0."""
    body = {
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body | fields, timeout=120).raise_for_status()
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(item) for item in data[:-1]]


def texts(chunks: list[dict[str, Any]]) -> list[str]:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return [delta["content"] for delta in deltas if delta.get("content")]


def finish_reason(chunks: list[dict[str, Any]]) -> str:
    reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    return next(reason for reason in reasons if reason)


@pytest.fixture
def tiny_gguf(llama_cpp_packages: None, tmp_path: Path) -> Path:
    return write_script_gguf(tmp_path / "script.gguf", ["a", " b"])


def test_llama_cpp_streams_english_and_counts_it(llama_server: RealServer) -> None:
    chunks = chunks_of(llama_server, "Why is the sky blue?", 40)

    words = "".join(texts(chunks)).lower().split()
    assert len({"the", "sky", "of", "is", "light", "blue"} & set(words)) >= 3, words
    assert chunks[-1]["usage"]["completion_tokens"] == 40
    assert chunks[-1]["timings"]["predicted_n"] == 40
    assert finish_reason(chunks) == "length"


def test_llama_cpp_has_the_slots_and_the_context_that_were_asked_for(llama_server: RealServer) -> None:
    slots = httpx.get(f"{llama_server.url}/slots").json()

    assert [slot["n_ctx"] for slot in slots] == [4096] * 4


def test_llama_cpp_serves_any_model_name_and_says_its_own(llama_server: RealServer) -> None:
    chunks = chunks_of(llama_server, "Hello", 2, model="no-such-model")

    assert {chunk["model"] for chunk in chunks} == {"SmolLM2-135M-Instruct"}


def test_a_script_is_recited_piece_by_piece(script_llama_server: Any) -> None:
    pieces = ["<think>", "Hm", ".", "</think>", "One", " two", " naïve", " 日本", " 🦊", "!"]

    chunks = chunks_of(script_llama_server(pieces, reasoning_format="none"), "Count", 100)

    assert texts(chunks) == pieces
    assert finish_reason(chunks) == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == len(pieces) + 1  # the end of the turn is a token too


def test_a_looping_script_only_ends_at_the_limit(script_llama_server: Any) -> None:
    chunks = chunks_of(script_llama_server(["tick", " tock"], loop=True), "Go", 101)

    assert texts(chunks) == ["tick", " tock"] * 50 + ["tick"]
    assert finish_reason(chunks) == "length"


def test_a_scripted_model_makes_the_server_emit_a_tool_call(script_llama_server: Any) -> None:
    chunks = chunks_of(
        script_llama_server(WEATHER_CALL.split("|")), "The weather in Sydney?", 100, tools=[WEATHER_TOOL]
    )

    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    parts = [call["function"] for delta in deltas for call in delta.get("tool_calls") or []]
    assert [part["name"] for part in parts if "name" in part] == ["get_weather"]
    assert json.loads("".join(part["arguments"] for part in parts)) == {"location": "Sydney"}
    assert finish_reason(chunks) == "tool_calls"


@pytest.mark.usefixtures("llama_cpp_packages")
@pytest.mark.parametrize("pieces", [[], ["a", ""], ["a", "b", "a"], ["\n", "a"]])
def test_a_script_that_cannot_be_recited_is_refused(tmp_path: Path, pieces: list[str]) -> None:
    with pytest.raises(ValueError, match="piece"):
        write_script_gguf(tmp_path / "script.gguf", pieces)


def test_mlx_lm_streams_and_counts_exactly(mlx_server: RealServer) -> None:
    whole, cut = chunks_of(mlx_server, "Hello", 100), chunks_of(mlx_server, "Hello", 7)

    assert whole[-1]["usage"]["completion_tokens"] == TINY_ANSWER_TOKENS + 1  # the end of the turn is a token too
    assert cut[-1]["usage"]["completion_tokens"] == 7
    assert (finish_reason(whole), finish_reason(cut)) == ("stop", "length")
    # Halves of UTF-8 characters are held back and merged: a chunk is not a token.
    assert 1 < len(texts(whole)) < TINY_ANSWER_TOKENS
    assert "".join(texts(whole)).startswith("".join(texts(cut)).rstrip("\ufffd"))


def test_mlx_lm_lists_our_model_alone(mlx_server: RealServer) -> None:
    models = httpx.get(f"{mlx_server.url}/v1/models").json()["data"]

    assert [Path(model["id"]).name for model in models] == ["tiny-walk"]


def llama_command(model: Path) -> list[str]:
    return [*server_command("serve_llama_cpp"), str(free_port()), str(model)]


def test_a_server_ends_when_its_parent_does(tiny_gguf: Path) -> None:
    command = llama_command(tiny_gguf)
    with subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"listening at http://127.0.0.1:")
        process.stdin.close()  # as the system does for a parent that was killed
        assert process.wait(timeout=60) == 0


def test_a_forgotten_server_ends_by_itself(tiny_gguf: Path) -> None:
    command = [*llama_command(tiny_gguf), "lifetime=1"]
    with subprocess.Popen(command, cwd=ROOT, stdin=-1, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        assert process.wait(timeout=60) == -signal.SIGALRM


@pytest.mark.usefixtures("llama_cpp_packages")
def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"(?s)while starting.*no-such\.gguf"),
        run_llama_server(tmp_path / "no-such.gguf"),
    ):
        pass
