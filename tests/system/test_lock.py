"""Two measurements at once on one machine: the second is stopped, or both say so."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmx_loadgen.errors import Busy
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import read_result
from lmx_loadgen.system import folders, host, lock
from tests.helpers.cli import SMALL, lmx_loadgen, sentence_of

NOW = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(folders.LOCK_FOLDER_ENV, str(tmp_path / "lock"))
    return tmp_path / "lock"


@pytest.fixture(scope="module")
def fast() -> Iterator[SimProcess]:
    with start(SimSettings(ttft_ms=5.0, prefill_tok_s=None, step_ms=2.0)) as sim:
        yield sim


def test_a_second_one_is_stopped_and_told_who_holds_the_lock() -> None:
    with (
        lock.acquire(allow_concurrent=False) as first,
        pytest.raises(Busy, match=rf"\(pid {os.getpid()}, started {NOW}\) .* with --allow-concurrent$"),
        lock.acquire(allow_concurrent=False),
    ):
        pytest.fail("both hold it")
    assert (first.held_by, first.problem) == (None, None)


def test_it_is_free_again_afterwards() -> None:
    for _ in range(2):
        with lock.acquire(allow_concurrent=False) as found:
            assert found.held_by is None


def test_whoever_goes_on_beside_the_holder_is_known_to_both() -> None:
    with lock.acquire(allow_concurrent=False) as first:
        assert first.joined() == []
        with lock.acquire(allow_concurrent=True) as second:
            assert second.held_by is not None
            assert second.held_by["pid"] == os.getpid()
            assert second.joined() == []
        assert [one["pid"] for one in first.joined()] == [os.getpid()]
        assert first.warnings == []
        assert "measuring beside another lmx-loadgen" in second.warnings[0]


def test_a_dead_holder_blocks_nobody(folder: Path) -> None:
    code = (
        "import os, signal\n"
        "from lmx_loadgen.system import lock\n"
        "with lock.acquire(allow_concurrent=False):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert died.returncode == -9
    (path,) = folder.iterdir()
    assert json.loads(path.read_text())["pid"] != os.getpid()

    with lock.acquire(allow_concurrent=False) as found:
        assert found.held_by is None
        assert json.loads(path.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]\n", b'{"pid": "x"}\n'])
def test_a_holder_that_has_not_said_who_it_is_holds_it_all_the_same(folder: Path, content: bytes) -> None:
    with lock.acquire(allow_concurrent=False):
        next(folder.iterdir()).write_bytes(content)
        with (
            pytest.raises(Busy, match=r"\(pid unknown, started just now\)"),
            lock.acquire(allow_concurrent=False),
        ):
            pytest.fail("both hold it")


def test_no_place_for_a_lock_is_no_reason_not_to_measure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with lock.acquire(allow_concurrent=False, folder=tmp_path / "file" / "x") as found:
        assert found.problem is not None
        assert "another run at the same time would not be noticed" in found.warnings[0]


@pytest.mark.parametrize("command", [("run",), ("calibrate", "--quick")])
def test_a_command_that_measures_stops_before_it_sends_anything(tmp_path: Path, command: tuple[str, ...]) -> None:
    with lock.acquire(allow_concurrent=False):
        result = lmx_loadgen(*command, "--out", tmp_path / "runs")

    assert result.exit_code == 6
    assert f"pid {os.getpid()}" in sentence_of(result)
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_disturbs_nobody() -> None:
    with lock.acquire(allow_concurrent=False):
        assert lmx_loadgen("run", "--dry-run").exit_code == 0


@pytest.mark.slow
def test_a_run_beside_another_says_so_in_its_result(fast: SimProcess, tmp_path: Path) -> None:
    with lock.acquire(allow_concurrent=False):
        made = lmx_loadgen("run", "-t", f"sim={fast.url}", *SMALL, "--allow-concurrent", "--out", tmp_path / "runs")
    assert made.exit_code == 0, made.output
    (run,) = (tmp_path / "runs").iterdir()

    assert read_log(run / "events.jsonl").header["beside"]["pid"] == os.getpid()
    (note,) = [note for note in read_result(run).notes if "at the same time" in note]
    assert f"pid {os.getpid()}" in note
    assert "another lmx-loadgen" in made.stderr


@pytest.mark.slow
def test_a_run_that_another_came_beside_says_so_too(
    fast: SimProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one comes, once, while the machine's state is looked at."""
    real, came = host.state, list[bool]()

    def state() -> dict[str, object]:
        if came:
            return real()
        came.append(True)
        with lock.acquire(allow_concurrent=True):
            return real()

    monkeypatch.setattr(host, "state", state)
    made = lmx_loadgen("run", "-t", f"sim={fast.url}", *SMALL, "--out", tmp_path / "runs")
    assert made.exit_code == 0, made.output
    (run,) = (tmp_path / "runs").iterdir()

    assert len([note for note in read_result(run).notes if "at the same time" in note]) == 1
