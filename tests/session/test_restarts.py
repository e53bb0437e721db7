"""Servers that the tool starts: ready, measured, ended, in random turns; and gone whatever happens."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from lmx_loadgen.cli import main
from lmx_loadgen.errors import InputError, Interrupted, ServerNotStarted
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.restarts import Restarts, check_restarts
from lmx_loadgen.session.started_server import StartedServer, server_command
from lmx_loadgen.session.stop_flag import StopFlag

SIM = f"{sys.executable} -P -m lmx_loadgen sim --port {{port}} --set ttft_ms=20 --set step_ms=2"
SHORT = ("--no-calibrate", "--quiet", "-c", "1", "-n", "4", "--max-tokens", "4", "--no-tool-call", "--no-stability")
_PATIENCE_S = 30.0


def wait_until(holds: Any) -> None:
    ends = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_command_has_a_name_and_a_place_for_the_port() -> None:
    command = server_command("two threads.gguf=x".replace(" threads.gguf=x", "='llama-server' -t 2 --port {port}"))

    assert command.name == "two"
    assert command.on(8080) == ["llama-server", "-t", "2", "--port", "8080"]


@pytest.mark.parametrize("text", ["llama-server", "a=llama-server", "a b=x {port}", "=x {port}", "a='x {port}"])
def test_what_is_no_command(text: str) -> None:
    with pytest.raises(InputError, match="--server-cmd"):
        server_command(text)


def test_turns_are_random_and_each_restart_has_all() -> None:
    commands = [server_command(f"{name}=x {{port}}") for name in "abc"]
    turns = Restarts(Profile(), commands, 20, Options(), Path()).turns()
    orders = ["".join(command.name for command in turn) for turn in turns]

    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert len(set(orders)) > 2


def test_names_are_given_once_and_nothing_that_needs_both_at_a_time() -> None:
    twice = [server_command("a=x {port}")] * 2

    with pytest.raises(InputError, match="twice"):
        check_restarts(twice, Options())
    with pytest.raises(InputError, match="--isolate"):
        check_restarts(twice[:1], Options(isolate=True))


def test_a_server_is_started_until_it_is_ready_and_ended(tmp_path: Path) -> None:
    with StartedServer(server_command(f"a={SIM}"), tmp_path / "log") as server:
        server.wait_until_ready(StopFlag())
        pid = server.pid
        assert pid is not None
        assert not is_gone(pid)
        assert server.exit_code() is None

    assert is_gone(pid)


def test_one_that_ends_while_it_starts_is_said_with_its_last_words(tmp_path: Path) -> None:
    crash = f"{sys.executable} -c 'import sys; print(\"no such model\"); sys.exit(3)' {{port}}"

    with (
        StartedServer(server_command(f"a={crash}"), tmp_path / "log") as server,
        pytest.raises(ServerNotStarted, match=r"a exited with 3 during its start: no such model"),
    ):
        server.wait_until_ready(StopFlag())

    assert server.pid is not None
    assert is_gone(server.pid)


def test_one_that_cannot_be_started_at_all(tmp_path: Path) -> None:
    with pytest.raises(ServerNotStarted, match="cannot be started"):
        StartedServer(server_command("a=/no/such/program {port}"), tmp_path / "log").__enter__()


def test_one_that_never_is_ready_is_ended(tmp_path: Path) -> None:
    silent = f"{sys.executable} -c 'import time; time.sleep(600)' {{port}}"

    with (
        StartedServer(server_command(f"a={silent}"), tmp_path / "log") as server,
        pytest.raises(ServerNotStarted, match="not ready within 1 s"),
    ):
        server.wait_until_ready(StopFlag(), within_s=1.0)

    assert server.pid is not None
    assert is_gone(server.pid)


def test_whoever_stops_the_run_need_not_wait_for_it(tmp_path: Path) -> None:
    silent, stop = f"{sys.executable} -c 'import time; time.sleep(600)' {{port}}", StopFlag()
    stop.set()

    with StartedServer(server_command(f"a={silent}"), tmp_path / "log") as server, pytest.raises(Interrupted):
        server.wait_until_ready(stop)

    assert server.pid is not None
    assert is_gone(server.pid)


# It leaves its group and its session, and does not end when it is asked to.
STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(600)
"""


@pytest.mark.slow
def test_what_a_server_left_behind_is_ended_by_force(tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN, encoding="utf-8")
    command = f"{sys.executable} {tmp_path / 'stubborn.py'} {tmp_path / 'child'} {{port}}"

    with StartedServer(server_command(f"a={command}"), tmp_path / "log") as server:
        wait_until(lambda: (tmp_path / "child").is_file() and (tmp_path / "child").read_text(encoding="utf-8"))
        child = int((tmp_path / "child").read_text(encoding="utf-8"))

    assert server.pid is not None
    assert is_gone(server.pid)
    assert is_gone(child)


HOLDER = """
import sys, time
from pathlib import Path
from lmx_loadgen.session.started_server import StartedServer, server_command
with StartedServer(server_command("a=" + sys.argv[1]), Path(sys.argv[2]) / "log") as server:
    Path(sys.argv[2], "pid").write_text(str(server.pid))
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_ends_when_whoever_started_it_is_killed(number: int, tmp_path: Path) -> None:
    sleeper = f"{sys.executable} -c 'import time; time.sleep(600)' {{port}}"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, sleeper, str(tmp_path)])
    wait_until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text(encoding="utf-8"))
    pid = int((tmp_path / "pid").read_text(encoding="utf-8"))
    assert not is_gone(pid)
    holder.send_signal(number)
    holder.wait(_PATIENCE_S)

    wait_until(lambda: is_gone(pid))


# The command line


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["run", *arguments])


def server_pids(folder: Path) -> list[psutil.Process]:
    """What still runs of the servers that were started for this test, known by a word of their command."""
    return [one for one in psutil.process_iter(["cmdline"]) if mark_of(folder) in (one.info["cmdline"] or [])]


def mark_of(folder: Path) -> str:
    return str(folder / "sim.jsonl")


@pytest.mark.timing  # a busy machine leaves its figures out
def test_two_settings_are_compared_with_each_restart_as_one_observation(tmp_path: Path) -> None:
    slower = SIM.replace("ttft_ms=20", "ttft_ms=60")
    found = run(
        *("--server-cmd", f"fast={SIM}", "--server-cmd", f"slow={slower}", "--restarts", "3", "--json"),
        *(*(word for word in SHORT if word != "--quiet"), "--out", str(tmp_path)),
    )

    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert {name: len(folders) for name, folders in said["runs"].items()} == {"fast": 3, "slow": 3}
    (comparison,) = said["comparisons"]
    assert (comparison["mode"], len(comparison["runs_a"])) == ("sequential", 3)
    ttft = comparison["levels"][0]["metrics"]["ttft_p50"]
    assert (ttft["n"], ttft["reason_code"] == "unreplicated") == (3, False)
    assert ttft["ci95_single"][0] < ttft["ratio"] < ttft["ci95_single"][1]
    folder = Path(said["folder"])
    again = CliRunner().invoke(main, ["compare", "--base", str(folder / "fast"), "--new", str(folder / "slow")])
    assert "slow" in again.output


def test_a_crash_at_the_start_leaves_nothing_behind(tmp_path: Path) -> None:
    crash = f"{sys.executable} -c 'import sys; sys.exit(\"no memory\")' {{port}} {mark_of(tmp_path)}"
    found = run("--server-cmd", f"a={crash}", *SHORT, "--out", str(tmp_path))

    assert found.exit_code == 10
    assert "no memory" in found.output
    assert server_pids(tmp_path) == []


def test_a_dry_run_starts_nothing(tmp_path: Path) -> None:
    found = run("--server-cmd", f"a={SIM}", "--server-cmd", f"b={SIM}", "--restarts", "2", "--dry-run")

    assert found.exit_code == 0
    assert "each started 2 times" in found.output


@pytest.mark.parametrize("other", [("--target", "sim"), ("--repeat", "2"), ("--detect", "5%")])
def test_what_servers_that_are_started_do_not_go_with(other: tuple[str, str]) -> None:
    found = run("--server-cmd", f"a={SIM}", *other)

    assert found.exit_code == 2
    assert other[0] in found.stderr


def test_servers_that_are_started_are_the_targets_and_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmx_loadgen.commands.choose.with_targets", lambda *asked: pytest.fail("asked for targets"))

    assert run("--server-cmd", f"a={SIM}", "--dry-run").exit_code == 0


@pytest.mark.parametrize("when", ["starting", "measuring"])
def test_ctrl_c_leaves_no_process_behind(when: str, tmp_path: Path) -> None:
    # A server that is never ready, or one whose answers take an hour.
    never = f"{sys.executable} -c 'import time; time.sleep(600)' {{port}} {mark_of(tmp_path)}"
    slow = SIM.replace("step_ms=2", f"step_ms=200 --log {mark_of(tmp_path)}")
    command = never if when == "starting" else slow
    asked = [sys.executable, "-P", "-m", "lmx_loadgen", "run", "--server-cmd", f"a={command}", "--no-calibrate"]
    asked += ["--out", str(tmp_path), "-c", "1", "--max-tokens", "200", "--restarts", "1"]
    process = subprocess.Popen(asked, start_new_session=True, env=os.environ | {"LMX_LOADGEN_LOCK_DIR": str(tmp_path)})

    def is_on() -> bool:
        if when == "starting":
            return bool(server_pids(tmp_path))
        return any(path.stat().st_size for path in tmp_path.glob("*/a/*/events.jsonl"))

    wait_until(is_on)
    before = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)

    assert process.wait(_PATIENCE_S) == 130
    wait_until(lambda: all(is_gone(one.pid) for one in before))
    assert server_pids(tmp_path) == []
