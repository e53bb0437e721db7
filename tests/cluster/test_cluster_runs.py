"""Runs that several nodes measure: real raylets on this machine, each but the first with a clock of its own.

All in one file, so that one process starts the cluster for all of them.
"""

import os
import secrets
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from lmx_loadgen import __version__
from lmx_loadgen.cluster.connection import connected
from lmx_loadgen.load.arrivals import drawn
from lmx_loadgen.session.instrument import instrument
from lmx_loadgen.session.options import Options
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import read_truth
from lmx_loadgen.store.calibration import Calibration, store
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.result import RunResult, read_result
from lmx_loadgen.system import folders, identity, lock
from tests.docs.pages import commands
from tests.helpers.cli import lmx_loadgen, sentence_of
from tests.helpers.cluster import LocalCluster, nodes_up
from tests.helpers.make_runs import calibration

KEY = "sk-sesame-opens-the-mountain-41"
FAST = SimSettings(ttft_ms=10.0, step_ms=2.0, prefill_tok_s=None, engine="independent", api_key=KEY)
QUICK = ("--max-tokens", "6", "--no-calibrate", "--no-stability", "--seed", "7")
RUN_ID = "c0ffee00"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SimProcess]]:
    """Two that want a key, the first of which logs the truth."""
    log = tmp_path_factory.mktemp("truth") / "truth.jsonl"
    with start(replace(FAST, log=str(log))) as first, start(FAST) as second:
        yield [first, second]


@pytest.fixture(autouse=True)
def same_nonces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs have one name, which their nonces are made of, and the key of the servers."""
    monkeypatch.setattr(secrets, "token_hex", lambda size: RUN_ID)
    for name in ("BOX_API_KEY", "OTHER_API_KEY"):
        monkeypatch.setenv(name, KEY)


def measured(out: Path, *flags: object) -> tuple[LogContents, RunResult, str]:
    done = lmx_loadgen("run", *QUICK, *flags, "--out", out)
    assert done.exit_code == 0, done.output
    (folder,) = out.iterdir()
    return read_log(folder / "events.jsonl"), read_result(folder), done.output


def sent(log: LogContents) -> list[tuple[Any, ...]]:
    """What was sent, by whom and when that may be: which slot is free first is chance."""
    fields = ("target", "block", "phase", "number", "prompt_id", "nonce", "max_tokens")
    return sorted(tuple(line[name] for name in fields) for line in log.requests)


def of_load(log: LogContents) -> list[dict[str, Any]]:
    return [dict(line) for line in log.requests if line["phase"] == "measured"]


def test_two_nodes_send_what_one_machine_sends_and_place_it_on_one_clock(
    cluster: LocalCluster, sims: list[SimProcess], tmp_path: Path
) -> None:
    load = ("-t", f"box={sims[0].url}", "-c", "6", "-n", "30", "--warmup", "1")
    log, result, said = measured(tmp_path / "two", *load, "--cluster", cluster.address, "--nodes", "2")
    alone, *_ = measured(tmp_path / "alone", *load, "--workers", "2")

    assert sent(log) == sent(alone)
    assert {line["outcome"] for line in log.requests} == {"ok"}
    assert Counter(line["node"] for line in of_load(log)) == dict.fromkeys((node.name for node in result.nodes), 15)
    assert "measured by 2 nodes on 1 machine; their clocks are known to" in " ".join(said.split())
    assert all("node" not in line for line in alone.requests)
    # The simulator is on the run's clock: no request reached it before it was sent, nor long after.
    sims[0].flush()
    assert sims[0].log_path is not None
    truth = read_truth(sims[0].log_path)
    bound_ns = max(node["bound_ns"] + abs(node["drift_ns"]) for line in log.segments for node in line["nodes"])
    for line in log.requests:
        assert -bound_ns <= truth[line["response_id"]].received_ns - line["send_ns"] < 1_000_000_000
    offsets = {node["offset_ns"] // 1_000_000_000 for line in log.segments for node in line["nodes"]}
    assert (len(offsets) > 1) == cluster.has_own_clocks


def test_an_open_loop_on_four_nodes_is_one_poisson_process(
    cluster: LocalCluster, sims: list[SimProcess], tmp_path: Path
) -> None:
    load = ("-t", f"box={sims[0].url}", "--rate", "60", "-n", "180", "--warmup", "0")
    log, result, _ = measured(tmp_path, *load, "--cluster", cluster.address)
    (segment,) = (line for line in log.segments if line["phase"] == "load")
    due = {line["number"]: line["intended_ns"] - segment["start_ns"] for line in of_load(log)}

    assert due == dict(enumerate(drawn(60.0, "poisson", "7/60 req/s/0", requests=180, duration_ns=None).offsets_ns))
    assert Counter(line["node"] for line in of_load(log)) == dict.fromkeys((node.name for node in result.nodes), 45)
    sends = sorted(line["send_ns"] for line in of_load(log))
    gaps = [(later - early) / 1e9 for early, later in pairwise(sends)]
    assert stats.kstest(gaps, stats.expon(scale=1 / 60).cdf).pvalue > 0.001
    (level,) = result.targets[0].levels
    assert level.open_loop is not None
    assert level.open_loop.due == level.requests.ok == 180


def test_a_head_to_head_on_two_nodes_has_its_verdicts(
    cluster: LocalCluster, sims: list[SimProcess], tmp_path: Path
) -> None:
    """Its prompt is longer than what Ray passes on in one piece."""
    pair = ("-t", f"box={sims[0].url}", "-t", f"other={sims[1].url}", "--blocks", "2", "--pause", "0")
    load = (*pair, "-c", "4", "-n", "16", "--warmup", "0", "--prompt", "Tell me. " * 20_000)
    log, result, _ = measured(tmp_path, *load, "--cluster", cluster.address, "--nodes", "2")
    of_target = {
        name: sorted(
            (line["block"], line["number"], line["prompt_id"]) for line in of_load(log) if line["target"] == name
        )
        for name in ("box", "other")
    }

    assert result.complete
    assert of_target["box"] == of_target["other"]
    assert {block for block, *_ in of_target["box"]} == {0, 1}
    (comparison,) = result.comparisons
    assert {line.key: line.status for line in comparison.audit}["output_length"] == "passed"
    assert comparison.levels[0].metrics


def test_a_file_that_ray_writes_holds_no_key_and_no_text(cluster: LocalCluster) -> None:
    """After runs whose key went to the nodes, and whose answers came back from there."""
    files = [path for path in cluster.folder.rglob("*") if path.is_file()]
    read = {path: path.read_bytes() for path in files}

    assert sum(map(len, read.values())) > 10_000
    assert [path for path, data in read.items() if KEY.encode() in data or RUN_ID.encode() in data] == []


def test_every_command_of_the_page_runs_and_each_node_has_its_calibration(
    cluster: LocalCluster, sims: list[SimProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is stored on its machine."""
    monkeypatch.setenv("LMX_SIM_API_KEY", KEY)
    _, stamps = instrument(Options())
    known = Calibration.model_validate(
        calibration() | {"tool_version": __version__, "host": identity.machine_id(), "stamps": stamps.value}
    )
    store(folders.calibration_folder(), known)
    ran = 0
    for command in commands("cluster.md"):
        words = command.split()
        if "--cluster" not in words:
            continue
        words[words.index("--cluster") + 1] = cluster.address
        words[words.index("sim")] = f"sim={sims[1].url}"
        done = lmx_loadgen(*words[1:], "--max-tokens", "4", "--no-stability", "--out", tmp_path / f"{ran}")
        assert done.exit_code == 0, done.output
        ran += 1

    assert ran == 2
    (folder,) = (tmp_path / "0").iterdir()
    header, result = read_log(folder / "events.jsonl").header, read_result(folder)
    assert [node.calibrated for node in result.nodes] == [True] * 4
    assert [node["calibration"]["created_at"] for node in header["nodes"]] == [known.created_at] * 4
    # All four are on one machine, which was calibrated as one.
    assert [level["concurrency"] for level in header["instrument"]["calibration"]["levels"]] == [
        level.concurrency for level in known.levels
    ]
    assert result.targets[0].levels[0].metrics["ttft"].instrument_error is not None


def test_a_signal_is_for_the_run_alone_and_other_runs_see_that_a_node_measures(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ray's own handler prints a stack. The nodes have the folder of locks that this process had when they began."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with connected(cluster.address, 1, lambda: None) as (node,):
            os.kill(os.getpid(), signal.SIGTERM)
            assert node.ray.get(node.actor.take_lock.remote()) is None
            with lock.acquire(allow_concurrent=True) as mine:
                assert mine.held_by is not None
    finally:
        signal.signal(signal.SIGTERM, before)

    assert heard == [signal.SIGTERM]
    assert capfd.readouterr().err == ""


def test_a_cluster_with_fewer_nodes_than_asked_for_is_refused(cluster: LocalCluster, tmp_path: Path) -> None:
    done = lmx_loadgen("run", "-t", "sim", "--cluster", cluster.address, "--nodes", "9", "--out", tmp_path)

    assert done.exit_code == 2
    assert sentence_of(done).startswith(f"--nodes 9: the cluster at {cluster.address} has 4 nodes; start more with")


def test_a_node_that_dies_is_named_and_the_run_is_resumed(
    cluster: LocalCluster, sims: list[SimProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at once with all that runs on it, once requests of the level have ended."""
    from lmx_loadgen.report.progress import ProgressView

    ended = Counter[str]()

    def killing(self: ProgressView, ok: bool, *figures: object) -> None:
        ended["requests"] += 1
        if ended["requests"] == 12:
            cluster.kill(-1)

    monkeypatch.setattr(ProgressView, "finished", killing)  # called on this machine, as requests are told of
    load = ("-t", f"box={sims[0].url}", "-c", "4", "--duration", "4s", "--warmup", "0")
    done = lmx_loadgen("run", *QUICK, *load, "--quiet", "--cluster", cluster.address, "--out", tmp_path)
    (folder,) = tmp_path.iterdir()
    log, cut = read_log(folder / "events.jsonl"), read_result(folder)

    assert done.exit_code == 1
    said = sentence_of(done)
    (lost,) = [node.name for node in cut.nodes if said.startswith(f"{node.name} was lost: ")]
    assert f"lmx-loadgen run --resume {folder}" in said
    assert not cut.complete
    (level,) = cut.targets[0].levels
    assert not level.complete
    assert [note for note in level.notes if note.startswith(f"stopped early: {lost} was lost")]
    assert {line["node"] for line in log.requests if line["outcome"] == "ok"} == {n.name for n in cut.nodes} - {lost}
    assert log.segments[0]["stop_kind"] == "node"

    monkeypatch.undo()
    monkeypatch.setenv("BOX_API_KEY", KEY)
    cluster.add()
    nodes_up(cluster, 5)
    resumed = lmx_loadgen("run", "--resume", folder)
    whole = read_result(folder)

    assert resumed.exit_code == 0, resumed.output
    assert whole.complete
    assert [(level.complete, level.requests.failed) for level in whole.targets[0].levels] == [(True, 0)]
    assert {line["node"] for line in of_load(read_log(folder / "events.jsonl"))} == {node.name for node in whole.nodes}
