"""Runs whose size is decided while they are on: by what a difference takes, and by the time there is."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from lmx_loadgen.analysis.comparison.power import Precision
from lmx_loadgen.cli import main
from lmx_loadgen.errors import InputError
from lmx_loadgen.load.stop import Stop
from lmx_loadgen.profile.checks import Checks
from lmx_loadgen.profile.load_point import ALONE, Closed, LoadPoint
from lmx_loadgen.profile.models import Load, Profile, TargetSpec
from lmx_loadgen.session.budget import Costs, WithinBudget
from lmx_loadgen.session.detect import Detect
from lmx_loadgen.session.history import History
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.plan import Segment, assumed_answer_s, make_plan
from lmx_loadgen.session.plan_description import plan_description
from lmx_loadgen.session.stop_rules import MaxDuration
from lmx_loadgen.session.strategy import Repeats, Strategy
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings

NEVER = Repeats(lambda point, block: False)
FOUR = Closed(concurrency=4)
NAMES = ["a", "b"]
PROFILE = Profile(load=Load(concurrency=[1, 4], pause="0s", warmup=0))


def precision(rounds: int, needed: int) -> Precision:
    return Precision("TTFT", rounds, 0.021, 0.04 if rounds >= needed else 0.2, needed)


def detecting(needed: Callable[[LoadPoint, int], int], history: History, said: list[str], max_s: float = 1e6) -> Detect:
    """`needed` says how many rounds a level takes, by how many it has."""

    def precise(point: LoadPoint) -> Precision:
        have = len({one.block for one in history.measured if one.load_point == point})
        return precision(have, needed(point, have))

    plan = make_plan(PROFILE, NAMES, 2)
    return Detect(PROFILE, NAMES, plan, NEVER, 0.05, precise, MaxDuration(max_s), 20, said.append)


def went(strategy: Strategy, history: History) -> dict[LoadPoint, int]:
    """How many rounds of each level a strategy asks for."""
    found: dict[LoadPoint, set[int]] = {}
    while (segment := strategy.next(history)) is not None:
        history.add(segment, 0.0)
        found.setdefault(segment.load_point, set()).add(segment.block)
    return {point: len(blocks) for point, blocks in found.items()}


def test_each_level_gets_the_rounds_that_its_own_scatter_takes() -> None:
    history, said = History(), list[str]()
    needed = {ALONE: 6, FOUR: 12}

    assert went(detecting(lambda point, have: needed[point], history, said), history) == needed
    assert said[:3] == [
        "concurrency 1: 6 rounds planned, by the scatter of the first 2",
        "concurrency 1, 4 rounds: ± 2.1 % now (TTFT), 20 % detectable with 80 % power",
        "concurrency 1, 6 rounds: ± 2.1 % now (TTFT), 4 % detectable with 80 % power",
    ]


def test_the_plan_is_made_once_and_again_only_where_rounds_scatter_more_than_it_seemed() -> None:
    """After two rounds eight; that it would be six after four is not looked at; after eight it is ten."""
    history = History()
    planned = {2: 8, 4: 4, 6: 6, 8: 10, 10: 10}

    assert went(detecting(lambda point, have: planned[have], history, []), history)[ALONE] == 10


def test_what_takes_more_than_there_may_be_is_said() -> None:
    history, said = History(), list[str]()

    assert went(detecting(lambda point, have: 99, history, said), history) == {ALONE: 20, FOUR: 20}
    assert "concurrency 4: 5 % takes more than 20 rounds" in said


def test_no_rounds_are_added_without_time_for_them() -> None:
    history, said = History(), list[str]()

    assert went(detecting(lambda point, have: 8, history, said, max_s=0.0), history) == {ALONE: 2, FOUR: 2}
    assert any("no time" in words for words in said)


def test_rounds_that_had_begun_before_a_run_was_resumed_are_finished() -> None:
    history = History(begun={ALONE: 6, FOUR: 0})

    assert went(detecting(lambda point, have: 4, history, []), history) == {ALONE: 6, FOUR: 4}


def test_a_target_that_is_given_up_ends_the_planning() -> None:
    history = History(aborted={"b": Stop("errors", "all failed")})

    assert went(detecting(lambda point, have: 8, history, []), history) == {ALONE: 2, FOUR: 2}


# Within a budget


@dataclass
class MadeServers:
    """Servers whose answers take so many seconds, on a clock of their own."""

    answer_s: dict[int, float]
    now: float = 0.0
    sent: list[Segment] = field(default_factory=list)

    def measure(self, segment: Segment, history: History) -> None:
        slots = segment.load_point.slots
        answer_s, requests = self.answer_s[slots], segment.requests or 10**9
        began, waves = self.now, 0
        while waves * slots < requests and (segment.duration is None or waves * answer_s < segment.duration):
            waves += 1
        self.now += (waves + segment.warmup) * answer_s
        self.sent.append(segment)
        history.add(segment, self.now - began)
        line = {"outcome": "ok", "target": segment.target, "phase": "measured", "block": segment.block, "stalls": []}
        line |= {"load_point": segment.load_point.model_dump(), "intended_ns": 0, "send_ns": 0}
        history.note_request(line | {"end_ns": round(answer_s * 1e9)})


def within(budget: float, servers: MadeServers, monkeypatch: pytest.MonkeyPatch, targets: int = 2) -> list[str]:
    """What is said while everything that fits is measured; the servers' clock goes on."""
    monkeypatch.setattr(time, "monotonic", lambda: servers.now)
    profile = Profile(load=Load(concurrency=[1, 4], pause="1s", requests=12))
    names, history, said = NAMES[:targets], History(), list[str]()
    plan = make_plan(profile, names, 3 if targets > 1 else 1)
    costs = Costs(profile, targets, assumed_answer_s(profile.request.max_tokens))
    strategy = WithinBudget(profile, names, plan, NEVER, MaxDuration(budget), costs, 60, said.append)
    while (segment := strategy.next(history)) is not None:
        servers.now += 1.0 if servers.sent and targets > 1 else 0.0
        servers.measure(segment, history)
    alone, others = servers.answer_s[1], [servers.answer_s[4]] if blocks_at(servers, 4) else []
    checks = 2.6 * alone + sum(
        [alone, *others] if others else []
    )  # a probe of three, then the same answer at each load
    servers.now += targets * checks
    return said


def blocks_at(servers: MadeServers, slots: int) -> int:
    return sum(segment.load_point.slots == slots for segment in servers.sent)


def test_probes_have_their_time_and_nothing_is_compared_at_a_level_that_was_left_out() -> None:
    """As measured on llama.cpp with one slot and 1.3 s an answer: a probe takes 1.5, 1.5 and 0.3 s."""
    history = History()
    line = {"outcome": "ok", "target": "a", "phase": "measured", "load_point": ALONE.model_dump(), "block": 0}
    history.note_request({**line, "intended_ns": 0, "send_ns": 0, "end_ns": 1_300_000_000})
    costs = Costs(PROFILE.model_copy(update={"checks": Checks(stability=True)}), 2, 5.0)

    assert costs.checks_s(history, [FOUR]) == pytest.approx(2 * 3 * 1.3)
    assert costs.checks_s(history) == pytest.approx(2 * 5 * 1.3)


@pytest.mark.parametrize("answer_s", [0.3, 1.0, 3.0, 7.0])
@pytest.mark.parametrize("budget", [120.0, 300.0, 900.0])
def test_it_ends_in_time_and_leaves_little_of_it(
    answer_s: float, budget: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = MadeServers({1: answer_s, 4: 1.5 * answer_s})
    within(budget, servers, monkeypatch)

    most_answers = 3.0 * answer_s  # of a block that is on
    assert servers.now <= budget * 1.1 + most_answers
    assert servers.now >= min(0.6 * budget, 60 * 2 * 8 * answer_s)
    assert blocks_at(servers, 1) >= 6


def test_a_heavy_level_without_time_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = MadeServers({1: 5.0, 4: 40.0})
    said = within(60.0, servers, monkeypatch)

    assert "no time for concurrency 4 within the budget" in said
    assert blocks_at(servers, 4) == 0
    assert blocks_at(servers, 1) >= 6


def test_blocks_are_cut_to_what_three_rounds_leave_them(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = MadeServers({1: 4.0, 4: 6.0})
    within(200.0, servers, monkeypatch)
    first = [segment for segment in servers.sent if segment.load_point == ALONE]

    assert all(segment.duration is not None for segment in first)
    assert first[-1].duration < 8 * 4.0  # type: ignore[operator]
    assert blocks_at(servers, 4) >= 6


def test_one_target_alone_gets_blocks_as_long_as_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = MadeServers({1: 1.0, 4: 1.5})
    within(120.0, servers, monkeypatch, targets=1)

    assert blocks_at(servers, 1) >= 2
    assert 80 <= servers.now <= 132


# What is asked for


@pytest.mark.parametrize(
    "options",
    [
        Options(detect=0.05, until_conclusive=True),
        Options(detect=0.05, budget=60.0),
        Options(budget=60.0, until_conclusive=True),
        Options(max_duration=60.0),
        Options(detect=1.5),
    ],
)
def test_what_makes_no_sense_together(options: Options) -> None:
    profile = PROFILE.model_copy(update={"targets": [TargetSpec(name="a"), TargetSpec(name="b")]})

    with pytest.raises(InputError):
        options.check(profile)


def test_a_difference_takes_two_targets_and_no_number_of_blocks() -> None:
    with pytest.raises(InputError, match="two targets"):
        Options(detect=0.05).check(PROFILE)
    two = [TargetSpec(name="a"), TargetSpec(name="b")]
    with pytest.raises(InputError, match="--blocks"):
        Options(detect=0.05).check(Profile(targets=two, load=Load(blocks=8)))


def test_a_dry_run_says_how_it_will_be_decided() -> None:
    profile = PROFILE.model_copy(update={"targets": [TargetSpec(name="sim"), TargetSpec(name="sim2", url="http://x")]})
    detect, budget = (
        "\n".join(plan_description(profile, make_plan(profile, ["sim", "sim2"], options.first_rounds(2)), options))
        for options in (Options(detect=0.05), Options(budget=300.0))
    )

    assert "a difference of 5 % with 80 % power" in detect
    assert "too few blocks" not in detect
    assert "5 min 00 s, checks included" in budget


@pytest.mark.slow
@pytest.mark.timing
def test_a_budget_is_kept_over_real_sockets(tmp_path: Path) -> None:
    """A machine of its own may take 10 % longer; this one shares its processors, and has a second beside."""
    budget = 12.0
    with start(SimSettings(ttft_ms=60, step_ms=5)) as a, start(SimSettings(ttft_ms=60, step_ms=6)) as b:
        began = time.monotonic()
        done = CliRunner().invoke(
            main,
            [
                *("run", "-t", f"a={a.base_url}", "-t", f"b={b.base_url}", "--budget", f"{budget:g}s", "--pause", "0"),
                *("--max-tokens", "12", "--no-calibrate", "--quiet", "--out", str(tmp_path)),
                *("--accept", "other programs run beside these tests"),
            ],
        )
        took = time.monotonic() - began

    assert done.exit_code == 0, done.output
    assert 0.6 * budget <= took <= 1.1 * budget + 1.0
    (folder,) = tmp_path.iterdir()
    assert len(json.loads((folder / "result.json").read_bytes())["comparisons"][0]["levels"]) == 2
