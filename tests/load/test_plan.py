"""What runs after what, and which worker does which part of it."""

import itertools
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.load.arrivals import stagger_offsets
from lmx_loadgen.load.driver import merge_ends
from lmx_loadgen.load.jobs import JobMaker
from lmx_loadgen.load.messages import Job, SegmentEnd
from lmx_loadgen.load.plan import make_plan
from lmx_loadgen.load.prompts import prompt_book
from lmx_loadgen.profile import Load, Profile, Prompts, Request
from lmx_loadgen.targets import DIALECTS
from lmx_loadgen.targets.base import Target

TARGET = Target("box", DIALECTS["openai"], "http://127.0.0.1:1/v1", "m", {}, {"Authorization": "Bearer secret"})


def jobs(workers: int, **load: Any) -> list[Job]:
    profile = Profile(load=Load(**load), prompts=Prompts(text="Hello"), request=Request(max_tokens=7))
    maker = JobMaker(profile, prompt_book(profile.prompts, Path()), "run", insecure=False, ca_file=None)
    return maker.jobs(make_plan(profile, ["box"])[0], TARGET, workers)


def test_levels_run_low_to_high_and_at_each_every_target_in_turn() -> None:
    plan = make_plan(Profile(load=Load(concurrency=[8, 1], requests=5)), ["a", "b"])

    assert [(one.segment, one.level, one.concurrency, one.target) for one in plan] == [
        (0, 0, 1, "a"),
        (1, 0, 1, "b"),
        (2, 1, 8, "a"),
        (3, 1, 8, "b"),
    ]


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
        "segment": 3,
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
    merged = merge_ends([end(), end(ramp_end_ns=None, stopped="interrupted")])

    assert (merged.ramp_end_ns, merged.stopped) == (None, "interrupted")
