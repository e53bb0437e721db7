"""The benchmark's service as its users call it: in an app of a test's own, or as a process."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from lmx_loadgen.service import router
from lmx_loadgen.service.bench import bench_of
from lmx_loadgen.store.plan_result import BenchmarkResultStore

RUN, RESULTS = "/admin/benchmark/run", "/admin/benchmark/results"
HERE = "http://127.0.0.1"
SMALL = {"model_id": "sim-model", "num_output_tokens": 50, "runs": 2, "warmup_runs": 1}
_WITHIN_S = 60.0

Process = subprocess.Popen[str]


def app_of(folder: Path, target: str = "lmx") -> FastAPI:
    """Some app that has the router, and stores results in `folder`."""
    app = FastAPI()
    app.include_router(router)
    app.state.benchmark_store = BenchmarkResultStore(folder)
    app.state.benchmark_target = target
    return app


@asynccontextmanager
async def client_of(app: FastAPI, *, client: str = "127.0.0.1", base: str = HERE) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app in this process, which takes it for one at the address `client`."""
    transport = httpx.ASGITransport(app=app, client=(client, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url=base, timeout=_WITHIN_S) as asking:
        yield asking


@contextmanager
def closed_after(app: FastAPI) -> Iterator[FastAPI]:
    """The app, whose measuring process ends with the block: no server runs its lifespan."""
    try:
        yield app
    finally:
        bench_of(app).close()


@contextmanager
def serving(folder: Path, target: str, *flags: str, **environment: str) -> Iterator[tuple[str, Process]]:
    """`lmx-loadgen serve` on a free port, its address and its process."""
    command = [sys.executable, "-m", "lmx_loadgen", "serve", "--port", "0", "--target", target, *flags]
    known = {**os.environ, "HOME": str(folder), "LMX_ADMIN_KEY": "", **environment}
    process = subprocess.Popen(
        [*command, "--results-dir", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=known, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on "), process.stderr.read()
        yield line.split()[2], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def measured_lines(folder: Path) -> list[dict[str, Any]]:
    """The answers that the only run in a results folder has measured so far."""
    found = []
    for path in folder.glob("runs/*/events.jsonl"):
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        found += [json.loads(line) for line in lines if '"phase":"measured"' in line]
    return found


def wait_until_measured(folder: Path, answers: int) -> None:
    """Until a run has so many answers."""
    deadline = time.monotonic() + _WITHIN_S
    while len(measured_lines(folder)) < answers:
        assert time.monotonic() < deadline, "nothing was measured"
        threading.Event().wait(0.02)


def stored(folder: Path) -> list[dict[str, Any]]:
    """The results in a folder, as they lie there; one that is being written is not there yet."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))]
    return [json.loads(text) for text in texts if text]


def wait_until_stored(folder: Path) -> None:
    """Until the only run has its result beside its log, which is written once it is answered."""
    deadline = time.monotonic() + _WITHIN_S
    while not list(folder.glob("runs/*/result.json")):
        assert time.monotonic() < deadline, "no result was stored"
        threading.Event().wait(0.02)
