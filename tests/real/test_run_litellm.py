"""Runs against llama.cpp through LiteLLM's proxy, as many people reach their servers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.helpers.cli_run import StoredRun, answer_text, run_cli, text_times
from tests.helpers.servers.litellm_proxy import run_litellm_proxy
from tests.helpers.servers.llama_server import run_llama_server
from tests.helpers.servers.models import find_smollm2
from tests.helpers.servers.needed import need_package
from tests.helpers.servers.server_process import RealServer

pytestmark = [pytest.mark.real_server, pytest.mark.slow]

MAX_TOKENS = 24
MAX_TOKENS_OF_DOOMED = 80
LEVELS = (1, 4)
REQUESTS = 8


@dataclass(frozen=True)
class Proxy:
    """LiteLLM's proxy, and a server behind it that may be killed."""

    url: str
    doomed: RealServer


@pytest.fixture(scope="module")
def proxy(llama_server: RealServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    need_package("litellm", "LiteLLM's proxy", "pip install -r tests/real/requirements.txt")
    model = find_smollm2()
    assert model is not None
    with ExitStack() as servers:
        doomed = servers.enter_context(run_llama_server(model, n_parallel=4, alias="doomed"))
        named = {"SmolLM2": llama_server, doomed.model: doomed}
        server = servers.enter_context(run_litellm_proxy(tmp_path_factory.mktemp("litellm"), named))
        yield Proxy(server.url, doomed)


def target(proxy: Proxy, model: str) -> tuple[str, ...]:
    return ("--target", f"openai={proxy.url}/v1", "--model", model)


@pytest.fixture(scope="module")
def measured_run(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return run_cli(
        tmp_path_factory.mktemp("through-litellm"),
        *(*target(proxy, "SmolLM2"), "--concurrency", "1,4", "--requests", str(REQUESTS)),
        *("--max-tokens", str(MAX_TOKENS), "--prompt", "Explain in detail how a bicycle stays upright."),
        "--no-stability",
    )


def test_every_request_succeeds_at_both_levels(measured_run: StoredRun) -> None:
    assert [level["concurrency"] for level in measured_run.levels()] == list(LEVELS)
    for level in measured_run.levels():
        counts = level["requests"]
        assert (counts["sent"], counts["ok"], counts["failed"]) == (REQUESTS, REQUESTS, 0), level["errors"]
        assert set(level["finish_reasons"]) == {"length"}


def test_the_usage_of_the_server_behind_it_is_kept(measured_run: StoredRun) -> None:
    for index, level in enumerate(measured_run.levels()):
        sample = measured_run.sample(index)
        assert [line["usage"]["completion_tokens"] for line in sample] == [MAX_TOKENS] * len(sample)
        assert (level["token_basis"], level["token_basis_exact"]) == ("usage", True)
        assert all(len(text_times(line)) > MAX_TOKENS / 2 and answer_text(line) for line in sample)


def test_cached_tokens_are_read(measured_run: StoredRun) -> None:
    """llama.cpp reuses the beginning of a prompt that it has just read, and the proxy passes on how much."""
    cached = [line["usage"]["prompt_tokens_details"]["cached_tokens"] for line in measured_run.requests]
    (measured,) = measured_run.result["targets"]

    # 24 tokens of the model's own template stand before the nonce.
    assert all(isinstance(count, int) and count < 30 for count in cached)
    assert measured["cache"]["cached_tokens"] > 40


@pytest.mark.skipif("CI" in os.environ, reason="by hand")
def test_a_server_that_is_killed_behind_it_gives_an_error_with_words(proxy: Proxy, tmp_path: Path) -> None:
    doomed, level = proxy.doomed, max(LEVELS)
    arguments = (*target(proxy, doomed.model), "--concurrency", str(level), "--requests", str(3 * level))
    checks = ("--warmup", "0", "--no-stability", "--no-calibrate", "--quiet")
    command = [
        sys.executable,
        "-m",
        "lmx_loadgen",
        "run",
        *arguments,
        "--max-tokens",
        str(MAX_TOKENS_OF_DOOMED),
        *checks,
    ]
    with subprocess.Popen([*command, "--out", str(tmp_path)], stderr=subprocess.PIPE, text=True) as run:
        wait_until_one_speaks_again(doomed, tmp_path)
        os.kill(doomed.pid, signal.SIGKILL)
        complaints = run.communicate(timeout=300)[1]
    failed = [line for line in measured_lines(tmp_path) if line["outcome"] != "ok"]

    assert "Traceback" not in complaints
    assert len(failed) >= level
    assert all("Connection error" in line["reason"] for line in failed), [line["reason"] for line in failed]
    broken = [line for line in failed if text_times(line)]
    assert broken
    assert {line["outcome"] for line in broken} == {"stream_error"}


def wait_until_one_speaks_again(server: RealServer, out: Path) -> None:
    """There was an answer, and the server is in the middle of another."""
    middle = range(6, MAX_TOKENS_OF_DOOMED // 2)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if measured_lines(out):
            slots = httpx.get(f"{server.url}/slots", timeout=30).json()
            if any(slot["is_processing"] and slot["next_token"][0]["n_decoded"] in middle for slot in slots):
                return
        time.sleep(0.02)
    raise AssertionError("the server was never seen in the middle of an answer")


def measured_lines(out: Path) -> list[dict[str, Any]]:
    """The measured requests of the log so far; its last line may not be whole yet."""
    found = []
    for log in out.glob("*/events.jsonl"):
        whole = log.read_text("utf-8").rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        found += [line for line in lines if line["type"] == "request" and line["phase"] == "measured"]
    return found
