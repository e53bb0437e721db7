"""What runs after what, and which worker does which part of it."""

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.load.driver import merge_ends
from lmx_loadgen.load.messages import Job, SegmentEnd
from lmx_loadgen.load.schedule import stagger_offsets
from lmx_loadgen.load.stop import INTERRUPTED
from lmx_loadgen.profile.load_point import ALONE, LoadPoint
from lmx_loadgen.profile.models import Load, Profile, Prompts, Request
from lmx_loadgen.profile.prompts import prompt_book
from lmx_loadgen.session.jobs import JobMaker
from lmx_loadgen.session.plan import Segment, described, estimate_s, make_plan, more_rounds, rounds
from lmx_loadgen.store.segment_key import SegmentKey
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target
from tests.helpers.steps import Steps, Until, course

TARGET = Target("box", DIALECTS["openai"], "http://127.0.0.1:1/v1", "m", {}, {"Authorization": "Bearer secret"})


def jobs(workers: int, **load: Any) -> list[Job]:
    profile = Profile(load=Load(**load), prompts=Prompts(text="Hello"), request=Request(max_tokens=7))
    maker = JobMaker(profile, prompt_book(profile.prompts, Path()), "run", insecure=False, ca_file=None)
    return maker.jobs(make_plan(profile, ["box"])[0], TARGET, workers)


def order(plan: list[Segment], slots: int = 1) -> str:
    """The targets of a level in the order they run, rounds apart: "ab ba"."""
    of_level = [one for one in plan if one.load_point.slots == slots]
    blocks = itertools.groupby(of_level, lambda one: one.block)
    return " ".join("".join(one.target for one in group) for _, group in blocks)


def test_one_target_has_one_segment_a_level_low_to_high() -> None:
    plan = make_plan(Profile(load=Load(concurrency=[8, 1], requests=5)), ["a"])

    assert [(one.load_point.slots, one.block, one.requests) for one in plan] == [(1, 0, 5), (8, 0, 5)]


def test_two_targets_take_turns_in_rounds_that_mirror_each_other() -> None:
    for seed in range(20):
        plan = make_plan(Profile(load=Load(concurrency=[1, 8]), request=Request(seed=seed)), ["a", "b"])

        assert order(plan, 1) in ("ab ba ab ba ab ba", "ba ab ba ab ba ab")
        assert order(plan, 8) in ("ab ba ab ba ab ba", "ba ab ba ab ba ab")
        assert len({one.key for one in plan}) == len(plan) == 24


def test_which_target_begins_is_drawn_from_the_seed() -> None:
    begins = {order(make_plan(Profile(request=Request(seed=seed)), ["a", "b"]))[0] for seed in range(20)}

    assert begins == {"a", "b"}
    assert order(make_plan(Profile(), ["a", "b"])) == order(make_plan(Profile(), ["a", "b"]))


def test_the_draw_depends_on_the_seed_and_the_load_point_alone() -> None:
    """Other levels beside it change nothing."""
    for seed in range(20):
        alone, among = (
            make_plan(Profile(load=Load(concurrency=points), request=Request(seed=seed)), ["a", "b", "c"])
            for points in ([8], [1, 2, 8])
        )

        assert order(alone, 8) == order(among, 8)


@pytest.mark.parametrize("targets", [1, 2, 3, 4, 5])
def test_more_rounds_go_on_in_the_order_that_the_first_one_has(targets: int) -> None:
    """A run that was begun by an earlier version drew its order otherwise."""
    names = [f"t{number}" for number in range(targets)]
    for seed in range(10):
        profile = Profile(load=Load(blocks=4), request=Request(seed=seed))
        plan = make_plan(profile, names)
        other = dict(zip(names, [*names[1:], names[0]], strict=True))
        drawn_otherwise = [replace(one, key=one.key._replace(target=other[one.target])) for one in plan]

        assert more_rounds(profile, plan[: 2 * targets], range(2, 4), 4) == plan[2 * targets :]
        more = more_rounds(profile, drawn_otherwise[: 2 * targets], range(2, 4), 4)
        assert more == drawn_otherwise[2 * targets :]


@given(targets=st.integers(2, 5), pairs=st.integers(1, 6), seed=st.integers(0, 99))
def test_a_steady_drift_falls_on_all_targets_alike(targets: int, pairs: int, seed: int) -> None:
    names = [f"t{number}" for number in range(targets)]
    plan = make_plan(Profile(load=Load(blocks=2 * pairs), request=Request(seed=seed)), names)
    places = {name: [place for place, one in enumerate(plan) if one.target == name] for name in names}

    assert len({sum(of_target) for of_target in places.values()}) == 1


@pytest.mark.parametrize("targets", [2, 3, 4, 5, 6, 7])
def test_each_target_comes_equally_often_after_each_other_and_in_each_place(targets: int) -> None:
    """A Williams design: what a block leaves behind falls on all others alike."""
    names = [f"t{number}" for number in range(targets)]
    rounds_of_design = targets if targets % 2 == 0 else 2 * targets
    plan = make_plan(Profile(load=Load(blocks=rounds_of_design)), names)
    rows = [[one.target for one in plan if one.block == block] for block in range(rounds_of_design)]
    after = Counter(pair for row in rows for pair in itertools.pairwise(row))

    assert after == dict.fromkeys(itertools.permutations(names, 2), rounds_of_design // targets)
    for place in range(targets):
        assert len(set(Counter(row[place] for row in rows).values())) == 1


@pytest.mark.parametrize(("blocks", "expected"), [(2, True), (3, False)])
def test_the_plan_says_where_no_verdict_can_come_of_it(blocks: int, expected: bool) -> None:
    profile = Profile(load=Load(blocks=blocks))
    lines = described(profile, make_plan(profile, ["a", "b"]), ["a", "b"])

    assert any("too few blocks for a verdict, use at least 3" in line for line in lines) is expected


def test_blocks_of_a_round_have_the_same_prompts_and_the_next_round_goes_on_from_there() -> None:
    plan = make_plan(Profile(load=Load(requests=60, blocks=3)), ["a", "b"])

    assert {(one.block, one.offset, one.requests) for one in plan} == {(0, 0, 20), (1, 20, 20), (2, 40, 20)}


@pytest.mark.parametrize(
    ("load", "requests", "duration"),
    [
        ({"requests": 100, "concurrency": [2]}, 17, None),  # a sixth of them, rounded up
        ({"requests": 12, "concurrency": [2]}, 8, None),  # but eight at least
        ({"requests": 12, "concurrency": [16]}, 48, None),  # and three a slot
        ({"duration": "2m", "concurrency": [1]}, None, 20.0),
        ({"duration": "12s", "concurrency": [1]}, None, 5.0),  # a block of two seconds would say little
        ({"duration": "3s", "concurrency": [1]}, None, 3.0),
    ],
)
def test_the_load_of_a_level_is_shared_by_its_blocks(load: Any, requests: int | None, duration: float | None) -> None:
    block = make_plan(Profile(load=Load(**load)), ["a", "b"])[0]

    assert (block.requests, block.duration) == (requests, duration)


def test_rounds_can_be_added_to_a_plan_that_has_run() -> None:
    profile = Profile(load=Load(requests=60))
    later = rounds(profile, ["a", "b"], ALONE, range(6, 8), 6)

    whole = order(make_plan(profile, ["a", "b"])) + " " + order(later)
    assert whole in ("ab ba ab ba ab ba ab ba", "ba ab ba ab ba ab ba ab")
    assert [(one.block, one.offset) for one in later] == [(6, 60), (6, 60), (7, 70), (7, 70)]


def test_the_estimate_is_of_full_answers_at_30_tokens_a_second_with_the_pauses() -> None:
    load = Load(concurrency=[2], requests=10, warmup=1, pause=2)
    profile = Profile(load=load, request=Request(max_tokens=285))  # ten seconds an answer
    two = make_plan(profile, ["a", "b"])

    assert estimate_s(profile, make_plan(profile, ["a"])) == pytest.approx(60)
    assert estimate_s(profile, two) == pytest.approx(12 * (1 + 4) * 10 + 11 * 2)


def test_the_prompts_of_a_later_block_begin_where_the_one_before_ended() -> None:
    profile = Profile(load=Load(requests=60, blocks=2), prompts=Prompts(lengths=["short", "medium"]))
    maker = JobMaker(profile, prompt_book(profile.prompts, Path()), "run", insecure=False, ca_file=None)
    (first,), (second,) = (maker.jobs(segment, TARGET, 1) for segment in make_plan(profile, ["box"]))

    assert second.order == first.order[30 % len(first.order) :] + first.order[: 30 % len(first.order)]


def test_a_probe_sends_two_new_prompts_and_then_the_second_again() -> None:
    profile = Profile(load=Load(concurrency=[3]), prompts=Prompts(text="Hello"))
    maker = JobMaker(profile, prompt_book(profile.prompts, Path()), "run", insecure=False, ca_file=None)
    keys = [SegmentKey("box", ALONE, block, "probe") for block in (0, 1)]
    fresh, again = Segment(keys[0], 2, None, 0), Segment(keys[1], 1, None, 0)
    (cold, idle), (repeat, _) = maker.probe(fresh, TARGET, 2, 0), maker.probe(again, TARGET, 2, 1)

    assert (cold.first, cold.requests, cold.warmup, idle.requests) == (0, 2, 0, 0)
    assert (repeat.first, repeat.requests) == (1, 1)
    assert cold.nonce_key == repeat.nonce_key
    assert cold.templates == repeat.templates


def test_a_level_without_an_end_gets_one() -> None:
    amounts = [one.requests for one in make_plan(Profile(load=Load(concurrency=[1, 2, 64])), ["a"])]

    assert amounts == [10, 10, 256]
    assert make_plan(Profile(load=Load(duration="30s")), ["a"])[0].requests is None


@given(slots=st.integers(1, 300), spread=st.integers(0, 10**12))
def test_slots_start_evenly_within_the_spread(slots: int, spread: int) -> None:
    offsets = stagger_offsets(slots, spread)

    assert offsets[0] == 0
    assert offsets == sorted(offsets)
    assert len(offsets) == slots
    assert all(offset <= spread for offset in offsets)
    steps = {late - early for early, late in itertools.pairwise(offsets)}
    assert not steps or max(steps) - min(steps) <= 1


@given(workers=st.integers(1, 8), slots=st.integers(1, 40), requests=st.integers(1, 200))
def test_workers_share_slots_and_requests_without_rest_or_overlap(workers: int, slots: int, requests: int) -> None:
    made = jobs(workers, concurrency=[slots], requests=requests)
    numbers = [job.first + job.step * place for job in made for place in range(job.requests or 0)]

    assert len(made) == workers
    assert sorted(slot for job in made for slot in job.slots) == list(range(slots))
    assert sorted(numbers) == list(range(requests))
    assert all(job.requests == 0 for job in made if not job.slots)
    assert max(len(job.slots) for job in made) - min(len(job.slots) for job in made) <= 1


def test_the_key_travels_in_headers_and_shows_in_no_text_of_a_job() -> None:
    (job,) = jobs(1, concurrency=[1], requests=1)

    assert ("Authorization", "Bearer secret") in job.headers
    assert "secret" not in repr(job)
    assert "secret" not in repr(TARGET)


def end(**changes: Any) -> SegmentEnd:
    marks: dict[str, Any] = {
        "segment": "box/concurrency 1/0/load",
        "start_ns": 10,
        "ramp_end_ns": 20,
        "drain_start_ns": 80,
        "end_ns": 100,
        "stopped": None,
        "cpu_share": 0.2,
        "cpu_s": 1.0,
        "peak_rss_bytes": 50,
        "lag_max_ns": 5,
    }
    return SegmentEnd(**marks | changes)


def test_marks_of_several_workers_are_those_of_the_load_as_a_whole() -> None:
    merged = merge_ends([end(), end(ramp_end_ns=30, drain_start_ns=70, end_ns=90, cpu_share=0.9, lag_max_ns=None)])

    # full when the last slot has started, draining when the first finds no more work
    assert (merged.start_ns, merged.ramp_end_ns, merged.drain_start_ns, merged.end_ns) == (10, 30, 70, 100)
    assert (merged.cpu_share, merged.cpu_s, merged.lag_max_ns) == (0.9, 2.0, 5)


def test_a_load_that_was_never_full_has_no_end_of_its_ramp() -> None:
    merged = merge_ends([end(), end(ramp_end_ns=None, stopped=INTERRUPTED)])

    assert (merged.ramp_end_ns, merged.stopped) == (None, INTERRUPTED)


class Tainted:
    """Says of the rounds it is given that they are tainted, so often each."""

    def __init__(self, **rounds: int) -> None:
        self.left = {(ALONE, int(name[1:])): times for name, times in rounds.items()}

    def __call__(self, point: LoadPoint, block: int) -> bool:
        left = self.left.get((point, block), 0)
        self.left[point, block] = left - 1
        return left > 0


def rounds_run(steps: Steps) -> list[int]:
    """The block of each segment, in the order they ran."""
    return [segment.block for segment in steps.segments]


def again(tainted: Tainted, blocks: int = 3) -> Steps:
    steps = Steps()
    load = Load(concurrency=[1], blocks=blocks, pause=0)
    course(steps, Profile(load=load), Until(lambda point: True, 1000, 30), tainted=tainted).run()
    return steps


def test_a_tainted_round_is_measured_again_under_its_own_keys() -> None:
    steps = again(Tainted(b1=1))

    assert rounds_run(steps) == [0, 0, 1, 1, 1, 1, 2, 2]
    assert [one.key for one in steps.segments[2:4]] == [one.key for one in steps.segments[4:6]]
    assert steps.again == [(ALONE, 1)]


def test_at_most_two_rounds_of_a_level_are_measured_again() -> None:
    assert rounds_run(again(Tainted(b0=1, b1=5))) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert rounds_run(again(Tainted(b1=5))) == [0, 0, 1, 1, 1, 1, 1, 1, 2, 2]


def test_what_is_measured_again_is_sent_under_nonces_that_were_never_sent() -> None:
    profile = Profile(load=Load(concurrency=[1]), prompts=Prompts(text="Hello"))
    maker = JobMaker(profile, prompt_book(profile.prompts, Path()), "run", insecure=False, ca_file=None)
    (segment,) = make_plan(profile, ["box"])
    first = maker.jobs(segment, TARGET, 1)[0].nonce_key
    again = maker.jobs(replace(segment, attempt=1), TARGET, 1)[0].nonce_key
    once_more = maker.jobs(replace(segment, attempt=2), TARGET, 1)[0].nonce_key

    assert len({first, again, once_more}) == 3
