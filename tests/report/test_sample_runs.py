from pathlib import Path

from make_runs import DATA, RUNS, write


def test_the_stored_sample_runs_are_what_their_script_makes(tmp_path: Path) -> None:
    write(tmp_path)

    for name in RUNS:
        for file in ("events.jsonl", "result.json"):
            # Where formats or metrics changed on purpose: python tests/report/make_runs.py
            assert (tmp_path / name / file).read_bytes() == (DATA / name / file).read_bytes(), f"{name}/{file}"
