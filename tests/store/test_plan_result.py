import json
import logging
from pathlib import Path

import pytest

from lmx_loadgen.errors import StorageError
from lmx_loadgen.store.plan_result import BenchmarkResultStore
from lmx_loadgen.store.result import BenchmarkResult
from tests.helpers.plan_results import made


def test_a_result_round_trips_through_json_and_through_the_store(tmp_path: Path) -> None:
    assert BenchmarkResult.model_validate_json(made().model_dump_json()) == made()

    store = BenchmarkResultStore(tmp_path / "new" / "folder")
    path = store.save(made())
    assert path.name == "mlx-community_Qwen2_5-7B_2026-11-23T17_36_23_123Z.json"
    assert json.loads(path.read_text(encoding="utf-8"))["stats"]["output_text"] == "Hé <b>\n"
    assert store.load_all() == [made()]


def test_two_results_of_one_model_and_one_moment_both_survive(tmp_path: Path) -> None:
    store = BenchmarkResultStore(tmp_path)
    paths = {store.save(made()) for _ in range(3)}

    assert len(paths) == 3
    assert store.load_all() == [made()] * 3


def test_models_with_the_same_slug_both_survive(tmp_path: Path) -> None:
    store = BenchmarkResultStore(tmp_path)
    store.save(made("a/b"))
    store.save(made("a:b"))

    assert [result.model_id for result in store.load_all("a:b")] == ["a:b"]
    assert len(store.load_all()) == 2


def test_results_come_oldest_first_and_by_model(tmp_path: Path) -> None:
    store = BenchmarkResultStore(tmp_path)
    for model, timestamp in [
        ("z", "2026-01-02T00:00:00Z"),
        ("a", "2026-01-03T00:00:00Z"),
        ("z", "2026-01-01T00:00:00Z"),
    ]:
        store.save(made(model, timestamp))

    assert [result.timestamp[:10] for result in store.load_all()] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [result.timestamp[:10] for result in store.load_all("z")] == ["2026-01-01", "2026-01-02"]
    assert store.load_all("unknown") == []


@pytest.mark.parametrize("model", ["../../etc/passwd", "/abs", "..", "a\0b", "x" * 5000, "", "日本\n"])
def test_no_name_leads_outside_the_folder(tmp_path: Path, model: str) -> None:
    folder = tmp_path / "inner"
    path = BenchmarkResultStore(folder).save(made(model, timestamp="../../2026"))

    assert path.parent == folder
    assert [found.name for found in tmp_path.iterdir()] == ["inner"]
    assert len(path.name) < 150
    assert BenchmarkResultStore(folder).load_all()[0].model_id == model


@pytest.mark.parametrize("junk", [b"", b"{", b"\xff", b"[]", b'{"model_id": 5}'])
def test_a_damaged_file_is_skipped_with_a_warning(
    tmp_path: Path, junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store = BenchmarkResultStore(tmp_path)
    store.save(made())
    (tmp_path / "aaa.json").write_bytes(junk)
    with caplog.at_level(logging.WARNING):
        assert store.load_all() == [made()]

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "aaa.json" in caplog.text


def test_no_folder_holds_no_results(tmp_path: Path) -> None:
    assert BenchmarkResultStore(tmp_path / "gone").load_all() == []
    assert not (tmp_path / "gone").exists()


def test_a_home_is_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert BenchmarkResultStore("~/results").save(made()).parent == tmp_path / "results"


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="cannot write to"):
        BenchmarkResultStore(tmp_path / "file").save(made())


def test_the_preview_is_a_hundred_characters_at_most() -> None:
    with pytest.raises(ValueError, match="prompt_preview"):
        BenchmarkResult.model_validate(made().model_dump() | {"prompt_preview": "x" * 101})
