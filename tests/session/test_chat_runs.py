"""Whole runs of chats on the simulator: nonces, caches, histories, comparisons."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.analysis.comparison.compare import comparisons_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.datasets.chats import built_in_chats
from lmx_loadgen.profile.load_point import Closed, Sessions
from lmx_loadgen.profile.models import Load, Profile, Prompts, Request, TargetSpec
from lmx_loadgen.profile.prompts import chat_book
from lmx_loadgen.session.asked_profile import asked_profile
from lmx_loadgen.session.jobs import JobMaker
from lmx_loadgen.session.options import Options
from lmx_loadgen.session.plan import make_plan
from lmx_loadgen.session.resume import hash_inputs
from lmx_loadgen.session.run import run_blocking
from lmx_loadgen.session.stop_flag import StopFlag
from lmx_loadgen.session.view import Silent
from lmx_loadgen.sim.process import SimProcess, start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.store.log_reader import LogContents, read_log
from lmx_loadgen.store.result import RunResult
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target

TURNS = sum(len(chat.ends) for chat in built_in_chats())
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


ASKED = {"role": "user", "content": "One?"}


def lines(log: LogContents) -> list[dict[str, Any]]:
    return [line for line in log.requests if line["phase"] == "measured"]


def chat_of(line: dict[str, Any]) -> str:
    return str(line["prompt_id"]).rpartition("-")[2]


def test_each_chat_is_sent_once_and_its_cache_works_inside_it_alone(sim: SimProcess, tmp_path: Path) -> None:
    result, log = measured(sim, tmp_path, users=[1, 2])
    for level in result.targets[0].levels:
        sent = [line for line in lines(log) if line["load_point"] == level.load_point.model_dump()]
        nonces = {chat: {line["nonce"] for line in sent if chat_of(line) == chat} for chat in map(chat_of, sent)}

        assert len({line["prompt_id"] for line in sent}) == len(sent) == TURNS
        assert all(len(found) == 1 for found in nonces.values())
        assert len(set.union(*nonces.values())) == len(nonces) == len(built_in_chats())
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


def test_recorded_and_live_agree_where_the_answers_do(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": f"Question {turn}?"} for turn in range(4)]
    answer = {"role": "assistant", "content": "Fine, thanks."}
    (tmp_path / "c.jsonl").write_text(
        json.dumps({"messages": [one for question in asked for one in (question, answer)]})
    )
    with start(SimSettings(ttft_ms=2.0, step_ms=1.0, text="Fine, thanks.", prefix_cache=True)) as sim:
        found = [
            measured(sim, tmp_path, prompts={"chats": "c.jsonl", "answers": answers})[0].targets[0].levels[0].turns
            for answers in ("recorded", "live")
        ]
    recorded, live = ([(turn.context_tokens, turn.cached_share) for turn in turns] for turns in found)

    assert recorded == live
    assert len(recorded) == 4


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
    assert len(set(by_target[0])) == len(by_target[0]) == TURNS  # shared out to two blocks


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
    assert sorted(place for chat in job.talk.chats for place in chat.templates) == list(range(TURNS))


def dealt(profile: Profile, folder: Path, targets: list[str], workers: int = 1) -> list[list[int]]:
    """The numbers of the chats of each job of the first target, block by block."""
    maker = JobMaker(profile, chat_book(profile.prompts, folder), "run", insecure=False, ca_file=None)
    mine = [segment for segment in make_plan(profile, targets) if segment.target == targets[0]]
    jobs = [job for segment in mine for job in maker.jobs(segment, TARGET, workers)]
    return [[chat.number for chat in job.talk.chats] for job in jobs if job.talk is not None]


def test_chats_are_dealt_out_to_workers(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text("\n".join([json.dumps({"messages": [ASKED]})] * 4))
    profile = Profile(load=Load(users=[2]), prompts=Prompts(chats="c.jsonl"))

    assert dealt(profile, tmp_path, ["box"], workers=3) == [[0, 2], [1, 3], []]


@pytest.mark.parametrize(
    ("users", "blocks", "expected"),
    [
        (1, 2, [[0, 2, 4], [1, 3]]),
        (2, 2, [[0, 2, 4], [1, 3]]),
        (2, 3, [[0, 2, 4], [1, 3], [0, 2, 4]]),  # a third of them would leave a user without a chat
        (4, 2, [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]),
    ],
)
def test_each_block_has_a_chat_for_every_user(
    users: int, blocks: int, expected: list[list[int]], tmp_path: Path
) -> None:
    (tmp_path / "c.jsonl").write_text("\n".join([json.dumps({"messages": [ASKED]})] * 5))
    profile = Profile(
        targets=[TargetSpec(name=name, url="http://127.0.0.1:1") for name in ("a", "b")],
        load=Load(users=[users], blocks=blocks),
        prompts=Prompts(chats="c.jsonl"),
    )

    assert dealt(profile, tmp_path, ["a", "b"]) == expected


def test_tools_of_a_chat_are_on_offer_in_each_turn_and_a_part_of_what_is_compared(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    messages = [ASKED, {"role": "assistant", "content": "Yes."}, ASKED]
    hashes = []
    for name, entry in (("c.jsonl", {"messages": messages, "tools": [tool]}), ("d.jsonl", {"messages": messages})):
        (tmp_path / name).write_text(json.dumps(entry))
        profile = Profile(load=Load(users=[1]), prompts=Prompts(chats=name))
        book = chat_book(profile.prompts, tmp_path)
        hashes.append(hash_inputs(book, None, tmp_path)["prompts"])
        maker = JobMaker(profile, book, "run", insecure=False, ca_file=None)
        (job,) = maker.jobs(make_plan(profile, ["box"])[0], TARGET, 1)
        bodies = [json.loads(template.fill("n" * 16)) for template in job.templates]

        assert [body.get("tools") for body in bodies] == [entry.get("tools")] * 2
    assert hashes[0] != hashes[1]


def test_users_replace_the_profile_s_levels_unless_concurrency_is_given_too() -> None:
    alone = asked_profile("quick", overrides={"load.users": [2]})
    chats = asked_profile("quick", overrides={"prompts.chats": "c.jsonl"})
    both = asked_profile("quick", overrides={"load.users": [2], "load.concurrency": [4]})

    assert alone.load.points() == [Sessions(users=2)]
    assert chats.load.points() == [Sessions(users=1)]
    assert both.load.points() == [Closed(concurrency=4), Sessions(users=2)]


def test_a_profile_s_own_users_stay_where_only_their_chats_are_named(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("load: {users: [1, 4], requests: 20}\n")
    found = asked_profile(str(path), overrides={"prompts.chats": "c.jsonl", "load.think": 5.0})

    assert found.load.points() == [Sessions(users=1), Sessions(users=4)]
    assert (found.load.requests, found.load.think) == (20, 5.0)


def test_a_shape_beside_users_or_a_rate_is_measured_too() -> None:
    for other in ({"load.users": [2]}, {"load.rate": [2.0]}):
        found = asked_profile("quick", overrides={"load.shapes": "64:8", **other})

        assert [point.kind for point in found.load.points()] == [
            "closed",
            "sessions" if "load.users" in other else "open",
        ]
    assert [point.label for point in Load(shapes="64:8", users=[2]).points()] == ["64→8 at concurrency 1", "2 users"]


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (Profile(prompts=Prompts(chats="c.jsonl")), "--chats needs users"),
        (Profile(load=Load(think=2.0), prompts=Prompts(answers="live")), "--think and --answers live need users"),
        (Profile(prompts=Prompts(sample=3)), "--sample needs a file"),
        (Profile(load=Load(users=[1]), prompts=Prompts(text="Hi")), "give --chats instead"),
        (Profile(load=Load(users=[1]), endpoint="completions"), "need --endpoint chat"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(profile: Profile, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Options().check(profile)
