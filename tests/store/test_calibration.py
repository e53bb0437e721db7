"""The calibration table: where it is kept, and which of its figures stand for a load."""

from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.errors import ResultError, StorageError
from lmx_loadgen.store.calibration import Calibration, find, path_for, read_calibrations, store
from tests.helpers.make_runs import calibrated_level, calibration


def made(**changes: Any) -> Calibration:
    return Calibration.model_validate(calibration() | changes)


def test_what_is_stored_is_read_back(tmp_path: Path) -> None:
    path = store(tmp_path / "reports", made())

    assert path == path_for(tmp_path / "reports", "0123abcd") == tmp_path / "reports" / "calibration-0123abcd.json"
    assert read_calibrations(tmp_path / "reports", "0123abcd") == [made()]
    assert read_calibrations(tmp_path / "reports", "another") == []


def test_a_new_calibration_takes_the_place_of_its_own_kind_only(tmp_path: Path) -> None:
    kinds: list[dict[str, Any]] = [{}, {"quick": False}, {"stamps": "kernel"}, {"workers": 2}, {"loop": "asyncio"}]
    for kind in kinds:
        store(tmp_path, made(**kind))
    store(tmp_path, made(created_at="2027-01-01T00:00:00+00:00"))
    kept = read_calibrations(tmp_path, "0123abcd")

    assert len(kept) == len(kinds)
    assert [c.created_at for c in kept if (c.quick, c.stamps, c.workers, c.loop) == (True, "loop", 1, "uvloop")] == [
        "2027-01-01T00:00:00+00:00"
    ]


def test_only_a_calibration_made_as_the_run_measures_will_do() -> None:
    known = [made(stamps="kernel"), made(workers=2), made(tool_version="0.0.9"), made(loop="asyncio")]

    assert find(known, "0.1.0", "uvloop", "loop", 1) is None
    assert find([*known, made()], "0.1.0", "uvloop", "loop", 1) == made()


def test_the_newest_is_taken_but_a_full_one_before_a_quick_one() -> None:
    old, new = made(created_at="2026-01-01T00:00:00+00:00"), made(created_at="2026-02-01T00:00:00+00:00")
    full = made(quick=False, created_at="2025-01-01T00:00:00+00:00")

    assert find([new, old], "0.1.0", "uvloop", "loop", 1) == new
    assert find([new, full, old], "0.1.0", "uvloop", "loop", 1) == full


def test_one_of_the_busy_machine_stands_behind_any_of_the_quiet_one(tmp_path: Path) -> None:
    quiet = made(created_at="2026-01-01T00:00:00+00:00")
    busy = made(
        created_at="2026-02-01T00:00:00+00:00", quick=False, busy=True, busy_reason="load average 9.0 on 2 cores"
    )

    assert find([quiet, busy], "0.1.0", "uvloop", "loop", 1) == quiet
    assert find([busy], "0.1.0", "uvloop", "loop", 1) == busy
    for one in (made(busy=True), quiet, busy, made(busy=True), made(quick=False)):
        store(tmp_path, one)
    kept = read_calibrations(tmp_path, "0123abcd")
    assert [(c.quick, c.busy) for c in kept] == [(True, False), (True, True), (False, False)]


def test_the_lowest_level_with_at_least_the_load_stands_for_it() -> None:
    table = made(levels=[calibrated_level(concurrency, 1e-4) for concurrency in (1, 16, 64)])  # 43 chunks/s a slot

    def at(concurrency: int, rate: float | None) -> tuple[int, bool]:
        level, within = table.at(concurrency, rate)
        return level.concurrency, within

    assert at(1, None) == at(1, 43.0) == (1, True)
    assert at(1, 44.0) == at(2, 10.0) == at(16, 688.0) == (16, True)
    assert at(16, 689.0) == (64, True)
    assert at(65, 1.0) == at(1, 2753.0) == (64, False)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', '{"calibrations": [{"host": "x"}]}'])
def test_a_damaged_file_is_an_error_and_is_made_anew(tmp_path: Path, text: str) -> None:
    path = path_for(tmp_path, "0123abcd")
    path.write_text(text)
    with pytest.raises(ResultError, match="delete it and calibrate again"):
        read_calibrations(tmp_path, "0123abcd")

    store(tmp_path, made())
    assert read_calibrations(tmp_path, "0123abcd") == [made()]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        store(tmp_path / "file" / "reports", made())
