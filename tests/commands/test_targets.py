"""`lmx-loadgen targets`: what it prints of servers that are there, and nothing harmful of those that mean harm."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.system import folders
from lmx_loadgen.targets import discovery
from tests.helpers.cli import lmx_loadgen
from tests.helpers.raw_server import raw_server, saying

ROW = ["name", "product", "version", "url", "dialect", "loaded", "installed", "measurable", "reason", "command"]


def look_at(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    monkeypatch.setattr(discovery, "KNOWN_PORTS", ports)


def test_the_rows_of_json_have_every_field(monkeypatch: pytest.MonkeyPatch) -> None:
    with start(SimSettings(dialect="ollama", models=("a",), installed=("b",))) as sim:
        look_at(monkeypatch, sim.port)
        result = lmx_loadgen("targets", "--json")

    (row,) = json.loads(result.stdout)
    assert list(row) == ROW
    assert (row["name"], row["loaded"], row["installed"]) == ("ollama", ["a"], ["a", "b"])
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_block_names_product_models_and_command(monkeypatch: pytest.MonkeyPatch) -> None:
    with start(SimSettings(dialect="lmstudio", models=("a",), installed=tuple(f"i{n}" for n in range(9)))) as sim:
        look_at(monkeypatch, sim.port)
        first, models, command = lmx_loadgen("targets").stdout.splitlines()

    assert first == f"lmstudio: LM Studio at http://127.0.0.1:{sim.port}"
    assert models.strip() == "loaded: a; installed: i0, i1, i2, i3 and 5 more"
    assert command.strip() == f"lmx-loadgen run --target lmstudio=http://127.0.0.1:{sim.port}"


def test_where_nothing_answers_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    look_at(monkeypatch)
    result = lmx_loadgen("targets", env={"HOME": str(tmp_path)})

    assert "No server answers" in result.stdout
    assert "targets add" in result.stdout
    assert json.loads(lmx_loadgen("targets", "--json", env={"HOME": str(tmp_path)}).stdout) == []


def test_nothing_harmful_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"version": "\x1b]0;x\x07", "data": [{"id": "\x1b[31mred\x07\u202e\r\n[bold]", "owned_by": "vllm"}]}
    with raw_server(saying(json.dumps(body).encode())) as port:
        look_at(monkeypatch, port)
        shown = lmx_loadgen("targets").stdout + lmx_loadgen("targets", "--json").stdout

    assert "red" in shown
    assert all(letter.isprintable() or letter == "\n" for letter in shown)


AUDITED = """
import sys
asked = []
def note(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        asked.append(arguments[1][0])
    elif event == "socket.getaddrinfo" and arguments[0] is not None:
        host = arguments[0]
        asked.append(host.decode() if isinstance(host, bytes) else host)
sys.addaudithook(note)
from lmx_loadgen.cli import main
try:
    main()
finally:
    print("ASKED", *sorted(set(asked)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("run", "--yes", "--dry-run"), ("run", "--dry-run"), ("targets",)])
def test_nothing_but_loopback_is_contacted(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """By the interpreter's own account of every connection and every name it asks for."""
    environment = os.environ | {folders.CONFIG_FOLDER_ENV: str(tmp_path), "HOME": str(tmp_path)}
    lmx_loadgen("targets", "add", "far", "http://far.invalid", env=environment)
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ASKED")]
    own = {"far.invalid"} if arguments == ("targets",) else set()  # it was added to be asked

    assert set(line.split()[1:]) - {"127.0.0.1", "::1"} == own
