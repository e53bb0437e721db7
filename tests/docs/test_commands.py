"""Every command of README.md and `reference/*.md` runs as it stands there, page by page in one folder, against
simulators at the servers' default addresses."""

import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest

from lmx_loadgen.calibration import run as calibration
from lmx_loadgen.calibration.run import Stretch
from lmx_loadgen.cli import main
from lmx_loadgen.session.runner import Runner
from lmx_loadgen.sim.process import SimProcess
from lmx_loadgen.system import folders, host
from tests.docs.pages import PAGES, blocks, commands, words_of
from tests.helpers.cli import lmx_loadgen
from tests.helpers.default_servers import servers_at_their_addresses
from tests.helpers.paths import ROOT

# Which simulator stands at an address that a page names.
_AT = {":1234": "lmx", ":8001": "vllm", ":8002": "llamacpp"}
# Commands that go on until they are ended: their flags are read, and `tests/service` and `tests/recording` start them.
_ENDLESS = ("serve", "record")
# What needs a cluster is run by `tests/cluster`, which has one.
_ON_A_CLUSTER = "--cluster"
# Exit codes of `compare` and `doctor` that depend on what was found, and not on the command.
_FINDINGS = {"compare": {0, 30, 31, 32}, "doctor": {0, 8, 9}}
# What stands for the server that the tool is to start.
_STARTED = f"{sys.executable} -P -m lmx_loadgen sim --port {{port}} --set ttft_ms=5 --set step_ms=0.2"
_OTHER_PROGRAMS = {"pip", "python", "python3", "pytest", "ruff", "mypy", "uv", "curl", "ray"}


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, SimProcess]]:
    """Fast ones; no pauses between blocks, a calibration in a second, no browser."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Runner, "_pause", lambda self, seconds: None)
    monkeypatch.setattr(calibration, "quick", lambda: [Stretch(1, 3, 4, 0.0), Stretch(4, 8, 4, 0.1)])
    monkeypatch.setattr(calibration, "_BURST", Stretch(2, 4, 2_000, 0.0))
    monkeypatch.setattr(host, "busy", lambda: None)
    monkeypatch.setattr(click, "launch", lambda url: 0)
    monkeypatch.setenv(folders.CONFIG_FOLDER_ENV, str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for key in ("LMX_ADMIN_KEY", "BOX_KEY"):
        monkeypatch.setenv(key, "sesame")
    (tmp_path / "reference").symlink_to(ROOT / "reference")
    names = {"lmx": {"skills": ("echo",)}, "ollama": {}, "vllm": {}, "llamacpp": {}}
    with servers_at_their_addresses(*names, step_ms=0.2, more=names) as sims:
        yield sims


def runs_below(folder: Path) -> list[Path]:
    return sorted((path.parent for path in folder.rglob("events.jsonl")), key=lambda path: path.stat().st_mtime)


def arguments(words: list[str], servers: Mapping[str, SimProcess]) -> list[str]:
    """The words as a shell would hand them over, with the newest run for RUN and a simulator at each address."""
    found: list[str] = []
    for word in words:
        for port, name in _AT.items():
            word = re.sub(rf"http://127\.0\.0\.1{port}(/v1)?", servers[name].url, word)
        word = re.sub(r"llama-server -m model\.gguf --port \{port\}( -t \d)?", _STARTED, word)
        word = "1" if found[-1:] == ["--restarts"] else word
        word = str(Path(word).expanduser()) if word.startswith("~") else word
        if word.endswith("/RUN"):
            word = str(runs_below(Path(word).parent)[-1])
        found += [str(path) for path in Path().glob(word)] if "*" in word and "/" in word else [word]
    return found


def check(command: str, servers: Mapping[str, SimProcess]) -> int:
    """Run what a line calls of this tool; how many calls that were."""
    ran = 0
    for words in words_of(command):
        while words and "=" in words[0]:  # a variable before the command
            words.pop(0)
        if not words:
            continue
        program = Path(words[0]).name
        if program != "lmx-loadgen":
            assert program in _OTHER_PROGRAMS, f"nobody runs {command!r}"
            continue
        name, *rest = arguments(words[1:], servers)
        if name in _ENDLESS or _ON_A_CLUSTER in rest:
            main.commands[name].make_context(name, rest)
            continue
        result = lmx_loadgen(name, *rest)
        assert result.exit_code in _FINDINGS.get(name, {0}), f"{command}: {result.output}"
        ran += 1
    return ran


@pytest.mark.slow
def test_every_command_runs(servers: Mapping[str, SimProcess], tmp_path: Path) -> None:
    done: set[str] = set()
    ran: dict[str, int] = {}
    for page in ("README.md", "guide.md", *sorted(set(PAGES) - {"README.md", "guide.md"})):
        for command in commands(page):
            bare = " ".join(command.partition("#")[0].split())
            if bare not in done:
                ran[page] = ran.get(page, 0) + check(command, servers)
            done.add(bare)
        if page == "guide.md":
            shutil.copytree("exported", tmp_path / ".opta-lmx" / "benchmarks")

    assert ran["README.md"] >= 4
    assert ran["guide.md"] >= 20
    assert ran["servers.md"] == 3
    assert ElementTree.parse("speed.xml").find("testsuite") is not None


@pytest.mark.slow
def test_the_readme_runs_from_python(servers: Mapping[str, SimProcess]) -> None:
    (example,) = blocks("README.md", "python")
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)

    assert {row["target"] for row in names["run"].levels()} == {"lmx", "ollama"}
