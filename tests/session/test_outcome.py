"""How a run ends once its log is written."""

import shutil
from pathlib import Path

import pytest

from lmx_loadgen.errors import StorageError, TargetError
from lmx_loadgen.session.outcome import Recorded, store_outcome
from lmx_loadgen.store.result import NAME
from tests.helpers.paths import RUNS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run without its result."""
    shutil.copy(RUNS / "head-to-head" / "events.jsonl", tmp_path)
    return tmp_path


def test_a_log_is_closed_before_its_result_is_made(folder: Path) -> None:
    closed: list[bool] = []
    outcome = store_outcome(Recorded(folder, None, None, lambda: closed.append((folder / NAME).exists())))

    assert closed == [False]
    assert outcome.result.complete


def test_a_log_that_the_disk_refuses_at_last_is_an_error_beside_the_result(folder: Path) -> None:
    def refused() -> None:
        raise StorageError("cannot write: the disk is full")

    with pytest.raises(StorageError, match=r"the disk is full; what was measured is in .*--resume"):
        store_outcome(Recorded(folder, None, None, refused))
    assert (folder / NAME).exists()
    with pytest.raises(TargetError, match="gone"):
        store_outcome(Recorded(folder, None, TargetError("gone"), refused))
