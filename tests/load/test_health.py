"""The witness of the event loop, from its arithmetic to a run that was really held up."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.load import driver
from lmx_loadgen.load.health import LagMeter
from lmx_loadgen.session.asked_profile import asked_profile
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import LevelResult
from lmx_loadgen.wire.stamps import kernel_stamps_available
from tests.helpers.paths import ROOT

MS = 1_000_000
Lines = list[dict[str, Any]]


def a_meter() -> LagMeter:
    """A meter that only hears what it is told."""
    loop = asyncio.new_event_loop()
    meter = LagMeter(loop)
    meter.close()
    loop.close()
    return meter


def test_a_stall_is_seen_by_every_request_it_touched_and_by_no_other() -> None:
    meter = a_meter()
    meter.note(1_000 * MS, 1_250 * MS)

    assert meter.worst_between(900 * MS, 1_010 * MS) == 250 * MS
    assert meter.worst_between(1_100 * MS, 1_120 * MS) == 250 * MS  # within the stall, neither start nor end
    assert meter.worst_between(1_240 * MS, 3_000 * MS) == 250 * MS
    assert meter.worst_between(500 * MS, 899 * MS) == 0
    assert meter.worst_between(1_300 * MS, 3_000 * MS) == 0


@given(
    stalls=st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 400)), max_size=20),
    start=st.integers(0, 5_000),
    length=st.integers(0, 1_000),
)
def test_no_stall_within_a_request_is_missed(stalls: list[tuple[int, int]], start: int, length: int) -> None:
    meter = a_meter()
    for due, late in stalls:
        meter.note(due * MS, (due + late) * MS)
    touching = [late for due, late in stalls if due <= start + length and due + late >= start]

    assert meter.worst_between(start * MS, (start + length) * MS) >= max(touching, default=0) * MS


def test_a_stall_is_kept_where_it_overlaps_a_moment_and_reaches_a_period_further() -> None:
    meter = a_meter()
    meter.note(1_000 * MS, 1_030 * MS)
    meter.note(2_000 * MS, 2_004 * MS)  # shorter than the meter's period: no stall

    assert meter.stalls_at([1_010 * MS]) == meter.stalls_at([0, 996 * MS]) == [(1_000 * MS, 30 * MS)]
    assert meter.stalls_at([900 * MS, 1_034 * MS, 5_000 * MS]) == [(1_000 * MS, 30 * MS)]
    assert meter.stalls_at([900 * MS, 1_100 * MS, 2_002 * MS]) == meter.stalls_at([]) == []


@given(
    gaps=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), max_size=40),
    moments=st.lists(st.integers(0, 8_000), min_size=1, max_size=8),
)
def test_many_stalls_are_looked_up_as_they_would_be_one_by_one(gaps: list[tuple[int, int]], moments: list[int]) -> None:
    meter, at, stalls = a_meter(), 0, []
    for calm, late in gaps:
        meter.note((at := at + calm) * MS, (at + late) * MS)
        stalls += [(at, late)] if late >= 5 else []
        at += late
    touched = [
        (start * MS, late * MS)
        for start, late in stalls
        if any(start - 5 <= moment <= start + late + 5 for moment in moments)
    ]

    assert meter.stalls_at([moment * MS for moment in sorted(moments)]) == touched


def stalled_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: str, stamps: str) -> tuple[LevelResult, Lines]:
    """Eight in flight from the start, each of over half a second: all are there when the loop is held up for 50 ms."""
    monkeypatch.setattr(driver, "WORKER", "tests.helpers.stalling_worker")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    overrides = {
        "load.concurrency": [8],
        "load.requests": 8,
        "load.warmup": 0,
        "load.stagger": "0",
        "request.max_tokens": 24,
    }
    profile = asked_profile(overrides=overrides)
    options = Options(out=tmp_path, loop=loop, stamps=stamps, probe=False)
    outcome = run_blocking(profile, options=options, stop=StopFlag(), base_dir=tmp_path, view=Silent())
    return outcome.result.targets[0].levels[0], read_log(outcome.folder / "events.jsonl").requests


def held_up(line: dict[str, Any]) -> bool:
    return any(lag >= 45 * MS for _, lag in line["stalls"])


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.slow
@pytest.mark.timing
def test_a_stall_of_50_ms_delays_the_requests_whose_reads_the_loop_stamped(
    loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level, requests = stalled_run(tmp_path, monkeypatch, loop, "loop")

    assert level.requests.ok == 8
    assert level.witness.lag_max_s is not None
    assert level.witness.lag_max_s >= 0.045
    assert {line["id"] for line in requests if held_up(line)} == set(level.witness.lagged) != set()
    assert level.metrics["chunk_gap"].left_out == len(level.witness.lagged)


@pytest.mark.skipif(not kernel_stamps_available(), reason="this kernel does not stamp TCP data")
@pytest.mark.slow
@pytest.mark.timing
def test_the_same_stall_delays_no_request_whose_reads_the_kernel_stamped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level, requests = stalled_run(tmp_path, monkeypatch, "uvloop", "kernel")

    assert max(line["lag_ns"] for line in requests) >= 45 * MS
    assert level.requests.ok == 8
    for line in requests:  # what this machine itself did meanwhile may have met a send, but no read
        assert all(start <= 5 * MS and start + lag >= -5 * MS for start, lag in line["stalls"])
    assert level.metrics["chunk_gap"].tainted == []
