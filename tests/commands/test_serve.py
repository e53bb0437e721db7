"""`lmx-loadgen serve`: what it refuses before it listens, and what it says when it does."""

import socket
from pathlib import Path

import httpx
import pytest

from lmx_loadgen.commands import serve
from lmx_loadgen.system import folders
from tests.helpers.cli import lmx_loadgen, sentence_of
from tests.helpers.service import RESULTS, serving


@pytest.fixture(autouse=True)
def no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMX_ADMIN_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "studio.local"])
def test_other_machines_need_a_key(host: str) -> None:
    result = lmx_loadgen("serve", "--port", "0", "--host", host)

    assert result.exit_code == 2
    assert "needs an admin key: put one in LMX_ADMIN_KEY or ~/.opta-lmx/admin.key" in sentence_of(result)


def test_a_key_that_cannot_be_read_is_said() -> None:
    (Path.home() / ".opta-lmx" / "admin.key").mkdir(parents=True)
    result = lmx_loadgen("serve", "--port", "0", "--host", "0.0.0.0")

    assert result.exit_code == 2
    assert "the admin key cannot be read" in sentence_of(result)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--target", "nobody"), "no such server"),
        (("--tokenizer", "gone.json"), "there is no such file"),
        (("--host", "::1%nowhere"), "cannot listen on"),
    ],
)
def test_flags_that_cannot_be_used(flags: tuple[str, str], words: str) -> None:
    result = lmx_loadgen("serve", "--port", "0", *flags)

    assert result.exit_code == 2
    assert words in sentence_of(result)


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = lmx_loadgen("serve", "--port", taken.getsockname()[1])

    assert result.exit_code == 2
    assert "Address already in use" in sentence_of(result)


def test_without_its_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    result = lmx_loadgen("serve", "--port", "0")

    assert result.exit_code == 2
    assert "pip install 'lmx-loadgen[serve]'" in sentence_of(result)


def test_it_listens_calibrates_nothing_and_shows_no_pages(tmp_path: Path) -> None:
    folder = tmp_path / "calibrations"
    with serving(tmp_path, "lmx", **{folders.CALIBRATION_FOLDER_ENV: str(folder)}) as (url, _):
        results = httpx.get(f"{url}{RESULTS}")
        pages = [httpx.get(f"{url}{path}").status_code for path in ("/docs", "/openapi.json", "/")]

    assert url.startswith("http://127.0.0.1:")
    assert (results.status_code, results.json()) == (200, [])
    assert pages == [404, 404, 404]
    assert not folder.exists()


def test_beyond_this_machine_the_host_and_the_key_are_asked_for(tmp_path: Path) -> None:
    flags = ("--host", "0.0.0.0", "--allow-host", "studio.local")
    with serving(tmp_path, "lmx", *flags, LMX_ADMIN_KEY="sesame") as (url, _):
        here = url.replace("0.0.0.0", "127.0.0.1")
        replies = [
            httpx.get(f"{here}{RESULTS}", headers={"Host": host, "X-Admin-Key": key}).status_code
            for host in ("studio.local", "other.local")
            for key in ("sesame", "")
        ]

    assert replies == [200, 403, 403, 403]
