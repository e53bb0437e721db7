"""Thousands of streams at once, over real sockets: none fails, each is timed, and the measuring process stays small."""

from dataclasses import replace
from pathlib import Path

import pytest

from lmx_loadgen.calibration.pairing import errors_of
from lmx_loadgen.calibration.run import STEADY, simulator
from lmx_loadgen.profile.models import Profile
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent
from lmx_loadgen.sim.truth import read_truth
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.system import open_files

# More than the former limit of 4,096, and than a listen queue holds.
STREAMS = 5_000
# It was 117 MB when this was written, of which 55 MB are there before the first stream.
MOST_BYTES = 200 * 2**20


@pytest.mark.slow
def test_five_thousand_streams_are_all_answered(tmp_path: Path) -> None:
    if open_files.most_connections() < STREAMS:
        pytest.skip(f"this machine lets a process open no {STREAMS} connections")
    load = {"concurrency": STREAMS, "requests": STREAMS, "warmup": 0, "stagger": 1.0}
    with simulator(replace(STEADY, ttft_ms=2000.0, step_ms=500.0)) as (sim, truth_path):
        asked = {"targets": [f"sim={sim.base_url}"], "load": load, "request": {"max_tokens": 3}}
        outcome = run_blocking(
            Profile.model_validate(asked | {"checks": {"stability": False}}),
            options=Options(out=tmp_path, probe=False),
            stop=StopFlag(),
            base_dir=tmp_path,
            view=Silent(),
        )
        sim.flush()
        log = read_log(outcome.folder / "events.jsonl")
        errors = errors_of(log.requests, read_truth(truth_path))

    assert [line["outcome"] for line in log.requests] == ["ok"] * STREAMS
    assert {line["slot"] for line in log.requests} == set(range(STREAMS))
    assert all(line["connect_ns"] is None for line in log.requests)  # opened ahead of the load
    assert (len(errors.ttft), errors.unpaired) == (STREAMS, 0)
    assert log.segments[0]["client"]["peak_rss_bytes"] < MOST_BYTES
