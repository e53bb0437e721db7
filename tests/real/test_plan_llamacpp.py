"""The benchmark plan on llama.cpp's own server: a real model's English, and a scripted model's tool call."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.cli_run import StoredRun, answer_text, run_cli
from tests.helpers.servers.server_process import RealServer

pytestmark = [pytest.mark.real_server, pytest.mark.slow]

CALL = ["<tool_call>", '\n{"', "name", '": "', "get", "_weather", '", "', "arguments", '": {"', "location", '":', ' "']
CALL += ["Sydney", '"}', "}\n", "</tool_call>"]


@pytest.fixture(scope="module")
def planned(llama_server: RealServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[StoredRun, Path]:
    """The plan with a question that so small a model answers to the end."""
    out = tmp_path_factory.mktemp("plan")
    prompt = "What is the capital of France? Answer in one short sentence."
    return run_cli(out, "--profile", "plan", "--target", f"llamacpp={llama_server.url}", "--prompt", prompt), out


def test_the_plan_ends_with_coherent_english(planned: tuple[StoredRun, Path]) -> None:
    run, _ = planned
    (target,) = run.result["targets"]
    benchmark = target["benchmark"]
    stats = benchmark["stats"]

    assert benchmark["model_id"] == "SmolLM2-135M-Instruct"
    assert (benchmark["backend"], benchmark["status"]) == ("llamacpp", "ok")
    assert (stats["runs_completed"], stats["warmup_runs_discarded"]) == (5, 1)
    assert (stats["coherence_flag"], stats["completed_naturally"]) == ("ok", True)
    assert "Paris" in stats["output_text"]
    (level,) = run.levels()
    assert level["quality"]["flags"] == {"ok": 5}
    assert level["quality"]["natural"] == 5


def test_answers_that_end_at_the_limit_are_told_from_those_that_end_by_themselves(
    llama_server: RealServer, tmp_path: Path
) -> None:
    few = ("--requests", "2", "--max-tokens", "60", "--no-tool-call")
    run = run_cli(tmp_path, "--profile", "plan", "--target", f"llamacpp={llama_server.url}", *few)
    (level,) = run.levels()

    assert level["quality"]["limited"] == level["quality"]["answers"] == 2
    # A model of this size may begin to repeat itself.
    assert set(level["quality"]["flags"]) <= {"truncated", "repetitive"}
    for request in run.sample(0):
        assert re.search(r"\b(the|and|of)\b.*\b(the|and|of)\b", answer_text(request), re.DOTALL)


def test_the_server_and_the_client_see_the_same_rate(planned: tuple[StoredRun, Path]) -> None:
    run, _ = planned
    (level,) = run.levels()
    word = level["server_word"]

    assert (word["source"], word["answers"]) == ("llama.cpp's timings", 5)
    # The server counts the end of the turn: in a short answer that is a good part.
    assert word["client_toks_per_sec"] == pytest.approx(word["toks_per_sec"], rel=0.35)
    assert word["client_ttft_sec"] >= word["prompt_sec"]


def test_the_real_model_was_asked_for_a_tool_call(planned: tuple[StoredRun, Path]) -> None:
    """Whether so small a model makes one is its own affair."""
    run, _ = planned
    (call,) = run.result["targets"][0]["tool_calls"]

    assert call["error"] is None
    assert call["latency_sec"] > 0
    assert run.result["targets"][0]["benchmark"]["stats"]["tool_call"] == call


def test_the_card_shows_it(planned: tuple[StoredRun, Path]) -> None:
    run, out = planned
    subprocess.run(
        [sys.executable, "-m", "lmx_loadgen", "plot", "--results-dir", str(out), "--no-open"], check=True, timeout=60
    )
    page = (out / "report.html").read_text(encoding="utf-8")

    assert "SmolLM2-135M-Instruct" in page
    stats = run.result["targets"][0]["benchmark"]["stats"]
    assert f"{stats['toks_per_sec_mean']:,.1f}" in page
    assert "Paris" in page


def test_a_scripted_models_tool_call_is_judged_right(
    script_llama_server: Callable[..., RealServer], tmp_path: Path
) -> None:
    server = script_llama_server(CALL)
    run = run_cli(tmp_path, "--profile", "plan", "--target", f"llamacpp={server.url}", "--requests", "2")
    (call,) = run.result["targets"][0]["tool_calls"]

    assert (call["call_produced"], call["tool_name_correct"]) == (True, True)
    assert (call["params_valid_json"], call["params_match_schema"]) == (True, True)
    assert call["form"] == "tool_calls"
    assert call["raw_tool_call"]["name"] == "get_weather"
    assert json.loads(call["raw_tool_call"]["arguments"]) == {"location": "Sydney"}
