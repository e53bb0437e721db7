"""Where a user's folders are, also where there is no home folder, as in some containers: no HOME, and an id that the
system does not know."""

import os
import pwd
from pathlib import Path
from typing import Any

import platformdirs.macos
import platformdirs.unix
import pytest

from lmx_loadgen.errors import InputError
from lmx_loadgen.system import folders
from tests.helpers.cli import SMALL, lmx_loadgen, sentence_of


@pytest.mark.parametrize(
    ("system", "cache_home", "cache"),
    [
        (platformdirs.macos.MacOS, None, "/home/me/Library/Caches/lmx-loadgen"),
        (platformdirs.unix.Unix, None, "/home/me/.cache/lmx-loadgen"),
        (platformdirs.unix.Unix, "/c", "/c/lmx-loadgen"),
    ],
)
def test_the_lock_and_the_calibrations_are_in_the_user_s_folder_for_caches(
    system: type, cache_home: str | None, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", cache_home or "")
    for variable, folder in (
        (folders.LOCK_FOLDER_ENV, folders.lock_folder),
        (folders.CALIBRATION_FOLDER_ENV, folders.calibration_folder),
    ):
        monkeypatch.setenv(variable, "/there")
        assert folder() == Path("/there")
        monkeypatch.delenv(variable)
        assert folder() == Path(cache)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> Any:
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv(folders.LOCK_FOLDER_ENV, raising=False)
    monkeypatch.delenv(folders.CALIBRATION_FOLDER_ENV, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.mark.usefixtures("nobody")
def test_the_lock_is_in_a_folder_of_the_user_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert folders.home() is None
    assert folders.lock_folder() == tmp_path / f"lmx-loadgen-{os.getuid()}"


@pytest.mark.usefixtures("nobody")
def test_a_run_goes_on_without_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = lmx_loadgen("run", *SMALL, "--out", tmp_path / "runs")

    assert result.exit_code == 0, result.output


@pytest.mark.usefixtures("nobody")
def test_a_tilde_without_a_home_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"~/x: the home folder is unknown; set HOME, or give the whole path"):
        folders.expanded(Path("~/x"))
    (tmp_path / "p.yaml").write_text("tokenizer: ~/tokenizer.json\n")
    refused = [
        lmx_loadgen("results", "import", "--results-dir", tmp_path),
        lmx_loadgen("run", "-p", tmp_path / "p.yaml", "--out", tmp_path / "runs"),
    ]

    assert [one.exit_code for one in refused] == [2, 2]
    assert all("the home folder is unknown" in sentence_of(one) for one in refused)
