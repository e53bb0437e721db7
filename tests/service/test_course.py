"""A run while it is on: one at a time, stopped by whoever goes away, and kept whatever happens."""

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from lmx_loadgen.errors import StorageError
from lmx_loadgen.service.bench import bench_of
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store import plan_result
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.plan_result import BenchmarkResultStore
from lmx_loadgen.system import lock
from tests.helpers.service import (
    RUN,
    SMALL,
    app_of,
    client_of,
    closed_after,
    serving,
    stored,
    wait_until_measured,
)

LONG = {**SMALL, "runs": 20, "num_output_tokens": 500, "include_tool_call": False}


@pytest.fixture(scope="module")
def slow() -> Iterator[SimProcess]:
    """Twenty answers of it take ten seconds at the least."""
    with start(SimSettings(dialect="lmx", ttft_ms=5.0, prefill_tok_s=None, step_ms=1.0)) as sim:
        yield sim


@pytest.fixture
def slow_app(slow: SimProcess, tmp_path: Path) -> Iterator[FastAPI]:
    with closed_after(app_of(tmp_path, f"lmx={slow.url}")) as app:
        yield app


def reason_of(folder: Path) -> Any:
    """Why the only run of a results folder is not complete."""
    (run,) = (folder / "runs").iterdir()
    log = read_log(run / "events.jsonl")
    assert log.end is not None
    return log.end["reason"]


@pytest.mark.slow
def test_one_run_at_a_time_and_a_client_that_goes_away_ends_it(slow_app: FastAPI, tmp_path: Path) -> None:
    async def ask() -> tuple[int, Any]:
        async with client_of(slow_app) as client:
            first = asyncio.create_task(client.post(RUN, json=LONG))
            await asyncio.to_thread(wait_until_measured, tmp_path, 2)
            second = await client.post(RUN, json=LONG)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return second.status_code, second.json()

    status, answer = asyncio.run(ask())
    (kept,) = stored(tmp_path)

    assert (status, answer["detail"]) == (409, "benchmark_running")
    assert answer["since"].startswith("20")
    assert 2 <= kept["stats"]["runs_completed"] < 20
    assert kept["status"] == "ok"
    assert reason_of(tmp_path) == "interrupted"


def test_a_run_in_a_terminal_is_a_409_that_says_since_when(app: FastAPI, tmp_path: Path) -> None:
    async def ask() -> tuple[int, Any]:
        async with client_of(app) as client:
            reply = await client.post(RUN, json=SMALL)
            return reply.status_code, reply.json()

    with lock.acquire(allow_concurrent=False) as held:
        since = json.loads(held.path.read_text())["started_at"]
        assert asyncio.run(ask()) == (409, {"detail": "benchmark_running", "since": since})
    assert list(tmp_path.iterdir()) == []
    assert asyncio.run(ask())[0] == 200


@pytest.mark.slow
def test_a_connection_that_is_closed_ends_the_run_and_keeps_it(slow: SimProcess, tmp_path: Path) -> None:
    with serving(tmp_path, f"lmx={slow.url}") as (url, _):
        host, _, port = url.removeprefix("http://").partition(":")
        body = json.dumps(LONG).encode()
        head = f"POST {RUN} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + body)
            wait_until_measured(tmp_path, 2)
        while not stored(tmp_path):
            threading.Event().wait(0.02)
        again = httpx.post(f"{url}{RUN}", json={**SMALL, "include_tool_call": False}, timeout=60)

    assert 2 <= min(one["stats"]["runs_completed"] for one in stored(tmp_path)) < 20
    assert "the client went away" in [
        log.end["reason"] for path in tmp_path.glob("runs/*/events.jsonl") if (log := read_log(path)).end
    ]
    assert again.status_code == 200


@pytest.mark.slow
def test_sigterm_ends_a_run_and_keeps_it(slow: SimProcess, tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    with serving(tmp_path, f"lmx={slow.url}") as (url, process):
        asking = threading.Thread(target=lambda: answers.append(httpx.post(f"{url}{RUN}", json=LONG, timeout=60)))
        asking.start()
        wait_until_measured(tmp_path, 2)
        process.send_signal(signal.SIGTERM)
        asking.join()
        code = process.wait(timeout=60)
    answer = answers[0].json()

    assert code == -signal.SIGTERM
    assert (answers[0].status_code, answer["detail"]) == (503, "benchmark_interrupted")
    assert stored(tmp_path) == [answer["result"]]
    assert 2 <= answer["result"]["stats"]["runs_completed"] < 20
    assert reason_of(tmp_path) == answer["reason"] == "the service is being stopped"


def test_sigterm_ends_a_service_that_has_nothing_to_do(tmp_path: Path) -> None:
    with serving(tmp_path, "lmx") as (_, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == -signal.SIGTERM


def test_a_full_disk_is_said_and_the_figures_are_in_the_answer(
    app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise StorageError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(plan_result, "write_whole", full)

    async def ask() -> tuple[int, Any]:
        async with client_of(app) as client:
            reply = await client.post(RUN, json={**SMALL, "include_tool_call": False})
            return reply.status_code, reply.json()

    status, answer = asyncio.run(ask())

    assert (status, answer["detail"]) == (507, "result_not_stored")
    assert "No space left" in answer["reason"]
    assert answer["result"]["stats"]["runs_completed"] == 2
    assert stored(tmp_path) == []


def test_a_folder_that_takes_no_run_is_said_too(app: FastAPI, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")

    async def ask() -> tuple[int, Any]:
        async with client_of(app) as client:
            reply = await client.post(RUN, json=SMALL)
            return reply.status_code, reply.json()["detail"]

    assert asyncio.run(ask()) == (507, "result_not_stored")


def test_a_server_that_is_not_there_is_a_502(tmp_path: Path, unused_port: int) -> None:
    async def ask(app: FastAPI) -> tuple[int, Any]:
        async with client_of(app) as client:
            reply = await client.post(RUN, json=SMALL)
            return reply.status_code, reply.json()["detail"]

    with closed_after(app_of(tmp_path, f"lmx=http://127.0.0.1:{unused_port}")) as app:
        status, words = asyncio.run(ask(app))

    assert status == 502
    assert f"nothing answers at http://127.0.0.1:{unused_port}" in words


@pytest.mark.slow
def test_a_measuring_process_that_dies_is_said_and_another_takes_its_place(slow_app: FastAPI, tmp_path: Path) -> None:
    async def ask() -> list[tuple[int, Any]]:
        async with client_of(slow_app) as client:
            first = asyncio.create_task(client.post(RUN, json=LONG))
            await asyncio.to_thread(wait_until_measured, tmp_path, 1)
            os.kill(_pid(slow_app), signal.SIGKILL)
            again = [await first, await client.post(RUN, json={**SMALL, "include_tool_call": False})]
            return [(reply.status_code, reply.json()) for reply in again]

    (died, words), (status, answer) = asyncio.run(ask())

    assert (died, words) == (500, {"detail": "the measuring process ended unexpectedly (exit code -9)"})
    assert status == 200, answer


def _pid(app: FastAPI) -> int:
    process = bench_of(app)._child._process
    assert process is not None
    return process.pid


def test_the_stores_default_is_opta_lmxs_own_folder() -> None:
    assert BenchmarkResultStore().directory == Path.home() / ".opta-lmx" / "benchmarks"
