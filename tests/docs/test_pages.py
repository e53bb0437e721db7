"""What the pages say, held against the code."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from lmx_loadgen import errors
from lmx_loadgen.cli import main
from lmx_loadgen.profile.loading import load_profile, profile_names
from lmx_loadgen.targets import DIALECTS
from tests.docs.pages import PAGES, blocks, commands, links, with_metrics, words_of, workflow_commands
from tests.helpers.paths import ROOT

README = PAGES["README.md"]
MOST_WORDS = 1200
# What sets everything up and then does something: these two lines are what a user is promised.
MAIN_JOB = "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/lmx-loadgen run -t sim"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -q '.[test]' && .venv/bin/pytest"


def test_the_readme_is_one_screen_and_has_its_two_commands() -> None:
    assert len(README.split()) < MOST_WORDS
    assert f"    {MAIN_JOB} && .venv/bin/lmx-loadgen plot\n" in README
    assert f"    {TESTS}\n" in README


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page: str) -> None:
    assert [path for path in links(page) if not path.exists()] == []


def test_every_page_can_be_found_from_the_readme() -> None:
    linked = {path.name for page in PAGES for path in links(page)}

    assert set(PAGES) - {"README.md"} <= linked


def test_the_metrics_are_those_of_the_code() -> None:
    page = PAGES["metrics.md"]

    assert page == with_metrics(page), "python -m tests.docs writes it anew"
    assert "| `ttft` |" in page


def test_every_exit_code_is_explained() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.LoadgenError)]
    codes = {kind.exit_code for kind in kinds}
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGES["exit-codes.md"], re.MULTILINE)}

    assert explained == codes | {0, 130}


def test_every_target_profile_and_command_is_named() -> None:
    servers = PAGES["servers.md"]
    for name, dialect in DIALECTS.items():
        assert f"| `{name}` |" in servers or f"`{name}=URL`" in servers
        assert dialect.default_url is None or dialect.default_url in servers
    for name in profile_names():
        assert f"| `{name}` |" in PAGES["guide.md"]
    for command in main.commands:
        assert f"`{command}`" in README, command


def test_the_yaml_blocks_are_a_profile_more_of_it_and_a_workflow(tmp_path: Path) -> None:
    profile, workflow, more = blocks("guide.md", "yaml")
    path = tmp_path / "mine.yaml"
    path.write_text(profile + more, encoding="utf-8")
    loaded = load_profile(str(path))
    (job,) = yaml.safe_load(workflow)["jobs"].values()

    assert (loaded.name, loaded.checks.tool_calls[0].expect) == ("mine", "set_timer")
    assert all(set(step) & {"run", "uses"} for step in job["steps"])
    assert len(list(workflow_commands(workflow))) == 3
    assert [page for page in PAGES if blocks(page, "yaml")] == ["guide.md"]


def flags_of(command: Any) -> set[str]:
    """All flags of a command and of those below it."""
    names = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    return names.union(*(flags_of(one) for one in getattr(command, "commands", {}).values()))


# Flags of other programs that pages name.
OTHERS = {"--no-deps", "--output", "--check", "--help"}


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_that_a_page_names_is_one(page: str) -> None:
    named = set(re.findall(r"`(--[a-z][a-z0-9-]+)", PAGES[page]))

    assert named - flags_of(main) - OTHERS == set()


@pytest.mark.parametrize("page", PAGES)
def test_what_is_installed_and_run_beside_the_tool_is_there(page: str) -> None:
    """Extras and markers of the project, modules of the tests, requirement files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = set(project["project"]["optional-dependencies"])
    markers = {marker.partition(":")[0] for marker in project["tool"]["pytest"]["ini_options"]["markers"]}
    named = {extra for found in re.findall(r"[.n]\[([a-z,]+)\]", PAGES[page]) for extra in found.split(",")}
    for command in commands(page):
        for words in words_of(command):
            named |= {word for word in words if word in extras}
            if "-m" in words and "pytest" in words[0]:
                assert words[words.index("-m") + 1].removeprefix("not ") in markers
    modules = {found for found in re.findall(r"python -m (tests[\w.]*)", PAGES[page]) if not found.endswith(".")}

    assert named <= extras
    assert [one for one in modules if not _is_module(one)] == []
    assert [one for one in re.findall(r"-r (\S+\.txt)", PAGES[page]) if not (ROOT / one).exists()] == []


def _is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or (path / "__main__.py").exists()
