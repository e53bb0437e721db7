"""The observer with real processes: it takes what they print, holds nothing up, and leaves none of them behind."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.observe import observer
from lmx_loadgen.observe.observer import Samples, observing
from lmx_loadgen.store import lines
from lmx_loadgen.system.clock import now_ns
from tests.helpers.killed_runs import wait_for
from tests.helpers.processes import is_running
from tests.system.machine import RECORDED

HERE, ELSEWHERE = "http://127.0.0.1:1234/v1", "http://192.0.2.7:1234/v1"
SAMPLES = RECORDED / "macmon-pipe.0.6.jsonl.txt"
# It says its pid first, so that a test can see whether it is still there.
FAKE = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
line = pathlib.Path(sys.argv[2]).read_text().splitlines()[1]
for _ in range(int(sys.argv[3])):
    print(line, flush=True)
if sys.argv[4] == "ends":
    sys.exit("Error: no sensors")
while True:
    time.sleep(60)
"""


def fake(folder: Path, times: int = 1, then: str = "stays") -> list[str]:
    """A command that prints a recorded sample so many times, and then stays, deaf to SIGTERM, or ends."""
    program = folder / "fake.py"
    program.write_text(FAKE)
    return [sys.executable, str(program), str(folder / "pid"), str(SAMPLES), str(times), then]


def pid_in(folder: Path) -> int:
    path = folder / "pid"
    wait_for(lambda: path.is_file() and path.read_text())
    return int(path.read_text())


def wait_for_lines(samples: Samples, number: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    wait_for(lambda: found.extend(samples()) or len(found) >= number)
    return found


def test_what_it_prints_becomes_lines_of_the_log(tmp_path: Path) -> None:
    began = now_ns()
    with observing([HERE], fake(tmp_path, 3)) as samples:
        found = wait_for_lines(samples, 3)

        assert samples() == []
    assert [line["gpu_mhz"] for line in found] == [503.0] * 3
    assert [line["source"] for line in found] == ["macmon"] * 3
    assert all(began < line["at_ns"] < now_ns() for line in found)
    assert [lines.fault(line) for line in found] == [None] * 3


def test_it_ends_with_the_block_also_when_it_will_not(tmp_path: Path) -> None:
    with observing([HERE], fake(tmp_path)):
        pid = pid_in(tmp_path)
        assert is_running(pid)

    wait_for(lambda: not is_running(pid))


def test_it_ends_with_a_block_that_an_error_ends(tmp_path: Path) -> None:
    with contextlib.suppress(ZeroDivisionError), observing([HERE], fake(tmp_path)):
        pid = pid_in(tmp_path)
        raise ZeroDivisionError

    wait_for(lambda: not is_running(pid))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_when_the_run_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import sys, time\n"
        "from lmx_loadgen.observe.observer import observing\n"
        f"with observing([{HERE!r}], sys.argv[1:]):\n"
        "    time.sleep(60)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code, *fake(tmp_path)])
    try:
        pid = pid_in(tmp_path)
    finally:
        run.send_signal(number)
        run.wait()

    try:
        wait_for(lambda: not is_running(pid))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_one_that_ends_early_is_a_line_that_says_why(tmp_path: Path) -> None:
    with observing([HERE], fake(tmp_path, 1, "ends")) as samples:
        found = wait_for_lines(samples, 2)

    assert "gpu_mhz" in found[0]
    assert found[1]["error"] == "it ended before the run did: Error: no sensors"
    assert lines.fault(found[1]) is None


@pytest.mark.parametrize("command", [["/no/such/program"], [str(RECORDED)]])
def test_one_that_does_not_start_is_a_line_too(command: list[str]) -> None:
    with observing([HERE], command) as samples:
        (line,) = wait_for_lines(samples, 1)

    assert line["error"].startswith("it ended before the run did: ")
    assert command[0] in line["error"]


def test_a_shell_that_does_not_start_is_a_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **kwargs: Any) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refused)
    with observing([HERE], ["anything"]) as samples:
        (line,) = samples()

    assert "Resource temporarily unavailable" in line["error"]


def test_one_that_prints_nothing_of_use_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "_SILENT_S", 0.0)
    with observing([HERE], fake(tmp_path, 0)) as samples:
        pid_in(tmp_path)
        (line,) = samples()

        assert "printed nothing" in line["error"]
        assert samples() == []


def test_keys_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_API_KEY", "a secret")
    with observing([HERE], ["/bin/sh", "-c", 'env >"$0"; echo >"$1"', str(tmp_path / "env"), str(tmp_path / "done")]):
        wait_for((tmp_path / "done").is_file)

    assert "PATH=" in (tmp_path / "env").read_text()
    assert "secret" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize("addresses", [[], [ELSEWHERE]])
def test_servers_elsewhere_are_not_observed_here(tmp_path: Path, addresses: list[str]) -> None:
    with observing(addresses, fake(tmp_path)) as samples:
        assert samples() == []

    assert not (tmp_path / "pid").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="there it is observed where macmon is installed")
def test_elsewhere_than_on_a_mac_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "macmon"
    program.write_text(f"#!/bin/sh\necho $$ >{tmp_path / 'pid'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    with observing([HERE]) as samples:
        assert samples() == []

    assert not (tmp_path / "pid").exists()
