"""A simulated Opta-LMX to measure, an app that measures it, and nobody's keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.plan_result import BenchmarkResultStore
from tests.helpers.service import app_of, closed_after


@pytest.fixture(scope="session")
def opta(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimProcess]:
    settings = SimSettings(dialect="lmx", ttft_ms=5.0, prefill_tok_s=None, step_ms=1.0, skills=("echo", "fail"))
    with start(settings) as sim:
        yield sim


@pytest.fixture(autouse=True)
def no_keys(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a key of whoever runs the tests, nor a tokenizer."""
    monkeypatch.delenv("LMX_ADMIN_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def shared_app(opta: SimProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    with closed_after(app_of(tmp_path_factory.mktemp("results"), f"lmx={opta.url}")) as app:
        yield app


@pytest.fixture
def app(shared_app: FastAPI, tmp_path: Path) -> FastAPI:
    """An app with an empty store; its measuring process is that of all tests of this folder."""
    shared_app.state.benchmark_store = BenchmarkResultStore(tmp_path)
    return shared_app
