"""Runs as former versions stored them: each reads, is computed anew to the same figures, and is drawn.

Each folder is named by the version of its event log. Their results were computed by the version before keys; a
migration must not change one digit of them. Figures that there were not yet stand beside them.
"""

from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.analysis.measured_run import MeasuredRun, read_run
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.report.page import build_page
from lmx_loadgen.report.run_loader import view_of
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import read_result
from tests.helpers.paths import DATA, RUNS

# The audit has more checks from version to version, and words may change.
WORDS = ("audit", "sentence", "sentences", "reason", "notes")
FORMER = sorted((DATA / "former-runs").iterdir())


@pytest.mark.parametrize("folder", FORMER, ids=lambda folder: str(folder.name))
def test_figures_are_equal_to_the_last_digit(folder: Path) -> None:
    log = read_log(folder / "events.jsonl")

    assert log.notes == []
    assert_keeps(summarize(MeasuredRun(log)).as_dict(), read_result(folder).as_dict())


def assert_keeps(now: Any, then: Any, where: str = "") -> None:
    """Everything that a result had then it has now, and the same."""
    if isinstance(then, dict):
        for key, value in then.items():
            is_side = key in ("a", "b") and isinstance(value, float)  # over all blocks now, once their median
            if is_side or key in WORDS:
                continue
            assert_keeps(now[key], value, f"{where}.{key}")
    elif isinstance(then, list) and all(isinstance(one, str) for one in then):
        assert [one for one in now if one in then] == then, where
    elif isinstance(then, list):
        assert len(now) == len(then), where
        for place, (one, other) in enumerate(zip(now, then, strict=True)):
            assert_keeps(one, other, f"{where}[{place}]")
    elif isinstance(then, float):
        assert now == pytest.approx(then, rel=1e-14), where  # shares of the 5 % are summed up in another order
    else:
        assert now == then, where


@pytest.mark.parametrize("folder", FORMER, ids=lambda folder: str(folder.name))
def test_they_are_drawn(folder: Path) -> None:
    run = read_run(folder / "events.jsonl")
    page = build_page([view_of(read_result(folder), run)])

    assert '<section id="figures"' in page


@pytest.mark.parametrize("name", ["failed", "head-to-head", "hostile", "interrupted"])
def test_the_same_run_is_the_same_in_either_version(name: str) -> None:
    former, now = DATA / "former-runs" / f"v3-{name}", RUNS / name

    assert read_log(former / "events.jsonl") == read_log(now / "events.jsonl")
    assert_keeps(read_result(now).as_dict(), read_result(former).as_dict())
