"""From a machine on which nothing was ever measured, with llama.cpp's server running: find it, measure it, draw it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from lmx_loadgen.system import folders
from lmx_loadgen.targets.discovery import discover
from lmx_loadgen.targets.prepare import Access
from tests.helpers.paths import ROOT
from tests.helpers.servers.llama_server import run_llama_server
from tests.helpers.servers.models import write_script_gguf
from tests.helpers.servers.needed import give_up
from tests.helpers.servers.server_process import RealServer

pytestmark = [pytest.mark.real_server, pytest.mark.slow, pytest.mark.timing]

PORT = 8080  # where llama-server listens unless it is told otherwise
PIECES = [f" word{number}" for number in range(60)]
FOLDERS = (folders.LOCK_FOLDER_ENV, folders.CALIBRATION_FOLDER_ENV, folders.CONFIG_FOLDER_ENV)


@pytest.fixture(scope="module")
def fresh(llama_cpp_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home folder with nothing in it, while the server runs on its own port."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            give_up(f"port {PORT} is taken: end what listens there")
    folder = tmp_path_factory.mktemp("fresh")
    model = write_script_gguf(folder / "script.gguf", PIECES)
    (folder / "home").mkdir()
    with run_llama_server(model, n_parallel=4, alias="Script-1B", port=PORT):
        yield folder / "home"


def lmx_loadgen(home: Path, *arguments: str) -> str:
    """Its output, as a user with this home folder gets it; no browser is opened."""
    environment = {name: value for name, value in os.environ.items() if name not in FOLDERS and name[:4] != "XDG_"}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "BROWSER": "true"}
    command = [sys.executable, "-m", "lmx_loadgen", *arguments]
    done = subprocess.run(
        command, cwd=home, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_targets_run_and_plot_need_no_other_flag(fresh: Path) -> None:
    found = lmx_loadgen(fresh, "targets").splitlines()
    assert any(line.startswith("llamacpp: llama.cpp") and line.endswith(f":{PORT}") for line in found)
    assert "    loaded: Script-1B" in found
    assert "    lmx-loadgen run --target llamacpp" in found

    lmx_loadgen(fresh, "run", "--yes")
    (folder,) = (fresh / "reports").iterdir()
    result = json.loads((folder / "result.json").read_text())
    target = next(one for one in result["targets"] if one["name"] == "llamacpp")
    assert (target["model"], result["complete"]) == ("Script-1B", True)
    assert target["levels"][0]["metrics"]["decode_tok_s"]["p50"] > 0

    lmx_loadgen(fresh, "plot")
    assert "Script-1B" in (fresh / "reports" / "report.html").read_text()


def test_both_real_servers_are_found_with_their_models(llama_server: RealServer, mlx_server: RealServer) -> None:
    ports = [int(server.url.rpartition(":")[2]) for server in (llama_server, mlx_server)]
    llama, mlx = (one.as_row() for one in anyio.run(discover, Access({}, verify=False), (), tuple(ports)))

    assert (llama["product"], llama["loaded"]) == ("llama.cpp", [llama_server.model])
    assert (mlx["product"], mlx["loaded"]) == ("mlx-lm", [mlx_server.model])
    assert llama["measurable"]
    assert mlx["measurable"]
