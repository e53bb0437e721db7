"""`recompute`: results out of their event logs alone, and former ones kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen import __version__
from lmx_loadgen.analysis.measured_run import read_run
from lmx_loadgen.analysis.metrics import VERSION
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.eventlog import EventLog
from lmx_loadgen.store.result import read_result, write_result
from tests.helpers.cli import lmx_loadgen, sentence_of
from tests.helpers.made_lines import header_line, request_line, segment_line, steady, usage

OLDER = {"metrics_version": VERSION - 1, "tool": {"name": "lmx-loadgen", "version": "0.0.9", "computed_by": "0.0.9"}}
OLDER_NAME = f"result.0.0.9-metrics-{VERSION - 1}.json"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with its result."""
    folder = tmp_path / "runs" / "a"
    folder.mkdir(parents=True)
    log = EventLog.create(folder / "events.jsonl")
    log.append(header_line(tool_version="0.0.9"))
    for id in range(3):
        log.append(request_line(steady(), id=id, send=1000 + 500 * id, usage=usage(1, 5)))
    log.append(segment_line(0, 3000, 4000))
    log.append({"type": "end", "end_ns": 5_000_000_000, "complete": True, "reason": None})
    log.close()
    write_result(folder, summarize(read_run(folder / "events.jsonl")))
    return folder


def changed(folder: Path, changes: dict[str, Any]) -> bytes:
    """The stored result with changes; its bytes."""
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path.read_bytes()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_same_version_makes_the_same_bytes_and_writes_nothing(run: Path) -> None:
    before = (run / "result.json").stat()
    result = lmx_loadgen("recompute", run)

    assert (result.exit_code, result.stderr) == (0, "")
    words = f"the same, byte for byte (lmx-loadgen {__version__}, metric definitions {VERSION})"
    assert result.stdout == f"{run}: {words}\n"
    assert (run / "result.json").stat() == before
    assert names(run) == ["events.jsonl", "result.json"]


def test_a_result_says_who_measured_and_who_computed(run: Path) -> None:
    tool = read_result(run).tool

    assert (tool.version, tool.computed_by) == ("0.0.9", __version__)


def test_a_killed_run_gets_a_result(run: Path) -> None:
    whole = (run / "result.json").read_bytes()
    (run / "result.json").unlink()
    result = lmx_loadgen("recompute", run)

    assert result.exit_code == 0
    assert "there was no result; made one" in result.stdout
    assert (run / "result.json").read_bytes() == whole


def test_a_result_of_another_version_is_kept_beside_the_new_one(run: Path) -> None:
    new = (run / "result.json").read_bytes()
    old = changed(run, OLDER)
    result = lmx_loadgen("recompute", run)

    assert result.exit_code == 0
    assert f"lmx-loadgen 0.0.9, metric definitions {VERSION - 1}" in result.stdout
    assert OLDER_NAME in result.stdout
    assert (run / OLDER_NAME).read_bytes() == old
    assert (run / "result.json").read_bytes() == new


def test_a_kept_result_is_never_written_over(run: Path) -> None:
    first = changed(run, OLDER)
    lmx_loadgen("recompute", run)
    second = changed(run, OLDER | {"notes": ["another"]})
    lmx_loadgen("recompute", run)
    changed(run, OLDER | {"notes": ["another"]})  # the same again needs no third copy
    lmx_loadgen("recompute", run)

    again = OLDER_NAME.replace(".json", ".2.json")
    assert names(run) == ["events.jsonl", again, OLDER_NAME, "result.json"]
    assert ((run / OLDER_NAME).read_bytes(), (run / again).read_bytes()) == (first, second)


@pytest.mark.parametrize(
    ("content", "label"), [(b"{", "unreadable"), (b"", "unreadable"), (b"[]", "unreadable"), (None, "changed")]
)
def test_a_damaged_or_changed_result_is_mended_and_kept(run: Path, content: bytes | None, label: str) -> None:
    new = (run / "result.json").read_bytes()
    old = changed(run, {"notes": ["painted"]}) if content is None else content
    (run / "result.json").write_bytes(old)
    result = lmx_loadgen("recompute", run)

    assert result.exit_code == 0
    assert (run / f"result.{label}.json").read_bytes() == old
    assert (run / "result.json").read_bytes() == new


@pytest.mark.parametrize("later", [{"schema": 99}, {"metrics_version": VERSION + 1}])
def test_a_result_of_a_later_version_is_left_alone(run: Path, later: dict[str, Any]) -> None:
    old = changed(run, later)
    result = lmx_loadgen("recompute", run)

    assert result.exit_code == 4
    assert "update lmx-loadgen" in sentence_of(result)
    assert (run / "result.json").read_bytes() == old
    assert names(run) == ["events.jsonl", "result.json"]


def test_a_hostile_version_makes_no_path(run: Path) -> None:
    changed(run, {"tool": OLDER["tool"] | {"computed_by": "../../../evil\n"}})  # type: ignore[operator]
    result = lmx_loadgen("recompute", run)

    assert result.exit_code == 0
    assert len(names(run)) == 3
    assert [path.name for path in run.parent.iterdir()] == ["a"]


def test_one_that_cannot_be_read_keeps_no_other_from_being_done(run: Path, tmp_path: Path) -> None:
    (run / "result.json").unlink()
    (tmp_path / "empty").mkdir()
    result = lmx_loadgen("recompute", tmp_path / "empty", run)

    assert result.exit_code == 4
    assert "has no event log (events.jsonl)" in sentence_of(result)
    assert (run / "result.json").is_file()


def test_plot_draws_no_two_definitions_as_one_and_says_what_to_do(run: Path, tmp_path: Path) -> None:
    page = ("--no-open", "--output", tmp_path / "page.html")
    changed(run, OLDER)
    named = lmx_loadgen("plot", run, *page)
    assert named.exit_code == 4
    assert f"`lmx-loadgen recompute {run}`" in sentence_of(named)

    other = run.parent / "b"
    other.mkdir()
    (other / "events.jsonl").write_bytes((run / "events.jsonl").read_bytes())
    both = lmx_loadgen("plot", "--results-dir", run.parent, *page)
    assert both.exit_code == 0
    assert both.stderr.startswith("skipped: ")
    assert f"lmx-loadgen recompute {run}" in both.stderr

    lmx_loadgen("recompute", run)
    assert lmx_loadgen("plot", "--results-dir", run.parent, *page).stderr == ""

    changed(run, {"metrics_version": VERSION + 1})
    later = lmx_loadgen("plot", run, *page)
    assert later.exit_code == 4
    assert "update lmx-loadgen" in sentence_of(later)


def test_compare_computes_both_sides_by_its_own_definitions(run: Path) -> None:
    """It reads the logs: a stored result of other definitions changes nothing."""
    other = run.parent / "b"
    other.mkdir()
    lines = (run / "events.jsonl").read_text().replace("0123abcd", "4567cdef")
    (other / "events.jsonl").write_text(lines)
    before = lmx_loadgen("compare", run, other, "--format", "json").stdout
    changed(run, OLDER | {"targets": []})

    assert json.loads(before)["levels"]
    assert lmx_loadgen("compare", run, other, "--format", "json").stdout == before
