"""Due times: Poisson ones scatter as they should however many processes share them, constant ones are exact."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lmx_loadgen.load.arrivals import drawn, recorded
from lmx_loadgen.profile.load_point import Open
from lmx_loadgen.profile.models import Load, Profile
from lmx_loadgen.profile.replay import asked_prompts
from lmx_loadgen.session.jobs import JobMaker
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.store.segment_key import SegmentKey
from lmx_loadgen.system.clock import NS
from tests.helpers.pipeline import target_at

BINS, PER_BIN = 6_000, 8
RATE = 100.0


def shares(workers: int, *, arrivals: str = "poisson", block: int = 0, seed: int = 42) -> list[list[int]]:
    """The due times that each of so many processes gets of a segment."""
    profile = Profile(load=Load(rate=[RATE], arrivals=arrivals))
    profile = profile.model_copy(update={"request": profile.request.model_copy(update={"seed": seed})})
    book, trace = asked_prompts(profile, Path())
    maker = JobMaker(profile, book, "k", insecure=False, ca_file=None, trace=trace)
    point = Open(rate=RATE, arrivals=arrivals)
    segment = Segment(SegmentKey("here", point, block), None, BINS * PER_BIN / RATE, 0)
    return [job.due_ns or [] for job in maker.jobs(segment, target_at("http://127.0.0.1:1/v1"), workers)]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_poisson_arrivals_scatter_like_poisson_ones_whoever_sends_them(workers: int) -> None:
    due = np.sort(np.concatenate([np.array(share) for share in shares(workers)]))
    counts = np.histogram(due, bins=BINS, range=(0, BINS * PER_BIN / RATE * NS))[0]

    dispersion = counts.var(ddof=1) / counts.mean()
    away = counts - counts.mean()
    correlation = float((away[:-1] * away[1:]).sum() / (away * away).sum())

    assert dispersion == pytest.approx(1.0, abs=0.05)
    assert abs(correlation) < 3 / BINS**0.5
    assert counts.mean() == pytest.approx(PER_BIN, rel=0.02)


def test_processes_share_one_sequence_and_take_every_nth_of_it() -> None:
    (whole,) = shares(1)
    parts = shares(3)

    assert [parts[place % 3][place // 3] for place in range(len(whole))] == whole


def test_the_same_seed_gives_the_same_times_and_each_block_others() -> None:
    assert shares(1) == shares(1)
    assert shares(1) != shares(1, block=1)
    assert shares(1) != shares(1, seed=43)


def test_constant_arrivals_are_exact() -> None:
    (due,) = shares(1, arrivals="constant")

    assert due == [place * NS // 100 for place in range(BINS * PER_BIN)]
    thirds = drawn(3.0, "constant", "s", requests=3_000_001, duration_ns=None).offsets_ns
    assert [thirds[place] for place in (1, 2, 3, 3_000_000)] == [333_333_333, 666_666_667, NS, 1_000_000 * NS]


def test_a_load_lasts_as_long_as_asked_or_as_its_requests_take() -> None:
    by_time = drawn(10.0, "constant", "s", requests=None, duration_ns=NS)
    by_count = drawn(10.0, "constant", "s", requests=5, duration_ns=None)
    by_both = drawn(10.0, "constant", "s", requests=5, duration_ns=NS)
    none = drawn(0.001, "poisson", "s", requests=None, duration_ns=1)

    assert (len(by_time.offsets_ns), by_time.horizon_ns) == (10, NS)
    assert (len(by_count.offsets_ns), by_count.horizon_ns) == (5, NS // 2)
    assert by_both == by_count
    assert (none.offsets_ns, none.horizon_ns) == ([], 1)


def test_a_recording_is_cut_by_its_limits() -> None:
    whole = recorded([0, 10, 20, 30], requests=None, duration_ns=None)

    assert (whole.offsets_ns, whole.horizon_ns) == ([0, 10, 20, 30], 37)
    assert recorded([0, 10, 20, 30], requests=2, duration_ns=None).offsets_ns == [0, 10]
    assert recorded([0, 10, 20, 30], requests=None, duration_ns=21).offsets_ns == [0, 10, 20]


def test_a_replay_sends_its_own_prompts_at_its_own_times(tmp_path: Path) -> None:
    lines = [{"at_s": 5.5, "prompt": "B"}, {"at_s": 5, "prompt": "A"}, {"at_s": 6, "prompt": "B2"}]
    (tmp_path / "trace.jsonl").write_text("\n".join(map(json.dumps, lines)))
    profile = Profile(load=Load(replay=str(tmp_path / "trace.jsonl")))
    book, trace = asked_prompts(profile, Path())
    maker = JobMaker(profile, book, "k", insecure=False, ca_file=None, trace=trace)
    (point,) = profile.load.points()
    jobs = maker.jobs(Segment(SegmentKey("here", point, 0), None, None, 0), target_at("http://127.0.0.1:1/v1"), 2)

    assert [job.due_ns for job in jobs] == [[0, NS], [NS // 2]]
    sent = Counter()
    for job in jobs:
        for place, due in enumerate(job.due_ns or []):
            number = job.first + place * job.step
            sent[due, book.measured[job.order[number % len(job.order)]].messages[0]["content"]] += 1
    assert sent == Counter([(0, "A"), (NS // 2, "B"), (NS, "B2")])
