"""The benchmark plan's service before llama.cpp's own server and a real model, over real HTTP."""

from pathlib import Path

import httpx
import pytest

from lmx_loadgen.analysis.plan_importer import results_in
from lmx_loadgen.store.result import BenchmarkResult
from tests.helpers.servers.server_process import RealServer
from tests.helpers.service import RESULTS, RUN, serving, stored

pytestmark = [pytest.mark.real_server, pytest.mark.slow]

MODEL = "SmolLM2-135M-Instruct"
ASKED = {
    "model_id": MODEL,
    "prompt": "What is the capital of France? Answer in one short sentence.",
    "runs": 3,
    "include_skills": ["echo"],
}


def test_a_real_models_answer_is_measured_stored_and_listed(llama_server: RealServer, tmp_path: Path) -> None:
    with serving(tmp_path, f"llamacpp={llama_server.url}") as (url, _):
        missing = httpx.post(f"{url}{RUN}", json={**ASKED, "model_id": "no/such-model"}, timeout=60)
        reply = httpx.post(f"{url}{RUN}", json=ASKED, timeout=600)
        listed = httpx.get(f"{url}{RESULTS}", params={"model_id": MODEL}).json()
    answer = reply.json()
    stats = answer["stats"]

    assert (missing.status_code, missing.json()) == (409, {"detail": "model_not_loaded"})
    assert reply.status_code == 200, answer
    assert (answer["backend"], answer["status"]) == ("llamacpp", "ok")
    assert "Paris" in stats["output_text"]
    assert (stats["runs_completed"], stats["warmup_runs_discarded"], stats["coherence_flag"]) == (3, 1, "ok")
    assert stats["token_counts"] == "usage"
    assert stats["prompt_tokens"] > 12
    assert 0 < stats["ttft_p50_sec"] <= stats["ttft_p95_sec"]
    assert 0 < stats["toks_per_sec_p95"] <= stats["toks_per_sec_p50"]
    assert stats["tool_call"]["error"] is None
    assert [one["error"] for one in stats["skills"]] == ["not supported"]
    assert listed == stored(tmp_path) == [answer]
    assert BenchmarkResult.model_validate(answer).model_dump(mode="json") == answer
    assert [one.origin for one in results_in(listed).results] == ["lmx-loadgen"]
