"""The witness of the event loop, from its arithmetic to a run that was really held up."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.load import driver
from lmx_loadgen.load.health import LagMeter
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.recorder import Silent
from lmx_loadgen.session.run import run
from lmx_loadgen.store.eventlog import read_log
from tests.helpers.paths import ROOT

MS = 1_000_000


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


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.slow
@pytest.mark.timing
def test_a_run_held_up_for_50_ms_is_tainted_and_names_its_requests(
    loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "WORKER", "tests.helpers.stalling_worker")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Eight in flight from the start, each of over half a second: all of them are there when the loop is held up.
    overrides = {
        "load.concurrency": [8],
        "load.requests": 8,
        "load.warmup": 0,
        "load.stagger": "0",
        "request.max_tokens": 24,
    }
    outcome = run(
        Options(overrides=overrides, out=tmp_path, loop=loop, probe=False), Silent(), lambda loop, stamps: None
    )
    level = outcome.result.targets[0].levels[0]
    requests = read_log(outcome.folder / "events.jsonl").requests

    assert level.requests.ok == 8
    assert level.witness.lag_max_s is not None
    assert level.witness.lag_max_s >= 0.045
    assert level.witness.lagged == sorted(level.witness.lagged) != []
    assert {line["id"] for line in requests if line["lag_ns"] > 10 * MS} == set(level.witness.lagged)
    (reason,) = [words for words in level.tainted if "event-loop lag" in words]
    assert f"requests {level.witness.lagged[0]}" in reason
