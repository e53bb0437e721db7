"""What a search found, by its log: its sentence, what broke first, which requests count, how two servers compare."""

from collections.abc import Sequence
from typing import Any

import pytest

from lmx_loadgen.analysis.capacity import one_block
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.read_records import record
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.profile.load_point import Closed, LoadPoint, Open
from lmx_loadgen.report.capacity import capacity_lines
from lmx_loadgen.store.result import RunResult
from tests.helpers.made_lines import MS, PROFILE, header_line, made_log, request_line, segment_line, steady

# How many requests of each block keep a limit of 1 s and how many do not, by concurrency or rate.
Counts = dict[float, Sequence[tuple[int, int]]]


def result_of(
    found: Counts, by: str = "concurrency", others: dict[str, Counts] | None = None, **segment: Any
) -> RunResult:
    """The result of a search that measured these of `box`, and of other targets."""
    names = {"box": found, **(others or {})}
    lines: list[dict[str, Any]] = []
    segments = []
    for name, counts in names.items():
        for load, blocks in counts.items():
            at: LoadPoint = Open(rate=load) if by == "rate" else Closed(concurrency=int(load))
            for block, (kept, missed) in enumerate(blocks):
                place = {"target": name, "block": block, "load_point": at.model_dump()}
                segments.append(segment_line(0, 1000, 1500, **place) | segment)
                waits = [*[200.0] * kept, *[1500.0] * missed]
                lines += [
                    request_line(steady(first=wait), send=1000.0 + i, stalls=[], **place)
                    for i, wait in enumerate(waits)
                ]
    asked = {"capacity": by, "share": 0.95, "within": 60.0}
    profile = PROFILE | {"slo": PROFILE["slo"] | {"ttft": 1.0}, "load": {"max_in_flight": 256}}
    target = header_line()["targets"][0]
    targets = [target | {"name": name} for name in names]
    lines = [line | {"id": place} for place, line in enumerate(lines)]
    log = made_log(lines, segments=segments, profile=profile, plan=[], going_on=asked, targets=targets)
    return summarize(MeasuredRun(log))


def sentence_of(found: Counts, by: str = "concurrency", **segment: Any) -> str:
    capacity = result_of(found, by, **segment).targets[0].capacity
    assert capacity is not None
    return capacity.sentence


ALL, FEW = (150, 0), (20, 20)
JUST_KEPT, JUST_MISSED = [(19, 1)] * 12, [(37, 3)] * 12


def test_the_highest_load_that_passes_and_the_lowest_that_fails() -> None:
    result = result_of({1: [ALL], 2: [ALL], 3: [FEW], 4: [FEW]})
    (found,) = (target.capacity for target in result.targets)
    assert found is not None

    assert found.sentence == "box serves 2 concurrent requests (2 passes, 3 fails; 95 % confidence)"
    assert (found.value, found.passes, found.fails, found.confidence) == (2, 2, 3, 0.95)
    assert (found.limit_broken, found.monotone, found.finished) == ("TTFT", True, True)
    assert [(point.load, point.share) for point in found.points] == [(1, 1.0), (2, 1.0), (3, 0.5), (4, 0.5)]
    assert list(capacity_lines(result)) == [
        found.sentence,
        "  first to break: TTFT over its limit",
        "  concurrency 1: 100 % of 150 requests within the limits (96–100 %), passes",
        "  concurrency 2: 100 % of 150 requests within the limits (96–100 %), passes",
        "  concurrency 3: 50 % of 40 requests within the limits (28–72 %), fails",
        "  concurrency 4: 50 % of 40 requests within the limits (28–72 %), fails",
    ]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({1: [ALL], 2: [ALL], 3: JUST_MISSED}, "2 passes, 3 fails; 95 % confidence: at least 2"),
        ({1: [ALL], 2: JUST_KEPT, 3: JUST_MISSED, 4: [FEW]}, "95 % confidence: between 1 and 4"),
        ({1: JUST_KEPT, 2: JUST_MISSED}, "1 passes, 2 fails; not certain at 95 % confidence"),
        ({1: [ALL], 2: [(20, 0)], 4: [(19, 2)]}, "95 % confidence: at least 1; the time was up"),
        ({1: [ALL], 2: [FEW], 4: [ALL]}, "1 passes, 2 fails; 95 % confidence; not monotone, 4 passes as well"),
        ({1: [ALL], 2: [ALL]}, "serves at least 2 concurrent requests (no load that was tried fails;"),
        ({1: [FEW]}, "box does not serve 1 concurrent request (1 fails; 95 % confidence)"),
    ],
)
def test_what_chance_and_time_leave_open_is_said(found: Counts, words: str) -> None:
    assert words in sentence_of(found)


def test_by_rate_and_by_users() -> None:
    assert sentence_of({1: [ALL], 1.19: [FEW]}, "rate").startswith("box serves 1 request/s (1 passes, 1.19 fails;")
    assert sentence_of({1: [ALL], 2: [FEW]}, "users").startswith("box serves 1 user without time to think (1 passes,")


def test_a_server_that_falls_behind_fails_whatever_its_share() -> None:
    result = result_of({1: [ALL], 1.19: [ALL]}, "rate", stopped="overloaded: 9 came", stop_kind="overload")
    found = result.targets[0].capacity
    assert found is not None

    assert (found.passes, found.fails, found.limit_broken) == (None, 1.0, "overload")


def test_a_block_that_was_cut_off_does_not_count() -> None:
    result = result_of({1: [ALL]}, stopped="the time was up", stop_kind="interrupted")

    assert result.targets[0].capacity is None
    assert list(capacity_lines(result)) == ["box: nothing was measured"]


def test_two_servers_are_compared_by_what_each_surely_serves() -> None:
    more = {1: [ALL], 2: [ALL], 4: [ALL], 5: [FEW]}
    (ratio,) = result_of({1: [ALL], 2: [FEW]}, others={"lmx": more}).capacity_ratios

    assert (ratio.a, ratio.b, ratio.verdict) == ("box", "lmx", "better")
    assert (ratio.value, ratio.low, ratio.high) == (4.0, 2.0, 5.0)
    assert ratio.sentence == "lmx serves more than box: 4 times as much (95 % confidence: 2 to 5)"
    (close,) = result_of({2: [ALL], 3: [FEW]}, others={"lmx": {3: [ALL], 4: [FEW]}}).capacity_ratios
    assert close.verdict == "better"
    (open_,) = result_of({2: [ALL], 3: [(20, 0)], 4: [FEW]}, others={"lmx": {3: [ALL], 4: [FEW]}}).capacity_ratios
    assert open_.verdict == "undecided"
    assert open_.sentence.startswith("Whether box or lmx serves more is inconclusive (lmx ÷ box = 1;")


def test_the_requests_of_a_server_that_is_not_busy_yet_do_not_count() -> None:
    """Answers take 280 ms: the first two seconds of an open loop show no queue."""
    at = {"load_point": Open(rate=10.0).model_dump()}
    lines = [request_line(steady(first=200), send=100.0 * place, stalls=[], **at) for place in range(60)]
    counted = one_block([record(line | {"id": place}) for place, line in enumerate(lines)])

    assert len(counted) == 60 - 20
    assert min(one.intended_ns for one in counted) >= 7 * 280 * MS
