"""A dry run opens what the run will open, asks whom it will ask, only reads, and goes by what was measured before."""

import json
import re
from pathlib import Path

import pytest

from lmx_loadgen.errors import InputError, ModelNotLoaded, ProfileError, Unreachable
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from tests.helpers.cli import lmx_loadgen
from tests.helpers.hostile_server import Asked, Told, answering, as_json

TINY = ("-c", "1,2", "-n", "4", "--max-tokens", "8", "--warmup", "0", "--no-calibrate")


def test_servers_are_asked_and_only_read_from(tmp_path: Path) -> None:
    asked: list[Asked] = []

    def answer(request: Asked) -> Told:
        asked.append(request)
        known = {"/version": {"version": "1.2"}, "/v1/models": {"data": [{"id": "m", "owned_by": "vllm"}]}}
        return as_json(known.get(request.path, {}), 200 if request.path in known else 404)

    with answering(answer) as url:
        result = lmx_loadgen("run", "-t", f"box={url}", "--dry-run", "--out", tmp_path / "out")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0].startswith(f"box: vLLM 1.2 at {url}/v1, m")
    assert asked
    assert {request.number for request in asked} == {-1}  # no generation
    assert not (tmp_path / "out").exists()


def estimate_of(said: str) -> str:
    """The line that says how long the run takes."""
    (line,) = (line for line in said.splitlines() if line.startswith("about "))
    return line


def test_the_time_is_estimated_from_what_was_measured_last(tmp_path: Path) -> None:
    with start(SimSettings(dialect="vllm", ttft_ms=5.0, step_ms=10.0)) as sim:
        target = ("-t", f"vllm={sim.url}")
        assert lmx_loadgen("run", *target, *TINY, "--out", tmp_path).exit_code == 0
        (folder,) = tmp_path.iterdir()
        load = ("-c", "1,4", "-n", "600", "--max-tokens", "100", "--warmup", "0", "--dry-run", "--out", tmp_path)
        last = estimate_of(lmx_loadgen("run", *target, *load).stdout)
        assumed = estimate_of(lmx_loadgen("run", *target, *load[:-1], tmp_path / "none").stdout)

    measured = json.loads((folder / "result.json").read_text())["targets"][0]["levels"][0]["metrics"]["decode_tok_s"]
    assert folder.name in last
    assert f"vllm {measured['p50']:.3g} tok/s" in last
    # 600 answers one after the other and 150 rounds of four, of about a second each.
    minutes = int(re.findall(r"about (\d+) min", last)[0])
    assert 10 <= minutes <= 16
    assert "at 30 a second" in assumed
    assert int(re.findall(r"about (\d+) min", assumed)[0]) > 2 * minutes


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--prompts", "{}"), ProfileError.exit_code, "prompts"),
        (("--tokenizer", "{}"), ProfileError.exit_code, "tokenizer"),
        (("--ca-file", "{}"), InputError.exit_code, "--ca-file"),
        (("--reference", "{}"), ProfileError.exit_code, "reference"),
    ],
)
def test_every_file_is_opened(flags: tuple[str, str], code: int, words: str, tmp_path: Path) -> None:
    path = tmp_path / f"{words.strip('-')}.json"
    path.write_text("\x00{")
    result = lmx_loadgen("run", "-t", "sim", flags[0], path, "--dry-run")

    assert (result.exit_code, result.stdout) == (code, "")
    assert path.name in result.stderr


def test_what_would_end_the_run_is_said_after_the_plan(unused_port: int) -> None:
    with start(SimSettings(dialect="ollama", models=(), installed=("a",))) as sim:
        for target, code in (
            (f"box=http://127.0.0.1:{unused_port}", Unreachable.exit_code),
            (f"ollama={sim.url}", ModelNotLoaded.exit_code),
        ):
            result = lmx_loadgen("run", "-t", target, "--dry-run")
            assert result.exit_code == code
            assert result.stdout.startswith("plan:")


def test_the_run_s_own_simulator_is_not_started() -> None:
    result = lmx_loadgen("run", "-t", "sim", "--dry-run")

    assert result.exit_code == 0
    assert result.stdout.startswith("sim: the built-in simulator, started by the run")
