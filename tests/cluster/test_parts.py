"""The parts of a cluster that need none: clocks, what is moved by them, versions, calibrations, and what is refused."""

import copy
import sys
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen import __version__
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.cluster.clock import ClockReading, read_clock
from lmx_loadgen.cluster.connection import Node
from lmx_loadgen.cluster.facts import NodeFacts, facts_here
from lmx_loadgen.cluster.shift import shifted_end, shifted_request
from lmx_loadgen.cluster.spill import Spill
from lmx_loadgen.cluster.versions import check_versions
from lmx_loadgen.errors import InputError, NotResumable
from lmx_loadgen.load.messages import FinishedRequest, SegmentEnd, Unpacker
from lmx_loadgen.report.nodes import nodes_line
from lmx_loadgen.session.node_calibration import worst_of
from lmx_loadgen.session.resume import ResumeState
from lmx_loadgen.session.workers import check_reachable
from lmx_loadgen.store.calibration import CalibratedLevel, Calibration, SpreadResult
from lmx_loadgen.wire.timing import RequestTiming
from tests.helpers.cli import lmx_loadgen, sentence_of
from tests.helpers.made_lines import made_log, segment_line
from tests.helpers.pipeline import target_at

MS = 1_000_000


class Wire:
    """A node `ahead` of this machine, over a network that takes each of these times there and back, in turn."""

    def __init__(self, ahead: int, *trips: tuple[int, int]) -> None:
        self.now, self._ahead, self._trips = 5_000 * MS, ahead, list(trips)

    def ask(self) -> int:
        there, back = self._trips.pop(0)
        self.now += there
        said = self.now + self._ahead
        self.now += back
        return said

    def read(self) -> ClockReading:
        return read_clock(self.ask, len(self._trips), lambda: self.now)


def test_an_offset_is_that_of_the_quickest_round_trip_and_within_its_bound() -> None:
    ahead = 70_000_000 * MS
    found = Wire(ahead, (9 * MS, MS), (2 * MS, MS), (MS, 8 * MS)).read()

    assert found.bound_ns == 1_500_000
    assert found.offset_ns == ahead + 500_000
    assert abs(found.offset_ns - ahead) <= found.bound_ns


def test_clocks_that_may_be_one_are_one() -> None:
    assert Wire(0, (MS, 3 * MS)).read() == ClockReading(0, 2 * MS)


def finished() -> FinishedRequest:
    timing = RequestTiming(1, 2, 10, 20, 90, 30, 200, [(b"a", b"b")], bytearray(b"xyz"), array("q", [30, 60]))
    return FinishedRequest("s", 0, 3, "measured", False, 0, "n", 9, timing, 5, [(11, 4)])


def test_all_times_of_a_request_move_together() -> None:
    before, moved = finished(), shifted_request(copy.deepcopy(finished()), 1_000, "node 1")
    times = ("connect_start_ns", "connect_end_ns", "send_ns", "headers_ns", "first_text_ns", "end_ns")

    for name in times:
        assert getattr(moved.timing, name) == getattr(before.timing, name) + 1_000
    assert list(moved.timing.arrival_ns) == [1_030, 1_060]
    assert (moved.intended_ns, moved.stalls, moved.lag_ns) == (1_009, [(1_011, 4)], 5)
    assert moved.node == "node 1"
    assert shifted_request(copy.deepcopy(moved), -1_000, "node 1") == replace(before, node="node 1")


def test_the_marks_of_a_segment_move_and_what_is_missing_stays_so() -> None:
    end = SegmentEnd("s", 10, None, 30, 40, None, 0.5, 0.1, 1, 7)

    assert shifted_end(end, -10) == replace(end, start_ns=0, drain_start_ns=20, end_ns=30)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_what_is_kept_comes_back_in_whatever_pieces(size: int) -> None:
    spill, unpacker = Spill(), Unpacker()
    spill.keep("of the segment before")
    spill.begin()
    for number in range(20):
        spill.keep(replace(finished(), number=number))
    pieces = [spill.piece(start, size) for start in range(0, spill.size, size)]
    spill.close()

    found = [message for piece in pieces for message in unpacker.messages(piece)]
    assert [one.number for one in found] == list(range(20))
    assert found[4] == replace(finished(), number=4)


def test_nobody_can_open_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spill = Spill()
    spill.keep(finished())

    assert spill.size > 0
    assert list(tmp_path.iterdir()) == []
    spill.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"tool_version": "0.0.9"},
            f"node 2 has lmx-loadgen 0.0.9, and this machine has {__version__}: install the same",
        ),
        ({"python": "3.9.2"}, "node 2 has Python 3.9, and this machine has 3."),
    ],
)
def test_nodes_of_several_versions_are_refused(changes: dict[str, str], words: str) -> None:
    facts: Callable[..., NodeFacts] = facts_here
    check_versions({"node 1": facts()})
    with pytest.raises(InputError) as refused:
        check_versions({"node 1": facts(), "node 2": replace(facts(), **changes)})  # type: ignore[arg-type]

    assert str(refused.value).startswith(words)


def level(concurrency: int, error: float, chunk_rate: float) -> CalibratedLevel:
    spreads: dict[str, Any] = dict.fromkeys(
        ("send", "receive", "ttft", "chunk", "gap", "stall", "tpot"),
        SpreadResult(p50=error, p99=2 * error, max=3 * error),
    )
    return CalibratedLevel(
        concurrency=concurrency,
        requests=100,
        failed=0,
        tokens=16,
        chunks=1600,
        chunk_rate=chunk_rate,
        cpu_s_per_1000_chunks=0.1,
        peak_rss_mb=40.0,
        **spreads,
    )


def calibration(*levels: CalibratedLevel, busy: str | None = None) -> Calibration:
    about: dict[str, Any] = {
        "tool_version": __version__,
        "host": "a",
        "created_at": "2026-11-26T12:00:00Z",
        "quick": True,
    }
    about |= {"loop": "uvloop", "stamps": "kernel", "workers": 1, "machine": {}, "versions": {}}
    rates = {"burst_chunks_per_s": 90_000.0, "sustained_chunks_per_s": 9_000.0}
    return Calibration(**about, **rates, busy=busy is not None, busy_reason=busy, levels=list(levels))


def test_a_cluster_is_as_wrong_as_the_worst_of_its_nodes() -> None:
    quick = calibration(level(1, 0.001, 50.0), level(16, 0.002, 800.0), level(64, 0.004, 3_200.0))
    slow = calibration(level(1, 0.0005, 40.0), level(16, 0.009, 700.0), busy="load average 2.0 on 2 cores")
    found = worst_of([quick, slow], times=2)

    assert [one.concurrency for one in found.levels] == [2, 32]
    assert [one.ttft.p99 for one in found.levels] == [0.002, 0.018]
    assert [one.chunk_rate for one in found.levels] == [80.0, 1_400.0]
    assert (found.workers, found.busy_reason) == (2, "load average 2.0 on 2 cores")
    # Three requests on two nodes: one of them has two, which is more than each was calibrated for at the first level.
    assert found.at(3, None)[0].concurrency == 32


def marks(node: str, bound_ms: float, drift_ms: float | None) -> dict[str, Any]:
    about = {"node": node, "requests": 5, "offset_ns": 9 * MS, "cpu_share": 0.25, "lag_max_ns": 2 * MS}
    drift = {"drift_ns": None if drift_ms is None else int(drift_ms * MS), "drift_bound_ns": None}
    return {**about, "bound_ns": int(bound_ms * MS), **drift}


def test_a_result_has_the_worst_of_each_node_and_a_line_on_all() -> None:
    about = {"versions": {}, "tool_version": __version__, "most_connections": 900}
    names = {"node 1": {"created_at": "2026"}, "node 2": None}
    nodes = [{"name": name, "host": {"machine_id": name}, "calibration": one, **about} for name, one in names.items()]
    first = segment_line(0, 1000, 2000) | {"nodes": [marks("node 1", 0.3, -0.5), marks("node 2", 0.2, 0.1)]}
    second = segment_line(0, 3000, 4000) | {
        "block": 1,
        "nodes": [marks("node 1", 0.4, None), marks("node 2", 0.1, 0.1)],
    }
    result = summarize(MeasuredRun(made_log([], [first, second], blocks=2, nodes=nodes)))

    one, other = result.nodes
    assert (one.requests, one.calibrated, one.clock_bound_s, one.clock_drift_s) == (10, True, 0.0004, 0.0005)
    assert (other.calibrated, other.clock_bound_s, other.lag_max_s, other.cpu_share) == (False, 0.0002, 0.002, 0.25)
    assert nodes_line(result) == (
        "measured by 2 nodes on 2 machines; their clocks are known to 0.9 ms, and no latency is of two"
    )
    assert nodes_line(summarize(MeasuredRun(made_log([])))) is None


def test_a_server_at_this_machine_s_own_address_is_refused_where_nodes_are_other_machines() -> None:
    here, elsewhere = facts_here(), replace(facts_here(), host={"machine_id": "0123abcd"})
    nodes = [Node("node 1 (10.0.0.1)", None, None, here), Node("node 2 (10.0.0.2)", None, None, elsewhere)]
    near, far = (target_at(f"http://{host}:8000/v1") for host in ("127.0.0.1", "10.0.0.9"))

    check_reachable([near, far], nodes[:1])
    check_reachable([far], nodes)
    with pytest.raises(
        InputError, match=r"127\.0\.0\.1:8000/v1 is this machine's own address, and node 2 \(10\.0\.0\.2\)"
    ):
        check_reachable([far, near], nodes)


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (
            ["a", "b"],
            ["b", "c"],
            "what measured was a cluster of the machines a, b and is a cluster of the machines b, c",
        ),
        ([], ["a"], "what measured was this machine alone and is a cluster of the machines a now"),
        (["a"], [], "what measured was a cluster of the machines a and is this machine alone now"),
    ],
)
def test_a_run_is_resumed_by_the_machines_that_began_it(before: list[str], now: list[str], words: str) -> None:
    begun = ResumeState(Path("run"), made_log([], nodes=[{"host": {"machine_id": name}} for name in before]))
    with pytest.raises(NotResumable, match=words):
        begun.refuse_if_changed([], {}, now)


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--cluster", "nowhere"), 2, "--cluster nowhere: give auto, HOST:PORT or ray://HOST:PORT"),
        (
            ("--cluster", "http://127.0.0.1:1"),
            2,
            "--cluster http://127.0.0.1:1: give auto, HOST:PORT or ray://HOST:PORT",
        ),
        (("--nodes", "2"), 2, "--nodes needs a cluster: give --cluster"),
        (("--cluster", "auto", "--workers", "2"), 2, "--cluster and --workers do not go together"),
    ],
)
def test_flags_that_make_no_cluster_are_refused(flags: tuple[str, ...], code: int, words: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    done = lmx_loadgen("run", "-t", "sim", *flags, "--out", tmp_path)

    assert done.exit_code == code
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_address_where_nothing_listens_is_named(unused_port: int, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    address = f"127.0.0.1:{unused_port}"
    done = lmx_loadgen("run", "-t", "sim", "--cluster", address, "--out", tmp_path)

    assert done.exit_code == 10
    assert sentence_of(done).startswith(
        f"--cluster {address}: nothing answers there (Connection refused); start Ray with"
    )


def test_without_ray_one_sentence_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = lmx_loadgen("run", "-t", "sim", "--cluster", "auto", "--out", tmp_path)

    assert done.exit_code == 2
    assert sentence_of(done) == "--cluster needs Ray: pip install 'lmx-loadgen[cluster]'"
