"""What the README says, held against the code."""

import re
from pathlib import Path

from lmx_loadgen import errors
from lmx_loadgen.analysis.metrics import METRICS, markdown_table
from lmx_loadgen.cli import main
from lmx_loadgen.profile.models import load_profile, profile_names
from lmx_loadgen.targets import DIALECTS
from tests.helpers.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_metric_definitions_are_those_of_the_code() -> None:
    assert markdown_table().strip() in README
    assert f"`{next(iter(METRICS))}`" in README


def test_every_exit_code_is_explained() -> None:
    codes = {error.exit_code for error in vars(errors).values() if isinstance(error, type)}
    table = README.split("| exit code |", 1)[1].split("\n\n", 1)[0]
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}

    assert explained == codes | {0, 130}


def test_every_target_profile_and_command_is_named() -> None:
    for name in DIALECTS:
        assert f"`{name}`" in README or f"`{name}=URL`" in README
    for dialect in DIALECTS.values():
        assert dialect.default_url is None or dialect.default_url in README
    for name in profile_names():
        assert f"| `{name}` |" in README
    for command in main.commands:
        assert f"lmx-loadgen {command}" in README or f"`{command}`" in README, command


def test_the_example_profile_is_one(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert example is not None
    path = tmp_path / "mine.yaml"
    path.write_text(example[1].replace("http://…", "http://127.0.0.1:1"), encoding="utf-8")

    assert load_profile(str(path)).name == "mine"
