"""The simulator as a child: starts, says why when it cannot, ends cleanly, and never outlives its parent."""

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lmx_loadgen.errors import InputError, LoadgenError
from lmx_loadgen.sim.process import PACKAGE_ROOT, start
from lmx_loadgen.sim.server import serve
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import read_truth
from tests.helpers.paths import ROOT
from tests.helpers.sim_client import ask, chat_body

# A parent that starts a simulator, says where it is, and is then killed.
PARENT = """
import sys, time
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
sim = start(SimSettings(log=sys.argv[1], ttft_ms=0, step_ms=1))
print(sim.port, sim.pid, flush=True)
time.sleep(60)
"""


def ends(process: int, seconds: float) -> bool:
    """Whether the process ends in time; it is no child of ours, so its end is seen from outside."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], seconds)[0])
        finally:
            os.close(descriptor)
    probe = ["sh", "-c", f"i=0; while kill -0 {process} 2>/dev/null && [ $i -lt {int(seconds * 10)} ]; do"]
    probe[-1] += " sleep 0.1; i=$((i+1)); done; ! kill -0 " + str(process)
    return subprocess.run(probe, check=False).returncode == 0


def test_it_dies_with_its_parent_and_leaves_a_whole_log(tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(log)], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert parent.stdout is not None
    port, child = map(int, parent.stdout.readline().split())
    seen = ask(port, chat_body())
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    assert ends(child, 10)
    assert list(read_truth(log)) == [seen.response_id]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_stop_flushes_the_log_and_may_be_repeated(tmp_path: Path) -> None:
    sim = start(SimSettings(log=str(tmp_path / "truth.jsonl"), ttft_ms=0, step_ms=0))
    ids = [ask(sim.port, chat_body()).response_id for _ in range(20)]
    sim.stop()
    sim.stop()
    assert sim.log_path is not None
    assert list(read_truth(sim.log_path)) == ids
    with pytest.raises(LoadgenError, match="did not answer"):
        sim.flush()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: int, tmp_path: Path) -> None:
    log = tmp_path / "truth.jsonl"
    settings = SimSettings(log=str(log), ttft_ms=0, step_ms=0).to_json()
    child = subprocess.Popen(
        [sys.executable, "-m", "lmx_loadgen.sim", settings],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=PACKAGE_ROOT,
    )
    assert child.stdout is not None
    ready = child.stdout.readline()
    port = int(ready.split(b'"port": ')[1].split(b",")[0])
    seen = ask(port, chat_body())
    child.send_signal(number)
    assert child.wait(10) == 0
    child.stdout.close()
    assert list(read_truth(log)) == [seen.response_id]


def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LoadgenError, match=f"^the simulator cannot listen on 127.0.0.1:{port}: .*in use$"):
            start(SimSettings(port=port))
        with pytest.raises(InputError, match="cannot listen"):
            serve(SimSettings(port=port))


def test_settings_it_cannot_use_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LoadgenError, match="cannot write its log"):
        start(SimSettings(log=str(tmp_path / "none" / "truth.jsonl")))
    child = subprocess.run(
        [sys.executable, "-m", "lmx_loadgen.sim", '{"slots": 0}'], capture_output=True, text=True, cwd=ROOT, check=False
    )
    wrong = "simulator setting slots: input should be greater than or equal to 1, got 0\n"
    assert (child.returncode, child.stdout, child.stderr) == (InputError.exit_code, "", wrong)


def test_plain_asyncio_serves_too() -> None:
    with start(SimSettings(loop="asyncio", ttft_ms=0, step_ms=1)) as sim:
        assert sim.loop == "asyncio"
        assert ask(sim.port, chat_body()).events[-1] == "[DONE]"


def test_it_listens_on_ipv6_where_there_is_one() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with start(SimSettings(host="::1")) as sim:
        assert sim.url == f"http://[::1]:{sim.port}"
        socket.create_connection(("::1", sim.port)).close()


def test_keys_are_in_no_command_line_and_no_repr() -> None:
    settings = SimSettings(api_key="k-secret", admin_key="a-secret")
    assert "secret" not in repr(settings)
    with start(settings) as sim:
        shown = psutil.Process(sim.pid).cmdline()
        assert "lmx_loadgen.sim" in shown
        assert "secret" not in " ".join(shown)
