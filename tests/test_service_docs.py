"""`reference/service.md`, run as it stands."""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException

from lmx_loadgen.cli import main
from lmx_loadgen.service.bench import Bench, bench_of
from lmx_loadgen.service.request import BenchmarkRequest
from lmx_loadgen.service.routes import _STATUS
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from tests.helpers.paths import ROOT
from tests.helpers.service import RESULTS, client_of, serving, stored

TEXT = (ROOT / "reference" / "service.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_lines_that_mount_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    def verify_admin_key() -> None:
        raise HTTPException(418, "their own check")

    app = FastAPI()
    names: dict[str, Any] = {"app": app, "verify_admin_key": verify_admin_key}
    mount, state, check = blocks("python")
    assert len([line for line in mount.splitlines() if line]) == 2
    exec(mount, names)

    async def status(host: str) -> int:
        async with client_of(app) as client:
            return (await client.get(RESULTS, headers={"Host": host})).status_code

    exec(state, names)
    assert asyncio.run(status("studio.local")) == 200
    assert bench_of(app).target.url == "http://127.0.0.1:8080"
    exec(check, names)
    assert asyncio.run(status("studio.local")) == 418


def test_the_commands_that_measure_and_read(tmp_path: Path) -> None:
    sim = start(SimSettings(dialect="lmx", ttft_ms=5.0, prefill_tok_s=None, step_ms=1.0, skills=("echo",)))
    with sim, serving(tmp_path, f"lmx={sim.url}", LMX_ADMIN_KEY="sesame") as (url, _):
        known = {**os.environ, "URL": url, "MODEL": "sim-model", "LMX_ADMIN_KEY": "sesame"}
        measured, listed = (
            json.loads(subprocess.run(["bash", "-c", block], env=known, capture_output=True, check=True).stdout)
            for block in blocks("sh")
        )

    assert measured["stats"]["runs_completed"] == 2
    assert measured["stats"]["token_counts"] == "unstreamed"
    assert listed == stored(tmp_path) == [measured]


def test_every_field_status_flag_and_name_is_in_it() -> None:
    for name in BenchmarkRequest.model_fields:
        assert f"| `{name}` |" in TEXT
    for status in {*_STATUS.values(), 403, 408, 413, 415} - {500}:
        assert re.search(rf"^\| .*\b{status}\b", TEXT, re.MULTILINE), status
    for name in re.findall(r"`(benchmark_\w+)`", Bench.__doc__ or ""):
        assert f"| `{name}` |" in TEXT
    shown = {flag for line in re.findall(r"^    .*lmx-loadgen serve.*", TEXT, re.MULTILINE) for flag in line.split()}
    known = {name for param in main.commands["serve"].params for name in param.opts}
    assert {flag for flag in shown if flag.startswith("--")} <= known
