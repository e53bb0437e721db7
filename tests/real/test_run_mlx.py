"""A run against mlx_lm's own server (HTTP/1.0, bodies that end with the connection) with a tiny model."""

import pytest

from tests.helpers.cli_run import StoredRun, answer_text, run_cli, text_times
from tests.helpers.servers.models import TINY_ANSWER_TOKENS
from tests.helpers.servers.server_process import RealServer

pytestmark = [pytest.mark.real_server, pytest.mark.slow]

REQUESTS = 4
CUT_AT = 24


def run_mlx(server: RealServer, factory: pytest.TempPathFactory, max_tokens: int) -> StoredRun:
    return run_cli(
        factory.mktemp("mlx-run"),
        *("--target", f"mlx-lm={server.url}", "--concurrency", "1,2", "--requests", str(REQUESTS)),
        *("--max-tokens", str(max_tokens), "--prompt", "Say something."),
    )


@pytest.fixture(scope="module")
def natural_run(mlx_server: RealServer, tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return run_mlx(mlx_server, tmp_path_factory, max_tokens=100)


@pytest.fixture(scope="module")
def cut_run(mlx_server: RealServer, tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    return run_mlx(mlx_server, tmp_path_factory, max_tokens=CUT_AT)


def test_every_request_succeeds_at_both_levels(natural_run: StoredRun) -> None:
    assert natural_run.result["complete"] is True
    assert [level["concurrency"] for level in natural_run.levels()] == [1, 2]
    for level in natural_run.levels():
        counts = level["requests"]
        assert (counts["sent"], counts["ok"], counts["failed"]) == (REQUESTS, REQUESTS, 0), level["errors"]


def test_each_request_has_a_connection_of_its_own(natural_run: StoredRun) -> None:
    """The server closes after each answer; opening the next connection is not part of the next request's time.

    A slot's first measured request, and its warm-up, find one that was opened before.
    """
    for request in natural_run.requests:
        if request["connect_ns"] is None:
            assert request["first_wave"] or request["phase"] == "warmup"
        else:
            opened, ready = request["connect_ns"]
            assert opened < ready <= request["send_ns"]


# The end of the turn is a token too, for this server as for others.
@pytest.mark.parametrize(
    ("run_name", "tokens", "finish"),
    [("natural_run", TINY_ANSWER_TOKENS + 1, "stop"), ("cut_run", CUT_AT, "length")],
)
def test_tokens_are_the_servers_own_and_not_the_chunks(
    request: pytest.FixtureRequest, run_name: str, tokens: int, finish: str
) -> None:
    run: StoredRun = request.getfixturevalue(run_name)
    for index, level in enumerate(run.levels()):
        sample = run.sample(index)
        usages = [line["usage"] for line in sample]
        assert [usage["completion_tokens"] for usage in usages] == [tokens] * len(sample)

        assert (level["token_basis"], level["token_basis_exact"]) == ("usage", True)
        assert level["tokens"]["usage"] == {
            "prompt": sum(usage["prompt_tokens"] for usage in usages),
            "output": tokens * len(sample),
        }
        # Halves of a UTF-8 character are merged into the next chunk.
        assert level["tokens"]["events"]["output"] == sum(len(text_times(line)) for line in sample)
        assert level["tokens"]["events"]["output"] < level["tokens"]["usage"]["output"]
        assert level["finish_reasons"] == {finish: len(sample)}


def test_the_same_model_gives_the_same_text_at_every_concurrency(natural_run: StoredRun, cut_run: StoredRun) -> None:
    whole = {answer_text(line) for line in natural_run.requests}
    cut = {answer_text(line) for line in cut_run.requests if line["phase"] == "measured"}

    assert len(whole) == len(cut) == 1
    assert whole.pop().startswith(cut.pop().rstrip("\ufffd"))


def test_the_result_names_the_model_that_answered(natural_run: StoredRun, mlx_server: RealServer) -> None:
    (target,) = natural_run.result["targets"]

    assert target["models_answered"] == [mlx_server.model]
