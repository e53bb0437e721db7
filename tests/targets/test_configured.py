"""Ports that servers were moved to, by their own settings and by what LM Studio's command says."""

import json
from pathlib import Path

import pytest

from lmx_loadgen.system.probe import Probe
from lmx_loadgen.targets.configured import LMS, LMS_SETTINGS, OMLX_SETTINGS, configured_ports, is_lm_studio_idle
from tests.system.machine import RECORDED, recorded


def put(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def say(home: Path, **answers: str) -> None:
    """An `lms` that answers `lms WHAT status --json`."""
    cases = "".join(f"{what}) cat <<'END'\n{answer}\nEND\n;;\n" for what, answer in answers.items())
    put(home / LMS, f'#!/bin/sh\ncase "$1" in\n{cases}*) exit 1;;\nesac\n', 0o700)


def test_the_settings_of_lm_studio_and_omlx_name_their_ports(tmp_path: Path) -> None:
    put(tmp_path / LMS_SETTINGS, json.dumps({"port": 4321, "cors": False}))
    put(tmp_path / OMLX_SETTINGS, json.dumps({"server": {"port": 8765}}))

    assert configured_ports({"OLLAMA_HOST": "0.0.0.0:11999"}, tmp_path) == [11999, 4321, 8765]


@pytest.mark.parametrize("host", ["", "0.0.0.0", "http://127.0.0.1", "x:99999999", "x:0"])
def test_ollama_without_a_port_is_where_it_always_is(host: str) -> None:
    assert configured_ports({"OLLAMA_HOST": host}, None) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"port": "1234"}', '{"port": true}', '{"port": 70000}'])
def test_damaged_settings_name_none(text: str, tmp_path: Path) -> None:
    put(tmp_path / LMS_SETTINGS, text)
    put(tmp_path / OMLX_SETTINGS, text)

    assert configured_ports({}, tmp_path) == []


def test_what_lms_says_of_its_server(tmp_path: Path) -> None:
    say(tmp_path, server=recorded("lms-server-status.json"))

    assert configured_ports({}, tmp_path) == [json.loads(recorded("lms-server-status.json"))["port"]]


@pytest.mark.parametrize(("server", "idle"), [('{"running":false}', True), ('{"running":true,"port":1234}', False)])
def test_an_lm_studio_whose_server_is_off(server: str, idle: bool, tmp_path: Path) -> None:
    say(tmp_path, server=server, daemon=recorded("lms-daemon-status.json"))

    assert is_lm_studio_idle(tmp_path, Probe()) is idle
    assert configured_ports({}, tmp_path) == ([] if idle else [1234])


def test_no_lm_studio(tmp_path: Path) -> None:
    assert not is_lm_studio_idle(tmp_path, Probe())
    assert (RECORDED / "lms-daemon-status.json.txt").is_file()
