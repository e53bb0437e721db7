"""Whole runs of chats on the simulator: nonces, caches, histories, comparisons."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.analysis.comparison.compare import comparisons_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.load_point import Closed, Sessions
from lmx_loadgen.profile.models import Load, Profile, Prompts, Request, TargetSpec
from lmx_loadgen.profile.prompts import chat_book
from lmx_loadgen.session.asked_profile import asked_profile
from lmx_loadgen.session.jobs import JobMaker
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.plan import make_plan
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.eventlog import LogContents, read_log
from lmx_loadgen.store.result import RunResult
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target

TARGET = Target("box", DIALECTS["openai"], "http://127.0.0.1:1/v1", "m", {})


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    with start(SimSettings(ttft_ms=2.0, step_ms=1.0, prefix_cache=True)) as running:
        yield running


def measured(
    sim: SimProcess, tmp_path: Path, targets: int = 1, prompts: dict[str, Any] | None = None, **load: Any
) -> tuple[RunResult, LogContents]:
    profile = Profile(
        targets=[TargetSpec(name=f"s{number}", url=sim.url) for number in range(targets)],
        load=Load(**{"users": [1], "pause": 0, "warmup": 1, **load}),
        prompts=Prompts(**prompts or {}),
        request=Request(max_tokens=6),
    )
    options = Options(tmp_path / "runs", probe_cache=False, probe=False)
    outcome = run_blocking(profile, options=options, stop=StopFlag(), base_dir=tmp_path, view=Silent())
    return outcome.result, read_log(outcome.folder / "events.jsonl")


def lines(log: LogContents) -> list[dict[str, Any]]:
    return [line for line in log.requests if line["phase"] == "measured"]


def chat_of(line: dict[str, Any]) -> str:
    return str(line["prompt_id"]).rpartition("-")[2]


def test_each_chat_is_sent_once_and_its_cache_works_inside_it_alone(sim: SimProcess, tmp_path: Path) -> None:
    result, log = measured(sim, tmp_path, users=[1, 2])
    for level in result.targets[0].levels:
        sent = [line for line in lines(log) if line["load_point"] == level.load_point.model_dump()]
        nonces = {chat: {line["nonce"] for line in sent if chat_of(line) == chat} for chat in map(chat_of, sent)}

        assert len({line["prompt_id"] for line in sent}) == len(sent) == 25
        assert all(len(found) == 1 for found in nonces.values())
        assert len(set.union(*nonces.values())) == len(nonces) == 4
        first, *later = level.turns
        assert [turn.turn for turn in level.turns] == list(range(1, 11))
        assert first.cached_share == 0
        assert later[-1].cached_share is not None
        assert later[-1].cached_share > 0.7
        assert later[-1].context_tokens is not None
        assert first.context_tokens is not None
        assert later[-1].context_tokens > 10 * first.context_tokens
    by_level = [{line["nonce"] for line in lines(log) if line["load_point"]["users"] == users} for users in (1, 2)]
    assert not by_level[0] & by_level[1]


def test_warm_ups_are_no_chat_of_the_file(sim: SimProcess, tmp_path: Path) -> None:
    _, log = measured(sim, tmp_path, requests=3)

    assert {line["prompt_id"] for line in log.requests if line["phase"] == "warmup"} <= {"warmup-01", "warmup-02"}
    assert len(lines(log)) == 3  # turns


def test_a_live_chat_sends_the_server_s_own_answers(tmp_path: Path) -> None:
    chat = {"messages": [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "x" * 4000}] * 3}
    (tmp_path / "c.jsonl").write_text(json.dumps(chat))
    with start(SimSettings(ttft_ms=2.0, step_ms=1.0)) as sim:
        recorded, _ = measured(sim, tmp_path, prompts={"chats": "c.jsonl"})
        live, _ = measured(sim, tmp_path, prompts={"chats": "c.jsonl", "answers": "live"})
    long, short = (result.targets[0].levels[0].turns[-1].context_tokens for result in (recorded, live))

    assert long is not None
    assert short is not None
    assert long > 2000
    assert short < 100


def test_think_time_stands_between_turns(sim: SimProcess, tmp_path: Path) -> None:
    _, log = measured(sim, tmp_path, think=0.2, requests=3)
    one, two, three = lines(log)

    for before, after in ((one, two), (two, three)):
        assert after["intended_ns"] - before["end_ns"] == 200_000_000


def test_two_servers_that_cache_are_compared_on_the_same_turns(sim: SimProcess, tmp_path: Path) -> None:
    _, log = measured(sim, tmp_path, targets=2, blocks=2)
    (comparison,) = comparisons_of(MeasuredRun(log))
    audit = {one.key: one for one in comparison.audit}

    assert audit["cache_new_nonce"].status == "passed"
    assert audit["prompt_tokens"].status == "passed"
    by_target = [sorted(line["prompt_id"] for line in lines(log) if line["target"] == name) for name in ("s0", "s1")]
    assert by_target[0] == by_target[1]
    assert len(set(by_target[0])) == len(by_target[0]) == 25  # shared out to two blocks


def test_a_shared_system_message_has_one_nonce_in_the_run_and_chats_have_their_own(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("You are an agent.")
    profile = Profile(load=Load(users=[1]), prompts=Prompts(shared_system="s.txt"))
    maker = JobMaker(profile, chat_book(profile.prompts, tmp_path), "run", insecure=False, ca_file=None)
    (job,) = maker.jobs(make_plan(profile, ["box"])[0], TARGET, 1)
    bodies = [json.loads(template.fill("n" * 16)) for template in job.templates]
    systems = {body["messages"][0]["content"] for body in bodies}

    (system,) = systems
    assert system.endswith(" You are an agent.")
    assert len(system) == 17 + len("You are an agent.")
    assert all(body["messages"][1]["content"].startswith("n" * 16 + " ") for body in bodies)
    assert job.talk is not None
    assert sorted(place for chat in job.talk.chats for place in chat.templates) == list(range(25))


def test_chats_are_dealt_out_to_workers(tmp_path: Path) -> None:
    profile = Profile(load=Load(users=[2]))
    maker = JobMaker(profile, chat_book(profile.prompts, tmp_path), "run", insecure=False, ca_file=None)
    one, other, idle = maker.jobs(make_plan(profile, ["box"])[0], TARGET, 3)

    assert [[chat.number for chat in job.talk.chats] for job in (one, other, idle) if job.talk] == [[0, 2], [1, 3], []]


def test_users_replace_the_profile_s_levels_unless_concurrency_is_given_too() -> None:
    alone = asked_profile("quick", overrides={"load.users": [2]})
    chats = asked_profile("quick", overrides={"prompts.chats": "c.jsonl"})
    both = asked_profile("quick", overrides={"load.users": [2], "load.concurrency": [4]})

    assert alone.load.points() == [Sessions(users=2)]
    assert chats.load.points() == [Sessions(users=1)]
    assert both.load.points() == [Closed(concurrency=4), Sessions(users=2)]


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (Profile(prompts=Prompts(chats="c.jsonl")), "--chats need users"),
        (Profile(load=Load(users=[1]), prompts=Prompts(text="Hi")), "give --chats instead"),
        (Profile(load=Load(users=[1]), endpoint="completions"), "need --endpoint chat"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(profile: Profile, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Options().check(profile)
