import json
from pathlib import Path

import pytest

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.errors import ResultError, StorageError
from lmx_loadgen.store.result import RunResult, find_runs, read_result, write_result, write_whole
from tests.helpers.made_lines import made_log, request_line, steady, usage


@pytest.fixture
def result() -> RunResult:
    return summarize(MeasuredRun(made_log([request_line(steady(), usage=usage(1, 5)) for _ in range(3)])))


def test_a_result_is_read_as_it_was_written(result: RunResult, tmp_path: Path) -> None:
    path = write_result(tmp_path, result)

    assert path == tmp_path / "result.json"
    assert read_result(tmp_path) == result
    assert json.loads(path.read_text()) == result.as_dict()
    assert json.loads(path.read_text())["schema"] == 4
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_result(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(tmp_path, result)
    before = (tmp_path / "result.json").read_bytes()

    def broken(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(StorageError, match=r"cannot write .*result\.json: No space left on device"):
        write_result(tmp_path, result.model_copy(update={"run_id": "other"}))

    assert (tmp_path / "result.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_folder_that_is_gone_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*: No such file or directory"):
        write_whole(tmp_path / "gone" / "result.json", b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a result of lmx-loadgen: not JSON"),
        (b'{"schema": 1, "run', "is not a result of lmx-loadgen: not JSON"),
        (b"\xff\xfe", "is not a result of lmx-loadgen: not JSON"),
        (b"[]", "is not a result of lmx-loadgen: the file"),
        (b"{}", "is not a result of lmx-loadgen: metrics_version: Field required"),
        (b'{"schema": 5}', "has result schema 5, and this version .* reads up to 4: update lmx-loadgen to read it"),
        (b'{"schema": "x"}', "has no result schema version"),
    ],
)
def test_what_is_no_result_is_said_to_be_none(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(content)

    with pytest.raises(ResultError, match=words):
        read_result(tmp_path)


def test_a_missing_result_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"cannot read .*result\.json: No such file or directory"):
        read_result(tmp_path)


def test_a_result_of_version_1_is_read(result: RunResult, tmp_path: Path) -> None:
    """It did not tell who computed it from who measured it, and levels had numbers."""
    old = result.as_dict() | {"schema": 1, "tool": {"name": "lmx-loadgen", "version": "0.0.9"}}
    (level,) = old["targets"][0]["levels"]
    old["targets"][0]["levels"] = [{"level": 0} | {key: level[key] for key in level if key != "load_point"}]
    (tmp_path / "result.json").write_text(json.dumps(old))
    found = read_result(tmp_path)

    assert (found.tool.version, found.tool.computed_by) == ("0.0.9", "0.0.9")
    assert found.schema_ == 4
    assert found.targets == result.targets


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_no_number_that_is_none_is_read(result: RunResult, tmp_path: Path, number: str) -> None:
    data = result.as_dict()
    data["targets"][0]["levels"][0]["metrics"]["ttft"]["mean"] = "HERE"
    (tmp_path / "result.json").write_text(json.dumps(data).replace('"HERE"', number))

    with pytest.raises(ResultError, match=r"metrics\.ttft\.mean"):
        read_result(tmp_path)


def test_runs_are_found_oldest_first_finished_or_not(tmp_path: Path) -> None:
    for name, file in [
        ("20261123T120000Z-b", "events.jsonl"),
        ("20261123T110000Z-a", "result.json"),
        ("notes", "read.me"),
    ]:
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    (tmp_path / "report.html").touch()

    assert [run.name for run in find_runs(tmp_path)] == ["20261123T110000Z-a", "20261123T120000Z-b"]
    assert find_runs(tmp_path / "gone") == []


def test_the_newest_run_is_the_one_that_began_last_whatever_its_folder_is_called(tmp_path: Path) -> None:
    texts = {
        "20991231T000000Z-later-by-name": ("events.jsonl", '{"started_at": "2026-11-22T10:00:00.000Z"}\n{"torn'),
        "base": ("events.jsonl", '{"started_at": "2026-11-21T10:00:00.000Z"}\n'),
        "a-zone": ("events.jsonl", '{"started_at": "2026-11-22T09:30:00+02:00"}\n'),
        "no-log": ("result.json", '{"run_id": "x", "started_at": "2026-11-23T10:00:00.000Z"}\n'),
        "zz-no-time": ("result.json", '{"started_at": null}'),
        "zz-torn": ("events.jsonl", '{"started_at": "2026-11-2'),
        "zz-too-early": ("events.jsonl", '{"started_at": "0001-01-01T00:00:00+14:00"}\n'),
    }
    for name, (file, text) in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(text)

    found = [run.name for run in find_runs(tmp_path)]
    assert found[:3] == ["zz-no-time", "zz-too-early", "zz-torn"]
    assert found[3:] == ["base", "a-zone", "20991231T000000Z-later-by-name", "no-log"]


def test_a_run_without_a_readable_log_goes_by_its_result(tmp_path: Path) -> None:
    for name, day in (("a", 3), ("b", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.jsonl").write_bytes(b"\xff")
        (tmp_path / name / "result.json").write_text(f'{{"started_at": "2026-11-0{day}T10:00:00.000Z"}}')

    assert [run.name for run in find_runs(tmp_path)] == ["b", "a"]


def test_a_file_larger_than_any_result_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "result.json").open("wb") as file:
        file.truncate(300 * 1024 * 1024)  # a hole: it takes no room
    with pytest.raises(ResultError, match="larger than 256 MB"):
        read_result(tmp_path)
