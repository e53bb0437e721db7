"""Killed at any moment and taken up again, a run ends as if nothing had been."""

from pathlib import Path

import pytest

from tests.helpers.killed_runs import kill_and_compare


@pytest.mark.slow
def test_killed_at_six_moments_a_run_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, 20, 6, lambda words: None)
