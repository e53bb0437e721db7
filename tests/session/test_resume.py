"""`run --resume`: what goes on, what is refused, and what disks that will not leave behind."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.errors import NotResumable, StorageError
from lmx_loadgen.profile.load_point import ALONE, LoadPoint
from lmx_loadgen.profile.models import Load, Profile
from lmx_loadgen.session import outcome
from lmx_loadgen.session.asked_profile import asked_profile
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.plan import Segment, make_plan
from lmx_loadgen.session.resume import ResumeState, load_resume_state
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.segment_run import SegmentRun
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.result import read_result
from lmx_loadgen.store.segment_key import LOAD, segment_key
from lmx_loadgen.system import identity
from lmx_loadgen.system.clock import NS
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target
from tests.helpers.cli import SMALL, lmx_loadgen, sentence_of
from tests.helpers.holding_server import Holding
from tests.helpers.killed_runs import check_equal, wait_for
from tests.helpers.made_lines import header_line, made_log, point, request_line, segment_line, steady
from tests.helpers.steps import Steps, Until, course

FAST = SimSettings(ttft_ms=20.0, prefill_tok_s=None, step_ms=1.0, engine="independent")
PAIR = ("-c", "1,2", "--blocks", "2", "-n", "8", "--max-tokens", "8", "--pause", "0", "--no-calibrate", "--quiet")


@pytest.fixture(scope="module")
def fast() -> Iterator[SimProcess]:
    with start(FAST) as sim:
        yield sim


@pytest.fixture(scope="module")
def whole(fast: SimProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head-to-head run that is complete."""
    out = tmp_path_factory.mktemp("whole")
    made = lmx_loadgen("run", "-t", f"a={fast.url}", "-t", f"b={fast.url}", *PAIR, "--out", out)
    assert made.exit_code == 0, made.output
    return next(out.iterdir())


def cut(run: Path, to: Path, lines: int, torn: bytes = b"") -> Path:
    """The run as it would be, had its tool been killed after so many lines."""
    folder = to / "cut"
    folder.mkdir()
    kept = (run / "events.jsonl").read_bytes().split(b"\n")[:lines]
    (folder / "events.jsonl").write_bytes(b"\n".join(kept) + b"\n" + torn)
    return folder


def place_of(run: Path, **wanted: Any) -> int:
    """How many lines a run's log has up to the first line like this, itself included."""
    lines = [json.loads(line) for line in (run / "events.jsonl").read_bytes().splitlines()]
    return 1 + next(place for place, line in enumerate(lines) if wanted.items() <= line.items())


# Going on


@pytest.mark.parametrize(
    ("last", "redo"),
    [
        ({"type": "header"}, []),
        ({"type": "request", "phase": "warmup"}, ["load"]),
        ({"type": "request", "load_point": point(1), "block": 1, "number": 2, "phase": "measured"}, ["load"]),
        ({"type": "segment", "load_point": point(2), "block": 0}, []),
        ({"type": "request", "phase": "probe"}, ["probe"]),  # two prompts, and then one of them again
        ({"type": "segment", "phase": "probe", "block": 0}, ["probe"]),
        ({"type": "segment", "phase": "probe", "block": 1}, []),
        ({"type": "segment", "phase": "stability", "load_point": point(1)}, ["stability"]),
        ({"type": "segment", "phase": "stability", "load_point": point(2)}, []),
        ({"type": "segment", "phase": "stability", "target": "b", "load_point": point(2)}, []),
    ],
    ids=[
        *("header", "warm-up", "block", "between blocks", "probe", "half a probe", "one probe", "half a comparison"),
        *("one comparison", "all but the end"),
    ],
)
@pytest.mark.timing  # whose requests count in a level hangs on when all its slots were busy
@pytest.mark.slow
def test_cut_off_anywhere_a_run_goes_on_to_the_same_end(
    whole: Path, tmp_path: Path, last: dict[str, Any], redo: list[str]
) -> None:
    folder = cut(whole, tmp_path, place_of(whole, **last))
    result = lmx_loadgen("run", "--resume", folder)
    assert result.exit_code == 0, result.output
    log = read_log(folder / "events.jsonl")

    assert f"stored in {folder}" in result.stdout
    (resume,) = log.resumes
    assert [place["phase"] for place in resume["redo"]] == redo
    check_equal(folder, whole)
    void = [line for line in [*log.superseded, *log.superseded_requests] if line["superseded_by"] is not None]
    assert {segment_key(line) for line in void} == set(map(segment_key, resume["redo"]))
    (note,) = [note for note in read_result(folder).notes if "taken up again" in note]
    assert ("from the start of the block" in note) == bool(redo)
    for target in read_result(folder).targets:
        assert target.cache is not None
        assert len(target.cache.cold) == 2


@pytest.mark.timing
@pytest.mark.slow
def test_a_torn_line_is_cut_off_and_said(whole: Path, tmp_path: Path) -> None:
    folder = cut(whole, tmp_path, 20, torn=b'{"type":"request","id":')
    assert lmx_loadgen("run", "--resume", folder, "--quiet").exit_code == 0

    assert read_log(folder / "events.jsonl").notes == []
    assert any("a torn last line was cut off" in note for note in read_result(folder).notes)
    check_equal(folder, whole)


@pytest.mark.slow
def test_the_run_that_started_its_own_simulator_starts_another(tmp_path: Path) -> None:
    flags = ("-c", "1", "-n", "2", "--max-tokens", "4", "--no-calibrate", "--quiet")
    assert lmx_loadgen("run", *flags, "--out", tmp_path / "runs").exit_code == 0
    (run,) = (tmp_path / "runs").iterdir()
    folder = cut(run, tmp_path, 3)
    assert lmx_loadgen("run", "--resume", folder, "--quiet").exit_code == 0

    assert read_result(folder).complete
    assert read_result(folder).targets[0].levels[0].requests.ok == 2


@pytest.mark.slow
def test_what_the_run_was_told_is_not_told_again(fast: SimProcess, tmp_path: Path) -> None:
    """Flags that are in no profile, and a prompts file."""
    asked = tmp_path / "asked.txt"
    asked.write_text("How are you?\nWhat is that?\n")
    flags = ("--prompts", asked, "--stamps", "loop", "--loop", "asyncio", "--workers", "2", "--accept", "why not")
    made = lmx_loadgen("run", "-t", f"a={fast.url}", "-t", f"b={fast.url}", *PAIR, *flags, "--out", tmp_path / "runs")
    assert made.exit_code == 0, made.output
    (run,) = (tmp_path / "runs").iterdir()
    folder = cut(run, tmp_path, 30)
    assert lmx_loadgen("run", "--resume", folder, "--quiet").exit_code == 0

    check_equal(folder, run)
    assert read_result(folder).comparisons[0].accepted == "why not"
    asked.write_text("Something else?\n")
    again = cut(run, tmp_path / "runs", 30)
    result = lmx_loadgen("run", "--resume", again)
    assert result.exit_code == 7
    assert sentence_of(result).startswith(f"{again} ")
    assert "prompts file" in sentence_of(result)


@pytest.fixture
def holding() -> Iterator[Holding]:
    with Holding(answers=5) as server:  # one of them is the probe before the run
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_stopped_in_the_middle_only_what_is_in_flight_is_lost_and_the_run_can_go_on(
    holding: Holding, tmp_path: Path, number: signal.Signals
) -> None:
    """The server answers four, and holds the next two until they are closed."""
    flags = ["-n", "4", "-c", "1,2", "--warmup", "0", "--no-calibrate", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "lmx_loadgen", "run", "-t", f"m=http://127.0.0.1:{holding.server_port}", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert holding.held.wait(30)
        (folder,) = tmp_path.iterdir()
        wait_for(lambda: (folder / "events.jsonl").read_bytes().count(b'"ok"') == 4)
        process.send_signal(number)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    log = read_log(folder / "events.jsonl")
    assert [line["outcome"] for line in log.requests][:4] == ["ok"] * 4
    assert {line["outcome"] for line in log.requests[4:]} <= {"cancelled"}
    assert (f"next: lmx-loadgen run --resume {folder}" in said) == (number == signal.SIGINT)
    assert holding.closed.wait(10)

    with holding.lock:
        holding.answers = 1000
    result = lmx_loadgen("run", "--resume", folder)
    assert result.exit_code == 0, result.output
    found = read_result(folder)
    assert found.complete
    assert [level.requests.model_dump() for level in found.targets[0].levels] == [
        {"sent": 4, "ok": 4, "failed": 0, "cancelled": 0, "warmup": 0, "first_wave": first, "dropped": 0}
        for first in (1, 2)
    ]


# Until conclusive


class Cut(Steps):
    """A run's parts, of which the `last` segment is never ended; `known` gets each segment."""

    def __init__(self, known: list[Segment], last: int | None = None) -> None:
        super().__init__()
        self.known = known
        self.last = last

    def run(self, jobs: object, stagger_ns: object, listener: SegmentRun) -> object:
        self.known.append(listener.segment)
        if len(self.segments) == self.last:
            self.stop.set()
        return super().run(jobs, stagger_ns, listener)


def past_at(profile: Profile, segments: list[Segment]) -> ResumeState:
    """The past of a run that was cut off in the last of these segments."""
    lines = [segment_line(0, 1, 2, **segment.as_dict()) for segment in segments]
    lines[-1]["stopped"] = "interrupted"
    plan = [segment.as_dict() for segment in make_plan(profile, ["a", "b"])]
    return ResumeState(Path(), made_log([], lines, profile=profile.model_dump(mode="json"), plan=plan))


@pytest.mark.parametrize("last", range(32))
def test_rounds_that_were_added_are_gone_on_with_wherever_it_was_cut_off(last: int) -> None:
    profile = Profile(load=Load(concurrency=[1, 2], pause=0))
    known: list[Segment] = []

    def settled(point: LoadPoint) -> bool:
        """By what is in the log: ten blocks at the first level."""
        return len({one.block for one in known if one.load_point == point}) >= (10 if point == ALONE else 6)

    until = Until(settled, 1000, 30)

    def goes_through(steps: Cut, resume_state: ResumeState | None = None) -> list[Segment]:
        course(steps, profile, until, resumed=resume_state).run()
        return steps.segments

    undisturbed = goes_through(Cut(known))
    assert len(undisturbed) == 32
    known.clear()
    first = goes_through(Cut(known, last))
    second = goes_through(Cut(known), past_at(profile, first))

    assert first == undisturbed[: last + 1]
    assert second == undisturbed[last:]


def test_a_round_that_was_being_measured_again_is_gone_on_with(tmp_path: Path) -> None:
    """Cut off in the second segment of a round that was void: its first is done, and one of the two extra rounds is
    spent."""
    profile = Profile(load=Load(concurrency=[1], blocks=3, pause=0))
    plan = make_plan(profile, ["a", "b"])
    places = [segment.as_dict() for segment in plan]
    lines = [segment_line(place, place + 1, place + 2, **places[place]) for place in range(4)]
    header = header_line(profile=profile.model_dump(mode="json"), plan=places)
    again = {"type": "again", "at_ns": 10, "load_point": point(1), "block": 1}
    written = [header, *lines, again, segment_line(20, 21, 22, **places[2])]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in written))
    resume_state = ResumeState(tmp_path, read_log(tmp_path / "events.jsonl"))
    steps = Steps()
    until = Until(lambda point: True, 1000, 30)
    course(steps, profile, until, resumed=resume_state, tainted=lambda point, block: True).run()

    assert [segment_key(one) for one in resume_state.log.superseded] == [plan[2].key, plan[3].key]
    assert [one.key for one in steps.segments] == [plan[place].key for place in (3, 2, 3, 4, 5)]
    assert steps.again == [(ALONE, 1)]


# An aborted target


class Aborting(Steps):
    """A run's parts that note each segment with its phase; the first segment of `bad` at level 1 is given up."""

    def __init__(self, bad: str | None) -> None:
        super().__init__()
        self.bad = bad
        self.lines: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def run(self, jobs: object, stagger_ns: object, listener: SegmentRun) -> object:
        segment = listener.segment
        is_bad = segment.target == self.bad and segment.load_point.slots == 2
        if is_bad:
            listener.quiet(0, 1000 * NS)
        place = segment.as_dict()
        sent = request_line(steady(), **place)
        sent["phase"] = "measured" if segment.key.phase == LOAD else segment.key.phase
        self.lines.append((sent, segment_line(0, 1, 2, **place, stopped="it is silent" if is_bad else None)))
        return super().run(jobs, stagger_ns, listener)


def kinds(steps: Aborting) -> list[tuple[str, str]]:
    return [(line["target"], line["phase"]) for line, _ in steps.lines]


@pytest.mark.parametrize("bad", ["a", "b"])
def test_probes_of_a_target_that_was_aborted_are_made_when_its_run_goes_on(bad: str) -> None:
    """Its own: those of the other, which had the numbers that its would have had, are there already."""
    profile = Profile(load=Load(concurrency=[1, 2], pause=0))

    def went(bad: str | None, resume_state: ResumeState | None) -> Aborting:
        steps = Aborting(bad)
        made = course(steps, profile, resumed=resume_state, probe=True)
        made.parts.history.answered |= {"a", "b"}
        made.run()
        return steps

    first = went(bad, None)
    good = {"a": "b", "b": "a"}[bad]
    beside = [kind for kind in kinds(first) if kind[1] != "measured"]
    assert beside == [(good, "probe")] * 2 + [(good, "stability")] * 2
    plan = [segment.as_dict() for segment in make_plan(profile, ["a", "b"])]
    sent, ended = map(list, zip(*first.lines, strict=True))
    log = made_log(sent, ended, profile=profile.model_dump(mode="json"), plan=plan)
    second = went(None, ResumeState(Path(), log))

    assert {target for target, _ in kinds(second)} == {bad}
    assert [kind for kind in kinds(second) if kind[1] != "measured"] == [(bad, "probe")] * 2 + [(bad, "stability")] * 2
    kept = {segment_key(line) for line in ended if line["stopped"] is None}
    keys = [segment.key for segment in second.segments]
    assert not kept & set(keys)
    assert len(set(keys)) == len(keys)


# Refused


def edited(run: Path, to: Path, change: Any) -> Path:
    """The run, cut off, with its header changed."""
    folder = cut(run, to, 30)
    first, _, rest = (folder / "events.jsonl").read_bytes().partition(b"\n")
    header = json.loads(first)
    change(header)
    (folder / "events.jsonl").write_bytes(json.dumps(header).encode() + b"\n" + rest)
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda header: header.update(tool_version="0.0.9"), "the version of lmx-loadgen was 0.0.9 and is "),
        (lambda header: header["host"].update(machine_id="elsewhere"), "the machine was elsewhere and is "),
        (lambda header: header["targets"][0].update(dialect="vllm"), "the dialect of a was vllm and is sim now"),
        (
            lambda header: header["targets"][1].update(base_url="http://127.0.0.1:9/v1"),
            "the address of b was http://127.0.0.1:9/v1 and is ",
        ),
        (lambda header: header.pop("going_on"), "does not say enough of how it was run"),
        (lambda header: header["profile"].update(load=5), "the profile in "),
    ],
    ids=["version", "machine", "dialect", "address", "earlier tool", "profile"],
)
def test_what_is_not_as_it_was_is_named(whole: Path, tmp_path: Path, change: Any, said: str) -> None:
    folder = edited(whole, tmp_path, change)
    before = (folder / "events.jsonl").read_bytes()
    result = lmx_loadgen("run", "--resume", folder)

    assert result.exit_code == 7
    assert said in sentence_of(result)
    assert (folder / "events.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "goes_on"), [(identity.former_id(), True), ("0123abcd", False)], ids=["this one", "another"]
)
def test_a_run_of_an_earlier_version_knows_its_machine_by_the_former_name(
    name: str, goes_on: bool, whole: Path, tmp_path: Path
) -> None:
    def earlier(header: dict[str, Any]) -> None:
        del header["host"]["machine_id"]
        header["host"]["name"] = name

    folder = edited(whole, tmp_path, earlier)
    if goes_on:
        assert load_resume_state(folder).folder == folder
    else:
        with pytest.raises(NotResumable, match="the machine was 0123abcd and is"):
            load_resume_state(folder)


def test_another_model_is_refused_before_anything_is_sent(whole: Path, tmp_path: Path) -> None:
    folder = edited(whole, tmp_path, lambda header: header["targets"][0].update(model="other-model"))
    result = lmx_loadgen("run", "--resume", folder)

    assert result.exit_code == 13
    assert "other-model is not loaded" in sentence_of(result)


@pytest.mark.parametrize(
    ("part", "was", "now", "is_refused"),
    [
        ("version", "1.2", "1.3", True),
        ("quantization", "4bit", "8bit", True),
        ("version", "1.2", "1.2", False),
        ("quantization", "4bit", None, False),  # a model that --isolate has unloaded cannot be asked
        ("quantization", None, "4bit", False),
    ],
)
def test_another_server_is_refused(part: str, was: str | None, now: str | None, is_refused: bool) -> None:
    header = header_line(going_on={"prints": {}}, profile=Profile().model_dump(mode="json"))
    header["targets"][0]["server"][part] = was
    resume_state = ResumeState(Path("run"), LogContents(header))
    target = Target("box", DIALECTS["openai"], "http://127.0.0.1:1/v1", "m", {part: now})

    if not is_refused:
        resume_state.refuse_if_changed([target], {})
        return
    with pytest.raises(NotResumable, match=f"run cannot go on: the {part} of box was {was} and is {now} now"):
        resume_state.refuse_if_changed([target], {})


def test_a_complete_run_is_refused(whole: Path) -> None:
    before = (whole / "events.jsonl").read_bytes()
    result = lmx_loadgen("run", "--resume", whole)

    assert result.exit_code == 7
    assert sentence_of(result).startswith(f"{whole} is complete")
    assert (whole / "events.jsonl").read_bytes() == before


def test_no_run_is_a_clear_error(tmp_path: Path) -> None:
    result = lmx_loadgen("run", "--resume", tmp_path / "none")

    assert result.exit_code == 4
    assert "cannot read" in sentence_of(result)


@pytest.mark.parametrize(
    "flag", [("-c", "4"), ("--profile", "quick"), ("-t", "sim"), ("--seed", "1"), ("--no-calibrate",), ("--dry-run",)]
)
def test_flags_that_would_change_the_run_are_refused(tmp_path: Path, flag: tuple[str, ...]) -> None:
    result = lmx_loadgen("run", "--resume", tmp_path, *flag)

    assert result.exit_code == 2
    assert "--resume" in result.stderr


def test_ids_and_time_go_on_behind_those_that_count_no_more() -> None:
    lines = [request_line(steady(), id=id, block=id // 2) for id in range(4)]
    log = replace(
        made_log(lines[:2], [segment_line(0, 1, 2_000, start_ns=500_000_000)]),
        superseded_requests=[line | {"superseded_by": 1} for line in lines[2:]],
        next_id=4,
    )
    resume_state = ResumeState(Path(), replace(log, header=log.header | {"profile": Profile().model_dump(mode="json")}))

    assert (resume_state.next_id, resume_state.spent_s, resume_state.redo) == (4, 1.5, [])


# Disks that will not


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_what_was_written_can_be_gone_on_with(fast: SimProcess, tmp_path: Path) -> None:
    flags = ["-n", "60", "-c", "2", "--max-tokens", "8", "--no-calibrate", "--quiet", "--out", str(tmp_path)]
    command = [sys.executable, "-m", "lmx_loadgen", "run", "-t", f"a={fast.url}", *flags]
    most = 40_000

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, preexec_fn=small_files)
    (folder,) = tmp_path.iterdir()
    log = read_log(folder / "events.jsonl")
    assert done.returncode == 5
    assert "Traceback" not in done.stderr
    assert f"`lmx-loadgen run --resume {folder}`" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert 0 < len(log.requests) < 62
    assert read_result(folder).complete is False

    result = lmx_loadgen("run", "--resume", folder, "--quiet")
    assert result.exit_code == 0, result.output
    assert read_result(folder).targets[0].levels[0].requests.ok == 60


@pytest.mark.slow
def test_a_folder_that_is_deleted_stops_the_run_at_once(fast: SimProcess, tmp_path: Path) -> None:
    class Deleting(Silent):
        seen = 0

        def finished(self, ok: bool, ttft_s: float | None, speed: float | None, in_tokens: bool = True) -> None:
            self.seen += 1
            if self.seen == 3:
                shutil.rmtree(next(tmp_path.iterdir()))

    view = Deleting()
    profile = asked_profile(targets=[f"a={fast.url}"], overrides={"load.concurrency": [1], "load.requests": 10_000})
    began = time.monotonic()
    with pytest.raises(StorageError, match=r"events\.jsonl was deleted while the run was on"):
        run_blocking(profile, options=Options(tmp_path), stop=StopFlag(), base_dir=tmp_path, view=view)

    assert view.seen == 3
    assert time.monotonic() - began < 60
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_result_that_cannot_be_stored_can_be_made_later(
    fast: SimProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, result: object) -> None:
        raise StorageError(f"cannot write {folder / 'result.json'}: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(outcome, "write_result", full)
        result = lmx_loadgen("run", "-t", f"a={fast.url}", *SMALL, "--quiet", "--out", tmp_path)
    (folder,) = tmp_path.iterdir()
    assert result.exit_code == 5
    assert f"`lmx-loadgen recompute {folder}`" in sentence_of(result)
    assert lmx_loadgen("recompute", folder).exit_code == 0
    assert read_result(folder).complete
    with pytest.raises(NotResumable):
        load_resume_state(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_said_before_anything_is_measured(fast: SimProcess, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    out.mkdir(mode=0o500)
    result = lmx_loadgen("run", "-t", f"a={fast.url}", *SMALL, "--quiet", "--out", out)
    assert result.exit_code == 5
    assert "cannot make the results folder" in sentence_of(result)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_run_that_may_not_be_written_any_more_is_not_gone_on_with(whole: Path, tmp_path: Path) -> None:
    folder = cut(whole, tmp_path, 30)
    (folder / "events.jsonl").chmod(0o400)
    result = lmx_loadgen("run", "--resume", folder, "--quiet")

    assert result.exit_code == 5
    assert "cannot reopen the event log" in sentence_of(result)
