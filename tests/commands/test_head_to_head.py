"""Two servers in one command, over real sockets: the plan, its blocks, the verdict, and until it is settled."""

import itertools
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from lmx_loadgen.analysis.comparison.blocks import COMPARED
from lmx_loadgen.errors import Unreachable
from lmx_loadgen.load import driver
from lmx_loadgen.profile.load_point import Closed
from lmx_loadgen.profile.models import Load, Profile
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.result import RunResult, read_result
from lmx_loadgen.store.segment_key import segment_key
from tests.helpers.cli import lmx_loadgen
from tests.helpers.paths import ROOT
from tests.helpers.snapshots import check_snapshot, numbers_in
from tests.helpers.steps import Steps, Until, course

QUICK = SimSettings(ttft_ms=40.0, prefill_tok_s=None, step_ms=4.0, engine="independent", jitter=0.02)
ONE_USER = Closed(concurrency=1)
# A machine that is busy all the time may taint a run this short; whether verdicts are right is another matter.
BUSY = ("--accept", "other programs run beside these tests")
ALONE = ("--pause", "0", "--max-tokens", "16", "-c", "1", "-n", "24", "--warmup", "1", "--no-calibrate", "--quiet")
SHORT = (*ALONE, *BUSY)


def slower(settings: SimSettings, factor: float, dialect: str) -> SimSettings:
    return replace(settings, ttft_ms=settings.ttft_ms * factor, step_ms=settings.step_ms * factor, dialect=dialect)


@pytest.fixture(scope="module")
def lmx() -> Iterator[SimProcess]:
    with start(replace(QUICK, dialect="lmx")) as sim:
        yield sim


@pytest.fixture(scope="module")
def ollama() -> Iterator[SimProcess]:
    """10 % slower in everything."""
    with start(slower(QUICK, 1.1, "ollama")) as sim:
        yield sim


def stored(out: Path) -> tuple[RunResult, LogContents]:
    (folder,) = [folder for folder in out.iterdir() if folder.is_dir()]
    return read_result(folder), read_log(folder / "events.jsonl")


def failed(comparison: Comparison) -> set[str]:
    """The checks that the servers failed; how busy this machine was is not their doing."""
    return {line.key for line in comparison.audit if line.status == "failed"} - {"tainted"}


# One command


@pytest.fixture(scope="module")
def measured(lmx: SimProcess, ollama: SimProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both at the default plan."""
    out = tmp_path_factory.mktemp("head-to-head")
    result = lmx_loadgen("run", "-t", f"lmx={lmx.url}", "-t", f"ollama={ollama.url}", *SHORT, "--out", out)
    assert result.exit_code == 0, result.stderr
    return out


@pytest.mark.slow
@pytest.mark.timing  # figures that a busy machine moves are refused
def test_both_are_compared_in_every_figure_and_did_the_same_work(measured: Path) -> None:
    """What the verdicts are hangs on how busy this machine is; that they are right is tested with made sessions."""
    (comparison,) = stored(measured)[0].comparisons
    metrics = comparison.levels[0].metrics

    assert comparison.mode == "interleaved"
    assert (comparison.a.label, comparison.b.label) == ("lmx", "ollama")
    assert failed(comparison) == set()
    assert set(metrics) == {name for name, one in COMPARED.items() if not one.of_slo}
    for name, figure in metrics.items():
        assert figure.n == 6
        if COMPARED[name].percent is None:
            assert figure.verdict in ("better", "worse", "equivalent", "undecided")
            assert figure.ratio is not None
            assert figure.ci95 is not None
        else:  # of 24 requests
            assert (figure.verdict, figure.reason_code) == ("undecided", "unsupported")
            assert figure.ci95 is None
    assert len(comparison.sentences) == 3


def test_blocks_take_turns_and_have_the_same_prompts(measured: Path) -> None:
    _, log = stored(measured)
    of_level = [line for line in log.segments if segment_key(line)[1:] in {(ONE_USER, n, "load") for n in range(6)}]
    order = " ".join(
        "".join(line["target"][0] for line in turn)
        for _, turn in itertools.groupby(of_level, lambda line: line["block"])
    )

    assert order in ("lo ol lo ol lo ol", "ol lo ol lo ol lo")
    asked = {
        (target, block): [
            line["prompt_id"]
            for line in log.requests
            if (line["target"], line["block"], line["phase"]) == (target, block, "measured")
        ]
        for target in ("lmx", "ollama")
        for block in range(6)
    }
    for block in range(6):
        assert asked["lmx", block] == asked["ollama", block]
        assert len(asked["lmx", block]) == 8
    assert asked["lmx", 0] != asked["lmx", 1]


def test_the_machine_s_state_is_noted_beside_each_block_and_never_inside(measured: Path) -> None:
    _, log = stored(measured)
    whole = {segment_key(line): (line["start_ns"], line["end_ns"]) for line in log.segments}

    assert [(segment_key(line), line["when"]) for line in log.host] == [
        (segment_key(segment), when) for segment in log.header["plan"] for when in ("before", "after")
    ]
    for line in log.host:
        begin, end = whole[segment_key(line)]
        assert line["at_ns"] < begin if line["when"] == "before" else line["at_ns"] > end


def test_each_target_s_cache_is_probed_in_the_end(measured: Path) -> None:
    result, log = stored(measured)
    probes = [line for line in log.requests if line["phase"] == "probe"]

    assert [line["target"] for line in probes] == ["lmx"] * 3 + ["ollama"] * 3
    assert min(line["send_ns"] for line in probes) > max(
        line["end_ns"] for line in log.requests if line["phase"] != "probe"
    )
    for first in (0, 3):
        cold, second, repeat = (line["nonce"] for line in probes[first : first + 3])
        assert cold != second == repeat
    assert [target.cache.found if target.cache else None for target in result.targets] == [False, False]


@pytest.mark.slow
def test_a_prefix_cache_is_found(tmp_path: Path) -> None:
    with start(SimSettings(prefill_tok_s=2000.0, ttft_ms=2.0, step_ms=1.0, prefix_cache=True)) as sim:
        flags = ("--max-tokens", "4", "-c", "1", "-n", "2", "--warmup", "0", "--no-calibrate", "--quiet")
        assert lmx_loadgen("run", "-t", f"sim={sim.url}", *flags, "--out", tmp_path).exit_code == 0
    cache = stored(tmp_path)[0].targets[0].cache

    assert cache is not None
    assert cache.found
    assert cache.repeat is not None
    assert cache.repeat < min(cache.cold)
    assert "prefix cache" in cache.sentence


# The plan


def test_the_plan_is_printed_also_where_no_server_answers(unused_port: int, tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{unused_port}"
    targets = ("-t", f"lmx={nobody}", "-t", f"ollama={nobody}")
    result = lmx_loadgen("run", *targets, "-c", "1,8", "-n", "60", "--dry-run", "--out", tmp_path)

    assert result.exit_code == Unreachable.exit_code
    lines = result.stdout.splitlines()
    assert numbers_in(lines[0]) == [2, 6, 2]  # levels, blocks, seconds between them
    for line, concurrency, requests in ((lines[1], 1, 10), (lines[2], 8, 24)):
        assert numbers_in(line) == [concurrency, requests]
        assert re.search(r": (AB|BA)( AB| BA){5}$", line)
    assert max(map(len, lines)) <= 80
    assert list(tmp_path.iterdir()) == []


def test_snapshot_of_the_plan_of_a_run_until_conclusive_says_how_long_it_may_become(
    unused_port: int, tmp_path: Path
) -> None:
    flags = ("--until-conclusive", "--max-duration", "5m", "--dry-run", "--out", tmp_path)
    targets = [part for name in ("lmx", "ollama") for part in ("-t", f"{name}=http://127.0.0.1:{unused_port}")]
    text = lmx_loadgen("run", *targets, "--seed", "1", *flags).stdout

    assert numbers_in(text)[-2:] == [30, 5]  # blocks at most, minutes at most
    check_snapshot("plan.txt", text)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-t", "lmx", "-t", "ollama", "--max-duration", "5m"), "--max-duration goes with --until-conclusive"),
        (("-t", "lmx", "--until-conclusive"), "--until-conclusive needs two targets"),
        (("-t", "lmx", "-t", "ollama", "--until-conclusive", "--blocks", "2"), "--blocks of at least 4"),
        (("-t", "lmx", "--isolate"), "--isolate needs two targets"),
        (("-t", "lmx", "-t", "ollama", "--accept", " "), "--accept needs a reason"),
        (("-t", "lmx", "--blocks", "0"), "--blocks: input should be greater than or equal to 1"),
        (("-t", "lmx", "--pause", "soon"), "--pause: must be a number of seconds"),
        (("-t", "lmx", "--max-duration", "soon"), "'soon' must be a number of seconds"),
    ],
)
def test_flags_that_make_no_sense_are_said(flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = lmx_loadgen("run", *flags, "--dry-run", "--out", tmp_path)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@pytest.mark.slow
def test_the_reason_for_accepting_stands_in_the_result(lmx: SimProcess, tmp_path: Path) -> None:
    targets = ("-t", f"a={lmx.url}", "-t", f"b={lmx.url}")
    flags = ("--blocks", "3", "--cache", "repeat", "--accept", "I want to know the cache")
    result = lmx_loadgen("run", *targets, *SHORT, *flags, "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    (comparison,) = stored(tmp_path)[0].comparisons

    assert comparison.accepted == "I want to know the cache"
    assert failed(comparison) == {"cache_new_nonce"}
    assert all(line.accepted for line in comparison.audit if line.status == "failed")
    assert comparison.levels[0].metrics["ttft_p50"].verdict != "refused"


@pytest.mark.slow
@pytest.mark.timing
def test_a_machine_with_hiccups_has_no_verdict_refused_for_them(
    lmx: SimProcess, ollama: SimProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop stands still for 50 ms in each block."""
    monkeypatch.setattr(driver, "WORKER", "tests.helpers.stalling_worker")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    targets = ("-t", f"lmx={lmx.url}", "-t", f"ollama={ollama.url}")
    result = lmx_loadgen("run", *targets, *ALONE, "-n", "48", "--blocks", "3", "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    found, log = stored(tmp_path)
    (comparison,) = found.comparisons

    held_up = {segment_key(line) for line in log.requests if line["lag_ns"] >= 45e6}
    assert held_up >= {segment_key(line) for line in log.segments if line["phase"] == "load"}
    assert [line.sentence for line in comparison.audit if (line.key, line.status) == ("tainted", "failed")] == []
    assert "tainted" not in {figure.reason_code for figure in comparison.levels[0].metrics.values()}


# Alone


@pytest.mark.slow
def test_each_server_has_the_machine_to_itself_and_is_left_as_it_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMX_ADMIN_KEY", "k")
    settings = replace(QUICK, admin_key="k")
    with start(replace(settings, dialect="lmx")) as lmx, start(replace(settings, dialect="ollama")) as ollama:
        targets = ("-t", f"lmx={lmx.url}", "-t", f"ollama={ollama.url}")
        result = lmx_loadgen("run", *targets, *SHORT, "--blocks", "3", "--isolate", "--out", tmp_path)
        assert result.exit_code == 0, result.stderr
        assert [one["name"] for one in httpx.get(f"{ollama.url}/api/ps").json()["models"]] == ["sim-model"]
        assert [one["id"] for one in httpx.get(f"{lmx.url}/v1/models").json()["data"]] == ["sim-model"]
    found, log = stored(tmp_path)

    alone = [(line["target"], line["state"]["unloaded"]) for line in log.host if line["when"] == "isolated"]
    assert all(unloaded == [{"lmx": "ollama", "ollama": "lmx"}[target]] for target, unloaded in alone)
    assert {target for target, _ in alone} == {"lmx", "ollama"}
    assert all(level.requests.failed == 0 for target in found.targets for level in target.levels)


# Until conclusive


def blocks_run(steps: Steps, slots: int = 1) -> list[int]:
    return [one.block for one in steps.segments if one.load_point.slots == slots and one.target == "a"]


NO_PAUSE = Load(concurrency=[1, 2], pause=0)


def test_two_rounds_at_a_time_are_added_until_a_level_is_settled() -> None:
    steps, profile = Steps(), Profile(load=NO_PAUSE)
    settled = lambda point: len(blocks_run(steps, point.slots)) >= (10 if point == ONE_USER else 6)  # noqa: E731
    course(steps, profile, Until(settled, 1000, 30)).run()

    assert blocks_run(steps, 1) == list(range(10))
    assert blocks_run(steps, 2) == list(range(6))
    assert len({segment.key for segment in steps.segments}) == len(steps.segments) == 32
    # a level is settled before the next begins
    assert [segment.load_point.slots for segment in steps.segments] == [1] * 20 + [2] * 12
    assert [segment.offset for segment in steps.segments if segment.block == 9] == [9 * 8] * 2


def test_no_level_has_more_blocks_than_all_looks_allow() -> None:
    steps = Steps()
    course(steps, Profile(load=Load(pause=0)), Until(lambda point: False, 1000, 30)).run()

    assert len(blocks_run(steps)) == 30


def test_no_rounds_are_added_when_time_is_up_but_the_plan_is_kept() -> None:
    steps = Steps()
    course(steps, Profile(load=NO_PAUSE), Until(lambda point: False, 0, 30)).run()

    assert (len(blocks_run(steps, 1)), len(blocks_run(steps, 2))) == (6, 6)


def test_no_rounds_are_begun_that_would_end_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each segment takes a minute: six rounds of two are over after twelve, and two more rounds would take four."""
    for most, blocks in ((15.9 * 60, 6), (16.1 * 60, 8)):
        steps = Steps()
        monkeypatch.setattr(time, "monotonic", lambda steps=steps: 60.0 * len(steps.segments))
        course(steps, Profile(load=Load(concurrency=[1], pause=0)), Until(lambda point: False, most, 30)).run()

        assert len(blocks_run(steps)) == blocks


@pytest.mark.slow
def test_a_run_until_conclusive_adds_rounds_in_pairs(lmx: SimProcess, ollama: SimProcess, tmp_path: Path) -> None:
    targets = ("-t", f"lmx={lmx.url}", "-t", f"ollama={ollama.url}")
    flags = ("--blocks", "4", "--until-conclusive", "--max-duration", "5s")
    result = lmx_loadgen("run", *targets, *SHORT, *flags, "--out", tmp_path)
    assert result.exit_code == 0, result.stderr
    found, log = stored(tmp_path)
    (comparison,) = found.comparisons

    assert comparison.until_conclusive
    assert comparison.levels[0].metrics["ttft_p50"].verdict != "refused"
    assert found.targets[0].levels[0].complete
    assert len({line["block"] for line in log.segments if line["phase"] == "load"}) in range(4, 31, 2)


def test_a_plan_alone_tells_what_is_wrong_with_a_reference_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("figures: 3\n", encoding="utf-8")

    result = lmx_loadgen("run", "-t", "lmx", "--reference", broken, "--dry-run", "--out", tmp_path / "out")

    assert result.exit_code == 3
    assert "broken.yaml" in result.stderr
    assert not (tmp_path / "out").exists()


# Former names, and runs made for comparison


def test_former_names_are_understood_for_one_version(tmp_path: Path) -> None:
    former = ("-t", "lmx", "-t", "ollama", "--settle", "7s", "--until-settled", "--dry-run", "--out", tmp_path)
    present = ("-t", "lmx", "-t", "ollama", "--pause", "7s", "--until-conclusive", "--dry-run", "--out", tmp_path)

    assert lmx_loadgen("run", *former).stdout == lmx_loadgen("run", *present).stdout
    assert "7 s between them" in lmx_loadgen("run", *former).stdout
    assert "settle" not in lmx_loadgen("run", "--help").stdout


def test_a_profile_may_still_say_settle(tmp_path: Path) -> None:
    profile = tmp_path / "mine.yaml"
    profile.write_text("load: {settle: 7s}\ntargets: [lmx, ollama]\n")

    assert "7 s between them" in lmx_loadgen("run", "--profile", profile, "--dry-run", "--out", tmp_path).stdout


def test_repeated_runs_are_whole_runs_each_in_its_folder(lmx: SimProcess, tmp_path: Path) -> None:
    result = lmx_loadgen("run", "-t", f"lmx={lmx.url}", *SHORT, "--repeat", "2", "--out", tmp_path)

    assert result.exit_code == 0, result.stderr
    runs = [read_result(folder) for folder in sorted(tmp_path.iterdir()) if folder.is_dir()]
    assert len({run.run_id for run in runs}) == len(runs) == 2
    assert all(run.complete for run in runs)
