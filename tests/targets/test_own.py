"""The user's own targets: stored whole, privately and without keys, and no key goes to another host than its own."""

import json
import stat
from pathlib import Path

import pytest

from lmx_loadgen.errors import InputError, LoadgenError, ProfileError
from lmx_loadgen.profile.models import Profile, TargetSpec
from lmx_loadgen.session.asked_profile import asked_profile
from lmx_loadgen.system.folders import CONFIG_FOLDER_ENV
from lmx_loadgen.targets import DIALECTS, own
from lmx_loadgen.targets.address import AUTO
from lmx_loadgen.targets.keys import key_headers
from tests.helpers.cli import lmx_loadgen

URL = "http://127.0.0.1:8123"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CONFIG_FOLDER_ENV, str(tmp_path / "config"))
    return tmp_path / "config"


def test_a_target_is_kept_privately_and_forgotten(folder: Path) -> None:
    assert lmx_loadgen("targets", "add", "box", URL, "--dialect", "lmx", "--key-env", "BOX_KEY").exit_code == 0

    path = folder / own.NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [path]
    stored = json.loads(path.read_text())["targets"]
    assert stored == [{"name": "box", "url": f"{URL}/v1", "dialect": "lmx", "api_key_env": "BOX_KEY"}]
    assert own.find_target("box") == TargetSpec(name="box", url=f"{URL}/v1", dialect="lmx", api_key_env="BOX_KEY")

    assert lmx_loadgen("targets", "remove", "box").exit_code == 0
    assert own.read_own() == {}


def test_adding_again_replaces_and_leaves_the_others() -> None:
    own.add("a", URL)
    own.add("b", URL)
    own.add("a", "http://127.0.0.1:9")

    assert {name: spec.url for name, spec in own.read_own().items()} == {
        "a": "http://127.0.0.1:9/v1",
        "b": f"{URL}/v1",
    }


@pytest.mark.parametrize("name", [*DIALECTS, AUTO])
def test_a_built_in_name_cannot_be_taken(name: str) -> None:
    result = lmx_loadgen("targets", "add", name, URL)

    assert result.exit_code == InputError.exit_code
    assert "built-in" in result.stderr


@pytest.mark.parametrize("name", list(DIALECTS))
def test_nor_by_a_file_that_was_edited(name: str, folder: Path) -> None:
    folder.mkdir()
    (folder / own.NAME).write_text(json.dumps({"schema_version": 1, "targets": [{"name": name, "url": URL}]}))

    assert own.find_target(name).url is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("box", "box.local"), "not an address"),
        (("box", "http://user:secret@h"), "keys do not belong"),
        (("b x", URL), "name"),
        (("box", URL, "--dialect", "none"), "no such dialect"),
        (("box", URL, "--key-env", "not a name"), "api_key_env"),
        (("box", URL, "--key-env", "OPENAI_API_KEY"), "api.openai.com alone"),
    ],
)
def test_what_cannot_be_added_says_why(arguments: tuple[str, ...], words: str) -> None:
    result = lmx_loadgen("targets", "add", *arguments)

    assert result.exit_code == InputError.exit_code
    assert words in result.stderr
    assert "secret" not in result.stderr
    assert own.read_own() == {}


def test_removing_what_is_not_there_says_what_is() -> None:
    own.add("box", URL)
    result = lmx_loadgen("targets", "remove", "bax")

    assert result.exit_code == InputError.exit_code
    assert "you have box" in result.stderr


@pytest.mark.parametrize("text", ["", "{", '{"targets": [{"name": 1}]}', '{"schema_version": 1, "targets": 7}'])
def test_a_damaged_list_is_named_and_keeps_nobody_from_measuring_what_is_built_in(text: str, folder: Path) -> None:
    folder.mkdir()
    (folder / own.NAME).write_text(text)

    with pytest.raises(ProfileError, match=own.NAME):
        own.read_own()
    assert own.find_target("ollama").name == "ollama"


def test_a_key_goes_to_its_own_host_alone() -> None:
    box = own.add("box", "https://box.example", key_env="BOX_API_KEY")
    env = {"BOX_API_KEY": "a-secret-key"}

    assert key_headers(box, str(box.url), env) == {"Authorization": "Bearer a-secret-key"}
    for spec in (own.find_target("box=https://other.example"), TargetSpec(name="x", api_key_env="BOX_API_KEY")):
        with pytest.raises(InputError, match=r"belongs to box at box\.example"):
            key_headers(spec, "https://other.example/v1", env)
    with pytest.raises(InputError, match="belongs to box"):
        own.add("b2", "https://other.example", key_env="BOX_API_KEY")


def test_a_run_and_a_profile_know_it_by_its_name(tmp_path: Path) -> None:
    spec = own.add("box", URL, "vllm")
    path = tmp_path / "mine.yaml"
    path.write_text("targets: [{name: box, model: m}, ollama]\n")

    assert asked_profile(targets=["box"], models=["m"]).targets == [spec.model_copy(update={"model": "m"})]
    assert _targets(asked_profile(str(path))) == [("box", spec.url, "m"), ("ollama", None, None)]
    with pytest.raises(LoadgenError, match="no such server"):
        asked_profile(targets=["bax"])


def _targets(profile: Profile) -> list[tuple[str, str | None, str | None]]:
    return [(spec.name, spec.url, spec.model) for spec in profile.targets]
