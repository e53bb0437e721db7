from pathlib import Path

import pytest

from lmx_loadgen.errors import ProfileError
from lmx_loadgen.store.tools_vs_truth import NAME, read_tools_vs_truth
from lmx_loadgen.system import package_data

GOOD = """\
date: '2026-11-23'
machine: two cores
settings: {ttft_ms: 200}
tools:
- {name: ours, version: '1', ttft_error_ms: {1: {p50: 0.1, p99: -0.2}, 64: {p50: 0.1, p99: 0.3}}}
- {name: theirs, version: '2', ttft_error_ms: {16: {p50: 1, p99: 10}}}
"""


def test_the_stored_table_is_sound_and_has_ours_in_it() -> None:
    table = read_tools_vs_truth(package_data.folder("reference"))

    assert table is not None
    assert {"lmx-loadgen", "GuideLLM", "AIPerf"} <= {tool.name for tool in table.tools}


def test_a_table_is_read_with_every_concurrency_of_any_tool(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(GOOD)
    table = read_tools_vs_truth(tmp_path)

    assert table is not None
    assert table.levels() == [1, 16, 64]
    assert table.tools[0].ttft_error_ms[1].p99 == -0.2


def test_no_table_is_none(tmp_path: Path) -> None:
    assert read_tools_vs_truth(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tools: [", "not valid YAML"),
        ("", "must hold a mapping"),
        ("date: &a x\nmachine: *a", "aliases are not allowed"),
        ("[" * 5000, "not valid YAML"),
        ("machine: x" + " " * 1_100_000, "larger than 1 MB"),
        ("machine: x", "date"),
        (GOOD.replace("p99: 10", "p99: fast"), "tools.1.ttft_error_ms"),
    ],
)
def test_a_damaged_table_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(ProfileError, match=words) as caught:
        read_tools_vs_truth(tmp_path)
    assert NAME in str(caught.value)
