"""`run` without `--target`: what it measures, and what it says first."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lmx_loadgen.commands import choose
from lmx_loadgen.errors import InputError
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.targets import discovery, own
from tests.helpers.cli import lmx_loadgen

TINY = ("-c", "1", "-n", "2", "--blocks", "1", "--pause", "0", "--max-tokens", "4", "--warmup", "0", "--no-calibrate")
DIALECTS = ("openai", "lmx", "ollama", "lmstudio", "llamacpp", "mlx-lm", "vllm")


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ExitStack]:
    """Nothing answers until `serve` adds something."""
    monkeypatch.setattr(discovery, "KNOWN_PORTS", ())
    monkeypatch.setenv("HOME", str(tmp_path))
    with ExitStack() as running:
        yield running


def serve(servers: ExitStack, dialect: str, **settings: object) -> int:
    sim = servers.enter_context(start(SimSettings(dialect=dialect, ttft_ms=2.0, step_ms=1.0, **settings)))  # type: ignore[arg-type]
    discovery.KNOWN_PORTS = (*discovery.KNOWN_PORTS, sim.port)
    return sim.port


def measured(out: Path) -> list[str]:
    (folder,) = out.iterdir()
    return [target["name"] for target in json.loads((folder / "result.json").read_text())["targets"]]


def test_where_nothing_answers_the_simulator_is_measured_and_it_says_so_first(
    servers: ExitStack, tmp_path: Path
) -> None:
    for flags in ((), ("--yes",), ("--target", "auto")):
        out = tmp_path / "-".join(("out", *flags))
        result = lmx_loadgen("run", *flags, *TINY, "--out", out)
        assert result.exit_code == 0, result.stderr
        first = result.stderr.splitlines()[0]
        assert "built-in simulator" in first
        assert "no server answers" in first
        assert measured(out) == ["sim"]


def test_without_a_terminal_or_a_word_servers_are_named_and_not_measured(servers: ExitStack, tmp_path: Path) -> None:
    serve(servers, "ollama", models=("qwen3:8b",))
    result = lmx_loadgen("run", *TINY, "--out", tmp_path / "out")

    first = result.stderr.splitlines()[0]
    assert "built-in simulator" in first
    assert "ollama (qwen3:8b)" in first
    assert "--yes" in first
    assert measured(tmp_path / "out") == ["sim"]


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("--yes",), ("--target", "auto")])
def test_every_server_with_a_model_is_measured(flags: tuple[str, ...], servers: ExitStack, tmp_path: Path) -> None:
    for dialect in DIALECTS:
        serve(servers, dialect, models=() if dialect == "lmstudio" else ("a",), installed=("b",))
    result = lmx_loadgen("run", *flags, *TINY, "--out", tmp_path / "out")

    assert result.exit_code == 0, result.stderr
    names = ["sim" if dialect == "openai" else dialect for dialect in DIALECTS if dialect != "lmstudio"]
    assert measured(tmp_path / "out") == names
    assert result.stderr.startswith("Measuring sim (a), lmx (a)")


def test_where_no_model_is_loaded_it_says_how_to_load_one(servers: ExitStack, tmp_path: Path) -> None:
    serve(servers, "ollama", models=(), installed=("qwen3:8b",))
    result = lmx_loadgen("run", "--yes", *TINY, "--out", tmp_path / "out")

    first, second = result.stderr.splitlines()[:2]
    assert "no local server has a model loaded" in first
    assert second.endswith("ollama run qwen3:8b")
    assert measured(tmp_path / "out") == ["sim"]


def test_quiet_says_nothing(servers: ExitStack, tmp_path: Path) -> None:
    result = lmx_loadgen("run", "--quiet", *TINY, "--out", tmp_path / "out")

    assert (result.stdout, result.stderr) == ("", "")


def test_a_profile_s_own_targets_are_measured_and_nobody_is_looked_for(
    servers: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = serve(servers, "vllm")
    monkeypatch.setattr(choose, "look_around", lambda *_: pytest.fail("it looked around"))
    (tmp_path / "p.yaml").write_text(f"targets: ['box=http://127.0.0.1:{port}']\n")
    result = lmx_loadgen("run", "-p", tmp_path / "p.yaml", *TINY, "--out", tmp_path / "out")

    assert result.exit_code == 0, result.stderr
    assert measured(tmp_path / "out") == ["box"]


def test_auto_stands_alone(servers: ExitStack) -> None:
    result = lmx_loadgen("run", "-t", "auto", "-t", "ollama")

    assert result.exit_code == InputError.exit_code


def test_an_own_target_elsewhere_is_not_contacted(servers: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    own.add("far", "https://far.example")
    asked: list[str] = []
    monkeypatch.setattr(choose, "look_around", lambda access, specs: asked.extend(spec.name for spec in specs) or [])
    try:
        lmx_loadgen("run", "--yes", "--dry-run")
    finally:
        own.remove("far")

    assert asked == []


def test_on_a_terminal_it_asks(servers: ExitStack, tmp_path: Path) -> None:
    """A real terminal: the pair of one model comes first, and the answer 2 measures the first server alone."""
    ports = (serve(servers, "ollama", models=("qwen3:8b",)), serve(servers, "lmstudio", models=("Qwen3-8B-4bit",)))
    code = f"from lmx_loadgen.targets import discovery; discovery.KNOWN_PORTS = {ports}; "
    code += "from lmx_loadgen.cli import main; main()"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", *TINY, "--out", str(tmp_path / "out")],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.DEVNULL,
    )
    os.close(theirs)
    said = b""
    while b"Measure which" not in said:
        said += os.read(ours, 4096)
    os.write(ours, b"2\n")
    try:
        while os.read(ours, 4096):
            pass
    except OSError:  # Linux says so where the other end is closed
        pass
    os.close(ours)

    assert process.wait(60) == 0
    first, second, *_ = said.decode().splitlines()
    assert "1  ollama and lmstudio head to head" in first
    assert "2  ollama: Ollama" in second
    assert measured(tmp_path / "out") == ["ollama"]
