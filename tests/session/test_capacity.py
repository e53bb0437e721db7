"""What a search for the capacity measures next: on servers that are only counts, and on the simulator."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.analysis.capacity_search import ByConcurrency, ByRate, Tried, edge
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.profile.models import Load, Profile, TargetSpec
from lmx_loadgen.session.calibrated import measure
from lmx_loadgen.session.capacity import CapacitySearch
from lmx_loadgen.session.history import History
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.stop_rules import MaxDuration
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.capacity import CapacityResult
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import read_result
from tests.helpers.cli import lmx_loadgen, sentence_of

ALL, NONE = (40, 40), (0, 40)
SURE = Tried([ALL] * 3)
FAILS = Tried([NONE])
FLAGS = ("--max-tokens", "8", "--no-calibrate", "--warmup", "0", "--prompt", "Hello")


# The search


def levels_until(capacity: int, ladder: ByConcurrency | ByRate | None = None) -> list[int]:
    """The levels that are measured on a server whose every request tells, up to this level."""
    tried: dict[int, Tried] = {}
    asked = []
    while (level := edge(tried, ladder or ByConcurrency(), 0.95).following) is not None:
        asked.append(level)
        counts = [*(tried[level].counts if level in tried else []), ALL if level <= capacity else NONE]
        tried[level] = Tried(counts)
    found = edge(tried, ladder or ByConcurrency(), 0.95)
    assert (found.passes, found.fails) == (capacity, capacity + 1)
    return asked


def test_it_doubles_then_bisects_then_confirms_the_edge() -> None:
    assert levels_until(10) == [1, 2, 4, 8, 16, 12, 10, 11, 10, 10]


def test_a_rate_may_go_down_as_well_as_up() -> None:
    asked = levels_until(-6, ByRate(256))

    assert asked[:6] == [0, -4, -8, -6, -5, -6]
    assert [ByRate.level_of(ByRate(256).value(level)) for level in range(-32, 41)] == list(range(-32, 41))


def test_what_seemed_to_pass_by_chance_moves_the_edge_back() -> None:
    lucky = Tried([(20, 20), (30, 40), (30, 40)])
    found = edge({4: SURE, 8: lucky, 9: FAILS}, ByConcurrency(), 0.95)

    assert (found.passes, found.fails, found.following) == (4, 8, 6)


def test_a_load_above_one_that_fails_is_told_and_not_taken() -> None:
    found = edge({1: SURE, 2: FAILS, 4: SURE}, ByConcurrency(), 0.95)

    assert (found.passes, found.fails, found.following, found.above) == (1, 2, None, [4])


def test_a_server_that_falls_behind_fails_however_many_kept_the_limit() -> None:
    behind = Tried([ALL] * 3, overloaded=True)

    assert not behind.passes(0.95)
    assert behind.is_sure(0.95)


def test_no_load_passes_and_no_load_fails() -> None:
    assert edge({1: FAILS}, ByConcurrency(), 0.95).passes is None
    assert edge({1: FAILS}, ByConcurrency(), 0.95).following is None
    top = edge({4096: SURE}, ByConcurrency(), 0.95)
    assert (top.passes, top.fails, top.following) == (4096, None, None)


def test_a_load_gets_no_more_blocks_than_its_interval_allows_for() -> None:
    undecided = Tried([(38, 40)] * 12)

    assert not undecided.is_sure(0.95)
    assert edge({1: undecided, 2: FAILS}, ByConcurrency(), 0.95).following is None


# Its blocks


def searching(tried: dict[str, dict[int, Tried]], seconds: float = 1000.0) -> CapacitySearch:
    limit = MaxDuration(seconds)
    return CapacitySearch(
        Profile(), list(tried), ByConcurrency(), 0.95, lambda name: tried[name], limit, lambda words: None
    )


def test_two_targets_take_turns_and_each_has_its_own_search() -> None:
    tried: dict[str, dict[int, Tried]] = {"a": {}, "b": {}}
    search, history, order = searching(tried), History(), []
    for _ in range(6):
        segment = search.next(history)
        assert segment is not None
        order.append((segment.target, segment.load_point.slots))
        tried[segment.target][segment.load_point.slots] = SURE if segment.target == "a" else FAILS
        history.add(segment, 1.0)

    assert order[:4] == [("a", 1), ("b", 1), ("a", 2), ("a", 4)]


def test_a_block_of_a_load_has_a_number_of_its_own_and_warms_up_once() -> None:
    tried: dict[str, dict[int, Tried]] = {"a": {1: Tried([ALL]), 2: FAILS}}
    search, history = searching(tried), History()
    blocks = []
    for _ in range(2):
        segment = search.next(history)
        assert segment is not None
        blocks.append((segment.load_point.slots, segment.block, segment.warmup, segment.requests, segment.offset))
        history.add(segment, 1.0)

    assert blocks == [(1, 0, 1, 20, 0), (1, 1, 0, 20, 20)]


def test_nothing_begins_that_has_no_time_and_an_aborted_target_gets_no_more() -> None:
    assert searching({"a": {}}, seconds=0.5).next(History()) is None
    assert searching({"a": {}}).next(History(aborted={"a": Stop("errors", "all failed")})) is None
    segment = searching({"a": {}}, seconds=60).next(History())
    assert segment is not None
    assert segment.duration is not None
    assert segment.duration < 60


# On the simulator


@pytest.fixture(scope="module")
def two() -> Iterator[SimProcess]:
    """Two slots, and no queue behind them: whoever comes third is refused."""
    with start(serving(2)) as sim:
        yield sim


def serving(slots: int) -> SimSettings:
    return SimSettings(ttft_ms=10.0, step_ms=10.0, prefill_tok_s=None, slots=slots, queue_limit=0)


def found(*arguments: Any, exit_code: int = 0) -> dict[str, Any]:
    result = lmx_loadgen("capacity", *FLAGS, "--slo-ttft", "10s", "--json", *arguments)
    assert result.exit_code == exit_code, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_a_server_of_two_slots_serves_two(two: SimProcess, tmp_path: Path) -> None:
    document = found("-t", f"sim={two.url}", "--out", tmp_path, "--by", "users", "--within", "2m")
    capacity = document["capacity"]
    stored = read_result(Path(document["folder"]))

    assert (capacity["value"], capacity["passes"], capacity["fails"]) == (2, 2, 3)
    assert (capacity["confidence"], capacity["range95"]) == (0.95, [2, 3])
    assert capacity["limit_broken"] == "errors"
    assert [point["load"] for point in capacity["points"]] == sorted(point["load"] for point in capacity["points"])
    assert capacity["finished"]
    words = "sim serves 2 users without time to think (2 passes, 3 fails; 95 % confidence)"
    assert capacity["sentence"] == words
    assert (stored.comparisons, stored.targets[0].capacity) == ([], CapacityResult.model_validate(capacity))
    assert lmx_loadgen("recompute", document["folder"]).exit_code == 0
    assert read_result(Path(document["folder"])).targets[0].capacity == stored.targets[0].capacity


def test_the_time_is_kept_and_the_range_is_what_was_found_until_then(two: SimProcess, tmp_path: Path) -> None:
    began = time.monotonic()
    document = found("-t", f"sim={two.url}", "--out", tmp_path, "--within", "3s", exit_code=41)

    assert time.monotonic() - began < 3 + 10
    assert not document["capacity"]["finished"]
    assert document["capacity"]["confidence"] is None
    assert document["capacity"]["sentence"].endswith("; the time was up)")


def test_where_not_even_one_request_keeps_the_limit(two: SimProcess, tmp_path: Path) -> None:
    document = found("-t", f"sim={two.url}", "--slo-ttft", "1ms", "--out", tmp_path, exit_code=40)

    assert (document["capacity"]["value"], document["capacity"]["fails"]) == (None, 1)
    assert document["capacity"]["sentence"] == "sim does not serve 1 concurrent request (1 fails; 95 % confidence)"


def test_the_calibration_before_a_search_is_no_search(two: SimProcess) -> None:
    profile = Profile(targets=[TargetSpec(name="sim", url=two.url)], load=Load(requests=2, warmup=0))
    log = measure(Options(capacity="concurrency", probe=False), StopFlag())(profile)

    assert [line["phase"] for line in log.segments] == ["load"]
    assert [line["outcome"] for line in log.requests] == ["ok", "ok"]


def test_a_search_that_was_killed_is_resumed_and_finds_the_same(two: SimProcess, tmp_path: Path) -> None:
    flags = ("-t", f"sim={two.url}", "--slo-ttft", "10s", "--within", "3m", "--out", str(tmp_path))
    command = [sys.executable, "-m", "lmx_loadgen", "capacity", *FLAGS, *flags, "--quiet"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while _segments(tmp_path) < 3:
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (folder,) = tmp_path.iterdir()
    resumed = lmx_loadgen("capacity", "--resume", folder, "--json")
    assert resumed.exit_code == 0, resumed.output
    capacity = json.loads(resumed.stdout)["capacity"]

    assert (capacity["value"], capacity["fails"], capacity["finished"]) == (2, 3, True)
    assert len(read_log(folder / "events.jsonl").resumes) == 1


def _segments(out: Path) -> int:
    """How many segments have ended of the only run there is."""
    return sum(line.startswith('{"type":"segment"') for log in out.glob("*/events.jsonl") for line in _lines(log))


def _lines(log: Path) -> list[str]:
    return log.read_text("utf-8").splitlines()


def test_without_a_limit_there_is_nothing_to_search_for(tmp_path: Path) -> None:
    words = sentence_of(lmx_loadgen("capacity", "-t", "sim", "--out", tmp_path))

    assert words == "capacity needs a limit that requests must keep: --slo-ttft 2s, --slo-tpot 100ms or --slo-e2e"
