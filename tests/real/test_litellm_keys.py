"""LiteLLM's proxy that wants a key, in front of a simulator: without one, with a wrong one, and under other names."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from tests.helpers.cli import SMALL, lmx_loadgen, sentence_of
from tests.helpers.cli_run import run_cli
from tests.helpers.servers.litellm_proxy import run_litellm_proxy
from tests.helpers.servers.needed import need_package
from tests.helpers.servers.server_process import RealServer

pytestmark = [pytest.mark.real_server, pytest.mark.slow]

KEY = "sk-the-proxy-s-own"
QUICK = SimSettings(dialect="vllm", ttft_ms=5.0, step_ms=2.0, prefill_tok_s=None)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address. It lists "plain", and answers to "other" too."""
    need_package("litellm", "LiteLLM's proxy", "pip install -r tests/real/requirements.txt")
    folder = tmp_path_factory.mktemp("litellm")
    with start(QUICK) as sim:
        behind = {"plain": RealServer(sim.url, "sim-model", 0)}
        with run_litellm_proxy(folder, behind, aliases={"other": "plain"}, master_key=KEY) as server:
            yield server.url


@pytest.mark.parametrize(
    ("key", "words"), [(None, "asks for a key: put it in"), ("sk-wrong", "refuses the key in")], ids=["none", "wrong"]
)
@pytest.mark.parametrize("model", [(), ("-m", "plain")], ids=["the listed model", "a named model"])
def test_without_its_key_the_run_does_not_start(
    proxy: str, key: str | None, words: str, model: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BOX_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("BOX_API_KEY", key)
    result = lmx_loadgen("run", "-t", f"box={proxy}", *model, *SMALL, "--out", tmp_path)

    assert result.exit_code == 12, result.output
    assert f"LiteLLM at {proxy}/v1 {words} the environment variable BOX_API_KEY" in sentence_of(result)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", ["plain", "other"])
def test_with_its_key_a_model_is_measured_under_any_of_its_names(
    proxy: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOX_API_KEY", KEY)
    done = run_cli(tmp_path, "-t", f"box={proxy}", "-m", model, *SMALL)
    (target,) = done.result["targets"]

    assert {line["outcome"] for line in done.requests} == {"ok"}
    assert target["model"] == model
    assert any("proxy" in note for note in target["notes"])
    is_listed = model == "plain"
    assert any(f"{model} is not in the server's list of models" in note for note in target["notes"]) is not is_listed
    assert KEY not in str(done.result)
