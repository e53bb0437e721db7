"""`lmx-loadgen targets`: what it prints of servers that are there, and nothing harmful of those that mean harm."""

import json
from pathlib import Path

import pytest

from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
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
