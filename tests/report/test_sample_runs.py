from pathlib import Path

import pytest

from tests.helpers import paths
from tests.helpers.make_runs import RUNS, write


@pytest.mark.slow
def test_the_stored_sample_runs_are_what_their_script_makes(tmp_path: Path) -> None:
    write(tmp_path)

    for name in RUNS:
        for file in ("events.jsonl", "result.json"):
            # Where formats or metrics changed on purpose: python -m tests.helpers.make_runs
            assert (tmp_path / name / file).read_bytes() == (paths.RUNS / name / file).read_bytes(), f"{name}/{file}"
