"""A run against llama.cpp's own server with a real model, held against what that server says about itself."""

import re
from statistics import median
from typing import Any

import httpx
import pytest

from lmx_loadgen.analysis.quality import classify_coherence
from tests.helpers.cli_run import StoredRun, answer_text, run_cli, text_times
from tests.helpers.servers.server_process import RealServer

pytestmark = [pytest.mark.real_server, pytest.mark.slow, pytest.mark.timing]

# Few enough that a decode rate with one token too many (32 instead of 31) is off by more than the 3 % allowed.
MAX_TOKENS = 32
REQUESTS = 6

COMMON_WORDS = re.findall(
    r"\w+",
    "a about all also an and are as at be because but by can for from has have how if in into is it its keep not of on "
    "or other that the their them then there these they this to two up use was we when which while will with you your",
)


@pytest.fixture(scope="module")
def predicted_before_and_after() -> list[int]:
    """Filled by `measured_run`: the server's own count of all tokens it ever predicted, before and after the run."""
    return []


@pytest.fixture(scope="module")
def measured_run(
    llama_server: RealServer,
    predicted_before_and_after: list[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> StoredRun:
    """Two levels of answers that end at the token limit."""
    predicted_before_and_after.append(tokens_predicted(llama_server))
    run = run_cli(
        tmp_path_factory.mktemp("llamacpp"),
        *("--target", f"llamacpp={llama_server.url}", "--concurrency", "1,2", "--requests", str(REQUESTS)),
        *("--max-tokens", str(MAX_TOKENS), "--prompt", "Explain in detail how a bicycle stays upright."),
    )
    predicted_before_and_after.append(tokens_predicted(llama_server))
    return run


@pytest.fixture(scope="module")
def natural_run(llama_server: RealServer, tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """Answers that end where the model ends them."""
    return run_cli(
        tmp_path_factory.mktemp("natural"),
        *("--target", f"llamacpp={llama_server.url}", "--concurrency", "1", "--requests", "2"),
        *("--max-tokens", "200", "--prompt", "What is the capital of France? Answer in one short sentence."),
    )


def tokens_predicted(server: RealServer) -> int:
    metrics = httpx.get(f"{server.url}/metrics").raise_for_status().text
    found = re.search(r"^llamacpp:tokens_predicted_total (\S+)$", metrics, re.MULTILINE)
    assert found, metrics
    return int(float(found[1]))


def server_step(request: dict[str, Any]) -> float:
    """Seconds per decode step by llama.cpp's own clock.

    Its `predicted_ms` begins when the first token has been sampled (the prompt's time ends there) and ends with the
    last, so it spans one step less than the `predicted_n` tokens, as does the client's time between first and last
    text. (`predicted_per_second` divides by `predicted_n` and so is too fast by one token.)
    """
    timings = request["server_timings"]
    return float(timings["predicted_ms"]) / 1e3 / (timings["predicted_n"] - 1)


def client_tpot(request: dict[str, Any]) -> float:
    times = text_times(request)
    # Each text event of this server is one token: the first brings one.
    return (times[-1] - times[0]) / (request["usage"]["completion_tokens"] - 1)


def test_every_request_succeeds_at_both_levels(measured_run: StoredRun) -> None:
    assert measured_run.result["complete"] is True
    assert [level["concurrency"] for level in measured_run.levels()] == [1, 2]
    for level in measured_run.levels():
        counts = level["requests"]
        assert (counts["sent"], counts["ok"], counts["failed"]) == (REQUESTS, REQUESTS, 0), level["errors"]


def test_tokens_are_the_servers_own(measured_run: StoredRun) -> None:
    for index, level in enumerate(measured_run.levels()):
        sample = measured_run.sample(index)
        usages = [request["usage"] for request in sample]
        assert [usage["completion_tokens"] for usage in usages] == [MAX_TOKENS] * len(sample)
        assert [request["server_timings"]["predicted_n"] for request in sample] == [MAX_TOKENS] * len(sample)

        assert (level["token_basis"], level["token_basis_exact"]) == ("usage", True)
        assert level["tokens"]["usage"] == {
            "prompt": sum(usage["prompt_tokens"] for usage in usages),
            "output": sum(usage["completion_tokens"] for usage in usages),
        }
        per_request = level["metrics"]["output_tokens"]
        assert (per_request["n"], per_request["min"], per_request["max"]) == (len(sample), MAX_TOKENS, MAX_TOKENS)
        assert level["finish_reasons"] == {"length": len(sample)}


def test_the_log_accounts_for_every_token_the_server_made(
    measured_run: StoredRun, predicted_before_and_after: list[int]
) -> None:
    before, after = predicted_before_and_after

    sent = measured_run.requests + measured_run.probes
    probe = after - before - sum(request["usage"]["completion_tokens"] for request in sent)
    assert 0 < probe <= 16  # the one request that finds out what the server refuses is in no log


@pytest.mark.parametrize("level", [0, 1])
def test_the_decode_rate_is_the_servers_own(measured_run: StoredRun, level: int) -> None:
    sample = measured_run.sample(level)

    # The same requests by both clocks, each slowed alike by whatever else the machine does.
    ratios = [client_tpot(request) / server_step(request) for request in sample]
    assert median(ratios) == pytest.approx(1, rel=0.03)

    metrics = measured_run.levels()[level]["metrics"]
    assert metrics["tpot"]["p50"] == pytest.approx(median(map(client_tpot, sample)))
    if level == 0:
        step = median(map(server_step, sample))
        assert metrics["tpot"]["p50"] == pytest.approx(step, rel=0.03)
        assert metrics["decode_tok_s"]["p50"] == pytest.approx(1 / step, rel=0.03)


def test_ttft_holds_the_whole_prompt_processing(measured_run: StoredRun) -> None:
    """This server sends its headers at once, so a time to the first byte would be shorter than its prefill."""
    for request in measured_run.requests:
        assert text_times(request)[0] >= request["server_timings"]["prompt_ms"] / 1e3
    sample = measured_run.sample(0)
    ttft = measured_run.levels()[0]["metrics"]["ttft"]
    assert ttft["p50"] == pytest.approx(median(text_times(request)[0] for request in sample))


def test_no_prefix_cache_answered(measured_run: StoredRun) -> None:
    for request in measured_run.requests:
        usage = request["usage"]
        # The template's own first tokens may be reused.
        assert usage["prompt_tokens_details"]["cached_tokens"] <= 30  # 24 of them in front of the nonce


def test_the_result_names_the_model_that_answered(measured_run: StoredRun, llama_server: RealServer) -> None:
    (target,) = measured_run.result["targets"]

    assert llama_server.model == "SmolLM2-135M-Instruct"
    assert target["models_answered"] == [llama_server.model]
    assert {request["model"] for request in measured_run.requests} == {llama_server.model}


def test_the_answers_are_english(measured_run: StoredRun) -> None:
    for request in measured_run.requests:
        if request["phase"] == "measured":
            words = re.findall(r"[a-z']+", answer_text(request).lower())
            assert len(words) >= MAX_TOKENS / 2, words
            assert sum(word in COMMON_WORDS for word in words) / len(words) > 0.3, words


def test_a_natural_answer_is_coherent_and_its_end_is_a_token(natural_run: StoredRun) -> None:
    (level,) = natural_run.levels()

    assert level["finish_reasons"] == {"stop": 2}
    for request in natural_run.sample(0):
        text, count = answer_text(request), request["usage"]["completion_tokens"]
        assert "Paris" in text
        assert classify_coherence(text, True, count, 200) == "ok"
        # llama.cpp counts the end-of-turn token, which brings no text.
        assert len(text_times(request)) == count - 1
