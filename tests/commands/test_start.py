"""What `run` does before it measures: the simulator starts while the rest of the tool is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmx_loadgen.commands.start import _simulator
from lmx_loadgen.sim.process import LaunchedSim

FLAGS = {"targets": ("sim",), "dry_run": False, "resume": None, "server_cmds": ()}


def test_a_simulator_that_no_run_takes_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[LaunchedSim] = []
    started = LaunchedSim.__init__

    def noted(self: LaunchedSim, *arguments: object) -> None:
        started(self, *arguments)  # type: ignore[arg-type]
        launched.append(self)

    monkeypatch.setattr(LaunchedSim, "__init__", noted)
    with _simulator(FLAGS):
        (one,) = launched
        process = one._process
        assert process is not None
        assert process.poll() is None

    assert process.poll() is not None


@pytest.mark.parametrize(
    "changes", [{"targets": ("lmx",)}, {"dry_run": True}, {"resume": Path("x")}, {"server_cmds": ("a=b",)}]
)
def test_none_is_started_where_none_is_needed(changes: dict[str, object]) -> None:
    with _simulator({**FLAGS, **changes}) as start_sim:
        assert start_sim is None


def test_it_gets_no_key_and_further_ones_start_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hidden")
    with _simulator(FLAGS) as start_sim, start_sim({}) as sim, start_sim(dict(os.environ)) as other:
        if sys.platform == "linux":
            assert b"hidden" not in Path(f"/proc/{sim.pid}/environ").read_bytes()
        assert sim.url != other.url


def test_help_and_the_way_to_the_first_request_import_nothing_that_can_wait() -> None:
    """What takes long to import and is needed after the load, or never: reports, statistics, JSON schemas."""
    late = ("jsonschema", "lmx_loadgen.report.terminal", "lmx_loadgen.calibration", "scipy", "numpy", "plotly")

    assert imported_by("lmx_loadgen.commands.run", *late) == []


def test_a_measuring_process_imports_nothing_that_it_does_not_measure_with() -> None:
    """It is started for every run: httpx would import a command line of its own, and with it what draws screens."""
    assert imported_by("lmx_loadgen.load.worker", "click", "rich", "pygments", "pydantic", "lmx_loadgen.report") == []


def imported_by(modules: str, *names: str) -> list[str]:
    """Which of `names` are there once these modules are imported, in a process of their own."""
    code = f"import json, sys, {modules}; print(json.dumps([name for name in {names!r} if sys.modules.get(name)]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found
