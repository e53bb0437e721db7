"""`lmx-loadgen doctor` on this machine: what it prints, its JSON, and its exit codes."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lmx_loadgen.commands import doctor
from lmx_loadgen.system import lock
from lmx_loadgen.system.folders import LOCK_FOLDER_ENV
from tests.helpers.cli import lmx_loadgen


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "_WATCH_S", 0.0)
    monkeypatch.setenv(LOCK_FOLDER_ENV, str(tmp_path / "lock"))


def test_json_has_every_check_with_its_fix_and_the_exit_code(tmp_path: Path) -> None:
    result = lmx_loadgen("doctor", "--json", "--out", tmp_path)
    told = json.loads(result.stdout)

    assert told["exit_code"] == result.exit_code
    assert {"check", "status", "finding", "fix"} == set(told["checks"][0])
    for one in told["checks"]:
        assert one["fix"] or one["status"] not in ("distorts", "fails")


def test_another_run_makes_the_next_one_fail(tmp_path: Path) -> None:
    with lock.acquire(allow_concurrent=False):
        result = lmx_loadgen("doctor", "--out", tmp_path)

    assert result.exit_code == 9
    (line,) = [line for line in result.stdout.splitlines() if "other run" in line]
    assert line.startswith("FAILS")


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    lmx_loadgen("doctor", "--out", tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("hard", "status"), [(256, "fails"), (4096, "ok")])
def test_a_hard_limit_of_256_files_fails_and_a_soft_one_does_not(hard: int, status: str, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    command = [sys.executable, "-m", "lmx_loadgen", "doctor", "--json", "--out", str(tmp_path)]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, timeout=60, check=False)
    told = json.loads(done.stdout)

    files = next(one for one in told["checks"] if one["check"] == "open files")
    assert files["status"] == status
    assert done.returncode == told["exit_code"]
    assert (done.returncode == 9) >= (status == "fails")
