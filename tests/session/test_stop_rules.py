"""When a level is given up, and that a server in trouble is not made worse by the tool."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.errors import LoadgenError
from lmx_loadgen.load import driver
from lmx_loadgen.load.backoff import backoff_s
from lmx_loadgen.load.driver import WorkerDied
from lmx_loadgen.profile.load_point import ALONE, Closed
from lmx_loadgen.profile.models import Load, Profile, Timeouts
from lmx_loadgen.session.asked_profile import asked_profile
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.stop_rules import ErrorLimits, MaxDuration, Silence, StopRules
from lmx_loadgen.session.view import Silent
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import read_result
from lmx_loadgen.store.segment_key import SegmentKey
from lmx_loadgen.wire.timing import RequestTiming
from tests.helpers.cli import lmx_loadgen
from tests.helpers.paths import ROOT
from tests.helpers.pipeline import Pipeline, pipeline, target_at
from tests.helpers.snapshots import numbers_in

# Limits that a busy machine could reach for a server. The other tests wait for what is sure to come, or count what a
# level sends at most: a busy machine sends less.
on_time = pytest.mark.timing


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    with start(SimSettings(ttft_ms=2.0, step_ms=1.0, prefill_tok_s=None, fault_after=0, fault_seconds=60.0)) as running:
        yield running


@pytest.fixture
def tool(tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(tmp_path) as running:
        yield running


# Too many errors


def seen(limits: ErrorLimits, outcomes: str) -> str | None:
    for letter in outcomes:
        limits.note_outcome({"+": "ok", "-": "reset", "x": "cancelled"}[letter], "gone." if letter == "-" else None)
    assert limits.stop is None or limits.stop.kind == "errors"
    return None if limits.stop is None else limits.stop.message


@pytest.mark.parametrize(
    ("limits", "outcomes", "reason"),
    [
        ((None, None), "-" * 100, None),
        ((3, None), "+-+-xx+", None),
        ((3, None), "+-+-+-", "3 requests failed (--max-errors 3), the last one: gone"),
        ((1, None), "-", "1 request failed (--max-errors 1), the last one: gone"),
        ((None, 0.5), "-" * 9 + "x", None),
        ((None, 0.5), "-" * 10, "100% of the last 10 requests failed (--max-error-rate 50%), the last one: gone"),
        ((None, 0.5), "+-" * 30, None),
        ((None, 0.5), "+" * 1000 + "-" * 10, None),
        ((None, 0.5), "+" * 1000 + "-" * 11, "55% of the last 20 requests failed (--max-error-rate 50%), the last one"),
        ((None, 0.0), "+" * 19 + "-", "5% of the last 20 requests failed (--max-error-rate 0%)"),
    ],
)
def test_when_errors_are_too_many(limits: tuple[Any, Any], outcomes: str, reason: str | None) -> None:
    found = seen(ErrorLimits(*limits), outcomes)

    assert found is None if reason is None else found is not None and found.startswith(reason)


def test_errors_count_for_a_level_of_a_target_over_all_its_blocks() -> None:
    rules = StopRules(Profile(load=Load(max_errors=3)))
    two = Closed(concurrency=2)
    for target, point, outcomes in (("a", ALONE, "--"), ("b", ALONE, "--"), ("a", two, "--"), ("b", ALONE, "+")):
        assert seen(rules.of_segment(SegmentKey(target, point, 0)).errors, outcomes) is None
    assert seen(rules.of_segment(SegmentKey("a", ALONE, 1)).errors, "-") is not None
    assert rules.of_segment(SegmentKey("b", two, 0)).stop is None


def test_a_probe_may_fail_as_often_as_it_does() -> None:
    rules = StopRules(Profile(load=Load(max_errors=1))).of_segment(SegmentKey("a", ALONE, 0, "probe"))

    assert seen(rules.errors, "---") is None


def test_a_level_ends_at_its_most_errors(sim: SimProcess, tool: Pipeline) -> None:
    failing = target_at(sim.base_url, {"X-Sim": "http_500"})
    log = tool.record(failing, concurrency=[4], requests=200, max_errors=6)
    outcomes = [line["outcome"] for line in log.requests]

    assert numbers_in(log.segments[0]["stopped"])[:3] == [6, 6, 500]
    # Those in flight when the sixth failed may still fail, or are cancelled.
    assert 6 <= outcomes.count("http_error") <= 6 + 3
    assert set(outcomes) <= {"http_error", "cancelled"}
    assert {line["reason"] for line in log.requests if line["outcome"] == "cancelled"} <= {log.segments[0]["stopped"]}


def test_warm_ups_that_fail_end_a_level_too(sim: SimProcess, tool: Pipeline) -> None:
    failing = target_at(sim.base_url, {"X-Sim": "http_500"})
    log = tool.record(failing, concurrency=[4], requests=200, warmup=1, max_errors=4)

    assert log.segments[0]["stopped"] is not None
    assert {line["phase"] for line in log.requests} == {"warmup"}


FEW = ("-c", "1,2", "--blocks", "2", "-n", "8", "--pause", "0", "--max-tokens", "4", "--warmup", "0", "--no-calibrate")


@pytest.mark.slow
def test_a_target_that_is_given_up_is_left_alone_and_the_others_go_on(sim: SimProcess, tmp_path: Path) -> None:
    with start(SimSettings(ttft_ms=2.0, step_ms=1.0, prefill_tok_s=None, faults={"http_500": 1.0})) as bad:
        targets = ["-t", f"bad={bad.url}", "-t", f"good={sim.url}"]
        out = ["--max-errors", "3", "--json", "--out", str(tmp_path)]
        done = lmx_loadgen("run", *targets, *FEW, *out)
    (folder,) = tmp_path.iterdir()
    result, log = read_result(folder), read_log(folder / "events.jsonl")
    bad_levels, good_levels = (target.levels for target in result.targets)

    assert done.exit_code == 21, done.output
    assert result.reason is not None
    assert result.reason.startswith("bad ")
    assert numbers_in(result.reason) == [1, 3, 3, 500]  # the level, the errors, their limit, the status
    assert done.stderr.startswith(f"Error: {result.reason}")
    assert str(folder) in done.stderr.replace("\n", "")
    assert json.loads(done.stdout)["complete"] is False
    assert [level.concurrency for level in bad_levels] == [1]
    assert not bad_levels[0].complete
    assert any("--max-errors 3" in note for note in bad_levels[0].notes)
    assert [line["target"] for line in log.segments].count("bad") == 1
    assert [(level.concurrency, level.complete, level.requests.failed) for level in good_levels] == [
        (1, True, 0),
        (2, True, 0),
    ]
    for command in (["plot", str(folder), "--no-open", "--output", str(tmp_path / "p.html")], ["compare", str(folder)]):
        shown = lmx_loadgen(*command)
        assert not shown.exception or isinstance(shown.exception, SystemExit), shown.exception


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--max-errors", "0"], "--max-errors: "),
        (["--max-error-rate", "lots"], "--max-error-rate: must be a share like 0.2 or 20%"),
        (["--max-error-rate", "100%"], "--max-error-rate: "),
        (["--no-progress-timeout", "0"], "--no-progress-timeout: "),
    ],
)
def test_limits_that_make_no_sense(flags: list[str], words: str, tmp_path: Path) -> None:
    refused = lmx_loadgen("run", *flags, "--out", str(tmp_path))

    assert refused.exit_code == 2
    assert words in refused.stderr


# No progress


@pytest.mark.parametrize(
    ("timeouts", "seconds"),
    [
        ({}, 301),  # the first token may take five minutes
        ({"first_token": 30, "gap": 10}, 120),
        ({"first_token": 1000}, 601),  # no request takes longer than ten minutes
        ({"first_token": 30, "gap": 200}, 201),
        ({"no_progress": 20}, 20),
    ],
)
def test_a_level_may_be_silent_as_long_as_a_request_may(timeouts: dict[str, float], seconds: float) -> None:
    assert Timeouts(**timeouts).longest_silence == seconds


S = 1_000_000_000


def test_silence_is_that_of_all_connections_of_all_workers() -> None:
    silence = Silence(2.0)
    for worker, quiet_ns in ((0, S), (1, 9 * S), (0, 0), (1, 10 * S)):
        silence.note_quiet(worker, quiet_ns)
    assert silence.stop is None
    silence.note_quiet(0, 2 * S)
    assert silence.stop is not None
    assert silence.stop.kind == "silence"


def test_a_worker_that_expects_nothing_is_not_asked_for_silence() -> None:
    silence = Silence(2.0)
    for worker, quiet_ns in ((0, 0), (0, None), (1, S)):
        silence.note_quiet(worker, quiet_ns)
    assert silence.stop is None
    silence.note_quiet(1, 2 * S)
    assert silence.stop is not None


def test_nothing_begins_that_would_end_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    limit = MaxDuration(60, spent_s=20)
    monkeypatch.setattr(time, "monotonic", lambda: 110.0)

    assert limit.has_room_for(30)
    assert not limit.has_room_for(30.1)


@on_time
def test_a_server_that_says_nothing_ends_the_level(sim: SimProcess, tool: Pipeline) -> None:
    silent = target_at(sim.base_url, {"X-Sim": "stall_first_token"})
    # The role event of this dialect comes before the stall; after it there is nothing.
    log = tool.record(silent, {"no_progress": 0.5}, concurrency=[3], requests=30)
    why = "no byte came from the server for 0.5 s (--no-progress-timeout)"

    assert log.segments[0]["stopped"] == why
    assert [(line["outcome"], line["reason"]) for line in log.requests] == [("cancelled", why)] * 3
    assert all(line["end_ns"] - line["send_ns"] >= 450_000_000 for line in log.requests)


@on_time
def test_a_server_that_refuses_connections_ends_the_level(tool: Pipeline, unused_port: int) -> None:
    log = tool.record(target_at(f"http://127.0.0.1:{unused_port}/v1"), {"no_progress": 0.5}, requests=1000)

    assert log.segments[0]["stopped"].startswith("no byte came")
    assert "connect_error" in {line["outcome"] for line in log.requests} <= {"connect_error", "cancelled"}


@on_time
def test_a_server_that_only_pings_is_left_to_the_limits_of_the_request(sim: SimProcess, tool: Pipeline) -> None:
    pinging = target_at(sim.base_url, {"X-Sim": "endless_pings"})
    log = tool.record(pinging, {"no_progress": 0.5, "first_token": 1.5})

    assert log.segments[0]["stopped"] is None
    assert log.requests[0]["outcome"] == "first_token_timeout"


@on_time
def test_the_silence_of_one_segment_is_not_held_against_the_next(sim: SimProcess, tool: Pipeline) -> None:
    tool.record(target_at(sim.base_url), requests=2)
    time.sleep(0.6)  # longer than a level may be silent; nothing is in flight
    log = tool.record(target_at(sim.base_url), {"no_progress": 0.5}, requests=2)

    assert [line["outcome"] for line in log.requests] == ["ok", "ok"]


# A measuring process that is stuck


def test_a_stuck_measuring_process_is_noticed(sim: SimProcess, tool: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_SILENT_WORKER_S", 0.5)
    os.kill(tool.worker.pid, signal.SIGSTOP)
    with pytest.raises(WorkerDied, match=r"did not answer for 0\.5 s and was ended"):
        tool.record(target_at(sim.base_url))


def test_a_stuck_measuring_process_that_reads_nothing_is_noticed(
    sim: SimProcess, tool: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job larger than the pipe holds: writing it would wait for ever."""
    monkeypatch.setattr(driver, "_SILENT_WORKER_S", 0.5)
    os.kill(tool.worker.pid, signal.SIGSTOP)
    with pytest.raises(WorkerDied, match="did not answer"):
        tool.record(target_at(sim.base_url), prompt="x" * 2_000_000)


@pytest.mark.slow
@on_time
def test_what_was_measured_before_the_process_got_stuck_is_stored(
    sim: SimProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_SILENT_WORKER_S", 1.5)
    monkeypatch.setattr(driver, "WORKER", "tests.helpers.stopping_worker")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    overrides = {"load.concurrency": [2], "load.requests": 5000, "load.warmup": 0, "request.max_tokens": 4}
    profile, options = asked_profile(targets=[f"sim={sim.url}"], overrides=overrides), Options(tmp_path, probe=False)
    with pytest.raises(LoadgenError, match=r"did not answer .* what was measured is in"):
        run_blocking(profile, options=options, stop=StopFlag(), base_dir=tmp_path, view=Silent())
    (folder,) = tmp_path.iterdir()
    result, log = read_result(folder), read_log(folder / "events.jsonl")

    assert log.end is not None
    assert not result.complete
    assert result.reason is not None
    assert "did not answer" in result.reason
    assert result.targets[0].levels[0].requests.ok == len(log.requests) > 0


# A server in trouble is not hammered


@contextmanager
def hanging_up() -> Iterator[tuple[str, list[float]]]:
    """Takes every connection and ends it at once; the list has the times."""
    times: list[float] = []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        listener.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                times.append(time.monotonic())
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", times
        finally:
            over.set()
            thread.join()


# Waits of 0.1, 0.2, 0.4, 0.8 s: five requests a slot begin within 1.5 s.
MOST_TRIES = 5


def test_a_dead_server_is_not_hammered(tool: Pipeline) -> None:
    with hanging_up() as (url, times):
        log = tool.record(target_at(url), concurrency=[4], requests=None, duration=1.5)

    assert len(log.requests) <= 4 * MOST_TRIES
    # One connection of each slot is opened ahead of the first request; a request on a connection that the server has
    # closed meanwhile is sent again, once.
    assert len(times) <= 4 * (MOST_TRIES + 2)


@pytest.mark.parametrize(
    "fault", ["http_500", "redirect_302", "garbage_sse", "empty_stream", "no_text", "error_object", "error_event"]
)
def test_a_server_that_fails_at_once_is_not_hammered(fault: str, sim: SimProcess, tool: Pipeline) -> None:
    log = tool.record(target_at(sim.base_url, {"X-Sim": fault}), concurrency=[4], requests=None, duration=1.5)

    assert 4 <= len(log.requests) <= 4 * MOST_TRIES


def test_errors_that_are_told_as_text_are_backed_off_too(tool: Pipeline) -> None:
    with start(SimSettings(dialect="lmx", ttft_ms=1.0, step_ms=1.0, prefill_tok_s=None, fault_after=0)) as lmx:
        target = target_at(lmx.base_url, {"X-Sim": "error_text"}, "lmx")
        log = tool.record(target, concurrency=[4], requests=None, duration=1.5)

    assert {line["outcome"] for line in log.requests} == {"stream_error"}
    assert len(log.requests) <= 4 * MOST_TRIES


def test_answers_are_not_taken_for_errors(sim: SimProcess, tool: Pipeline) -> None:
    """Compressed, or about errors: nothing is waited for."""
    for orders in ({"fault": "gzip_body"}, {"text": ' data: {"error" event: error\n\n[Error: said the author'}):
        log = tool.record(target_at(sim.base_url, {"X-Sim": json.dumps(orders)}), requests=30)

        assert {line["outcome"] for line in log.requests} == {"ok"}
        between = [b["intended_ns"] - a["end_ns"] for a, b in zip(log.requests, log.requests[1:], strict=False)]
        assert max(between) == 0


def test_retry_after_is_waited_for(sim: SimProcess, tool: Pipeline) -> None:
    asking = target_at(sim.base_url, {"X-Sim": "http_429_retry_after"})
    log = tool.record(asking, requests=2)
    first, second = log.requests

    assert second["intended_ns"] - first["end_ns"] >= 2_000_000_000


@on_time
def test_nothing_is_waited_for_once_there_is_nothing_more_to_send(sim: SimProcess, tool: Pipeline) -> None:
    log = tool.record(target_at(sim.base_url, {"X-Sim": "http_429_retry_after"}))

    assert log.segments[0]["end_ns"] - log.requests[0]["end_ns"] < 1_500_000_000


@pytest.mark.parametrize(
    ("failures", "asked", "seconds"),
    [
        (1, None, 0.1),
        (3, None, 0.4),
        (100_000, None, 2.0),
        (1, b"5", 5.0),
        (1, b" 5 ", 5.0),
        (9, b"1", 2.0),
        (1, b"86400", 30.0),
        (1, b"9" * 5000, 0.1),
        (1, b"-3", 0.1),
        (1, b"Wed, 21 Oct 2026 07:28:00 GMT", 0.1),
        (1, b"\xb2", 0.1),
    ],
)
def test_a_slot_waits_longer_each_time_and_no_longer_than_is_sensible(
    failures: int, asked: bytes | None, seconds: float
) -> None:
    timing = RequestTiming(headers=[] if asked is None else [(b"retry-after", asked)])
    assert backoff_s(failures, timing) == seconds
