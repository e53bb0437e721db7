"""Open loops from their flags to what is stored, against the simulator."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.profile.load_point import Closed, Open, Replay
from lmx_loadgen.session.asked_profile import asked_profile
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import read_log
from lmx_loadgen.store.result import LevelResult, read_result
from tests.helpers.cli import lmx_loadgen
from tests.helpers.pipeline import pipeline, target_at

NO_CHECKS = ("--no-stability", "--warmup", "0", "--no-calibrate", "--max-tokens", "4")


@pytest.fixture(scope="module")
def narrow() -> Iterator[SimProcess]:
    """Two slots, and answers of about 40 ms: fifty a second are served."""
    with start(SimSettings(ttft_ms=10.0, step_ms=10.0, prefill_tok_s=None, slots=2)) as sim:
        yield sim


def levels_of(folder: Path) -> list[LevelResult]:
    return read_result(folder).targets[0].levels


def run(sim: SimProcess, out: Path, *flags: str) -> Path:
    result = lmx_loadgen("run", "-t", f"sim={sim.url}", "--out", out, *NO_CHECKS, *flags)
    assert result.exit_code == 0, result.output
    return next(out.iterdir())


def test_rates_are_levels_and_each_request_is_sent_when_it_is_due(narrow: SimProcess, tmp_path: Path) -> None:
    folder = run(narrow, tmp_path, "--rate", "20,10", "-n", "12", "--arrivals", "constant")
    log, levels = read_log(folder / "events.jsonl"), levels_of(folder)

    assert [level.load_point for level in levels] == [Open(rate=rate, arrivals="constant") for rate in (10.0, 20.0)]
    assert [level.requests.ok for level in levels] == [12, 12]
    for level, gap_ns in zip(levels, (100_000_000, 50_000_000), strict=True):
        of_level = [line for line in log.requests if line["load_point"] == level.load_point.model_dump()]
        due = sorted(line["intended_ns"] for line in of_level if line["phase"] == "measured")
        assert [later - early for early, later in pairwise(due)] == [gap_ns] * 11
        assert all(line["send_ns"] >= line["intended_ns"] for line in of_level if line["phase"] == "measured")


def test_a_server_that_falls_behind_ends_its_level_early_and_the_next_one_is_measured(
    narrow: SimProcess, tmp_path: Path
) -> None:
    folder = run(narrow, tmp_path, "--rate", "200,300", "--duration", "60s")
    log, levels = read_log(folder / "events.jsonl"), levels_of(folder)

    assert [line["stop_kind"] for line in log.segments if line["phase"] == "load"] == ["overload"] * 2
    assert [level.open_loop.overloaded for level in levels if level.open_loop] == [True, True]
    assert all(level.metrics["ttft_response"].p50 is None for level in levels)
    assert read_result(folder).complete


def test_what_finds_as_many_in_flight_as_may_be_is_dropped(narrow: SimProcess, tmp_path: Path) -> None:
    folder = run(narrow, tmp_path, "--rate", "100", "-n", "40", "--max-in-flight", "2", "--arrivals", "constant")
    (level,) = levels_of(folder)

    assert level.requests.dropped > 0
    assert level.requests.ok + level.requests.dropped == 40
    assert level.requests.failed == 0


def test_a_recording_is_replayed(narrow: SimProcess, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    lines = [{"at_s": 0.1 * place, "prompt_id": f"short-0{1 + place % 3}"} for place in range(6)]
    trace.write_text("\n".join(map(json.dumps, lines)))
    folder = run(narrow, tmp_path / "out", "--replay", str(trace))
    log = read_log(folder / "events.jsonl")
    (level,) = levels_of(folder)
    measured = sorted((line for line in log.requests if line["phase"] == "measured"), key=lambda line: line["number"])

    assert level.load_point == Replay(file="trace.jsonl")
    assert [line["prompt_id"] for line in measured] == ["short-01", "short-02", "short-03"] * 2
    assert measured[5]["intended_ns"] - measured[0]["intended_ns"] == 500_000_000


def test_workers_share_one_sequence(narrow: SimProcess, tmp_path: Path) -> None:
    folder = run(narrow, tmp_path, "--rate", "20", "-n", "11", "--arrivals", "constant", "--workers", "2")
    measured = [line for line in read_log(folder / "events.jsonl").requests if line["phase"] == "measured"]

    due = {line["number"]: line["intended_ns"] for line in measured}
    assert sorted(due) == list(range(11))
    assert [due[number] - due[0] for number in range(11)] == [50_000_000 * number for number in range(11)]


def test_a_silent_server_is_no_overload(tmp_path: Path) -> None:
    """Nothing ended: it is the wait for an answer that has a limit."""
    with start(SimSettings(ttft_ms=60_000.0)) as sim, pipeline(tmp_path) as running:
        log = running.record(target_at(sim.base_url), {"no_progress": 1.0}, rate=[50.0], requests=60)

    assert log.segments[0]["stop_kind"] == "silence"


@pytest.mark.parametrize(
    ("given", "points", "amounts"),
    [
        ({}, [Closed(concurrency=1), Closed(concurrency=4)], (12, None)),
        ({"load.rate": [2.0]}, [Open(rate=2.0)], (None, None)),
        ({"load.rate": [2.0], "load.requests": 9}, [Open(rate=2.0)], (9, None)),
        ({"load.rate": [2.0], "load.concurrency": [3]}, [Closed(concurrency=3), Open(rate=2.0)], (12, None)),
        ({"load.replay": "a/b.jsonl"}, [Replay(file="b.jsonl")], (None, None)),
    ],
)
def test_rates_replace_the_levels_of_a_profile_unless_levels_are_given_too(
    given: dict[str, Any], points: list[Any], amounts: tuple[int | None, float | None]
) -> None:
    load = asked_profile("quick", overrides=given).load

    assert load.points() == points
    assert (load.requests, load.duration) == amounts


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--rate", "fast"), "'fast' is not a list of rates; use something like 0.5,1,2 or sweep"),
        (("--rate", "0"), "--rate: input should be greater than 0"),
        (("--rate", "2,2"), "--rate: must not name a level twice"),
        (("--rate", "nan"), "--rate: input should be greater than 0, got nan\n"),
        (("--rate", "1", "--max-in-flight", "0"), "--max-in-flight: input should be greater than or equal to 1"),
        (("--replay", "nowhere.jsonl"), "cannot read the replay file nowhere.jsonl"),
    ],
)
def test_what_cannot_be_sent_is_said_in_one_sentence(flags: tuple[str, ...], words: str, tmp_path: Path) -> None:
    result = lmx_loadgen("run", "-t", "sim", "--out", tmp_path, "--no-calibrate", *flags)

    assert result.exit_code in (2, 3)
    assert words in result.stderr
    assert "Traceback" not in result.output
