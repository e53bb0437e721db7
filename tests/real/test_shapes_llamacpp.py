"""Shapes on llama.cpp's own server with a real model: lengths by its own usage, and a prompt that it refuses."""

import pytest

from tests.helpers.cli import lmx_loadgen
from tests.helpers.cli_run import run_cli
from tests.helpers.servers.server_process import RealServer

pytestmark = [pytest.mark.real_server, pytest.mark.slow]


def test_prompts_are_exact_by_its_own_usage(llama_server: RealServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    run = run_cli(
        tmp_path_factory.mktemp("shapes"),
        *("--target", f"llamacpp={llama_server.url}", "--shape", "128:8,512:8"),
        *("--requests", "1", "--warmup", "0", "--no-stability"),
    )
    measured = [one for one in run.requests if one["phase"] == "measured"]

    assert [one["usage"]["prompt_tokens"] for one in measured] == [128, 512]
    assert {one["usage"]["completion_tokens"] for one in measured} == {8}  # it honors ignore_eos
    assert len({one["nonce"] for one in measured}) == 2
    for level in run.levels():
        assert level["shape"]["exact"]
        assert level["shape"]["source"] == "/v1/chat/completions/input_tokens"
        assert level["shape"]["prompt_tok_s"] > 0


def test_a_prompt_beyond_its_context_is_refused_before_the_run(
    llama_server: RealServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = ("--target", f"llamacpp={llama_server.url}", "--no-calibrate")
    done = lmx_loadgen("run", *target, "--shape", "9000:8", "--out", str(tmp_path_factory.mktemp("shapes")))

    assert done.exit_code == 2
    assert "--shape 9000:8" in done.stderr
    assert "refuses a prompt of that length" in done.stderr
