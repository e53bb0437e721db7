"""`run --isolate` cut short by Ctrl-C while a model is being loaded, and begun with a wrong admin key."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from tests.helpers.cli import lmx_loadgen, sentence_of
from tests.helpers.hostile_server import Asked, Told, answering, as_json, as_text, chunk, stream
from tests.helpers.killed_runs import wait_for

SHORT = ("-n", "2", "--max-tokens", "4", "--blocks", "2", "--pause", "0", "--no-calibrate")
LMX = SimSettings(dialect="lmx", ttft_ms=5.0, prefill_tok_s=None, step_ms=1.0, engine="independent", admin_key="k")


@dataclass
class Loading:
    """An Ollama with one model, "m". Its first `held` loads are never over."""

    held: int
    loads: int = 0
    is_loaded: bool = True
    over: threading.Event = field(default_factory=threading.Event)

    def __call__(self, asked: Asked) -> Told:
        if asked.path == "/":
            return as_text("Ollama is running")
        if asked.path == "/api/version":
            return as_json({"version": "0.1"})
        if asked.path == "/api/ps":
            return as_json({"models": [{"name": "m", "model": "m"}] if self.is_loaded else []})
        if asked.path == "/v1/models":
            return as_json({"object": "list", "data": [{"id": "m"}]})
        if asked.path == "/api/chat":
            self._change(loads="keep_alive" not in json.loads(asked.body))
            return as_json({"done": True})
        if asked.path == "/v1/chat/completions":
            return stream(chunk({"content": "Hello"}), chunk({"content": " there"}, "stop"))
        return as_json({"error": "not found"}, 404)

    def _change(self, *, loads: bool) -> None:
        self.loads += loads
        if loads and self.loads <= self.held:
            self.over.wait()
        else:
            self.is_loaded = loads


@contextmanager
def running(loading: Loading, out: Path) -> Iterator[tuple[subprocess.Popen[str], SimProcess, str]]:
    """A run of that Ollama and an Opta-LMX, each alone by turns, as a process; its address."""
    with start(LMX) as lmx, answering(loading) as ollama:
        targets = ["-t", f"lmx={lmx.url}", "-t", f"ollama={ollama}"]
        command = [sys.executable, "-m", "lmx_loadgen", "run", *targets, *SHORT, "--isolate", "--out", str(out)]
        environment = {**os.environ, "LMX_ADMIN_KEY": "k"}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
        try:
            yield process, lmx, ollama
        finally:
            process.kill()
            process.wait()
            loading.over.set()


@pytest.mark.slow
def test_ctrl_c_during_a_load_ends_the_wait_and_leaves_every_server_as_it_was_found(tmp_path: Path) -> None:
    loading = Loading(held=1)
    with running(loading, tmp_path) as (process, lmx, _):
        wait_for(lambda: loading.loads == 1 or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

        assert process.returncode == 130, said
        assert loading.loads == 2
        assert loading.is_loaded
        assert [one["id"] for one in httpx.get(f"{lmx.url}/v1/models").json()["data"]] == ["sim-model"]
    assert "restoring ollama: loading m; Ctrl-C again leaves it as it is" in said
    assert "stays unloaded" not in said


@pytest.mark.slow
def test_a_second_ctrl_c_says_what_it_leaves_unloaded_and_how_to_load_it(tmp_path: Path) -> None:
    loading = Loading(held=2)
    with running(loading, tmp_path) as (process, _, ollama):
        for number in (1, 2):
            wait_for(lambda number=number: loading.loads == number or process.poll() is not None)  # type: ignore[misc]
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert f"ollama: m stays unloaded by Ollama at {ollama}/v1; load it: ollama run m" in said


def test_a_wrong_admin_key_is_said_before_the_run_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_ADMIN_KEY", "wrong")
    with start(LMX) as lmx, answering(Loading(held=0)) as ollama:
        targets = ("-t", f"lmx={lmx.url}", "-t", f"ollama={ollama}")
        result = lmx_loadgen("run", *targets, *SHORT, "--isolate", "--out", tmp_path)

    assert result.exit_code == 12
    assert "refuses the admin key (from LMX_ADMIN_KEY" in sentence_of(result)
    assert not list(tmp_path.iterdir())
