"""Whether a level was steady: warm-ups are cut, changes of level are marked, and chance is neither."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.steadiness import level_shift, warm_up
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.result import LevelResult
from tests.helpers.made_lines import host_line, made_log, request_line, segment_line, steady

Slow = Callable[[int], float]


def level_of(slow: Slow, answers: int = 60, host: list[dict[str, Any]] | None = None) -> LevelResult:
    """One request at a time; the n-th takes longer by a factor, in TTFT and per token, with 2 % of noise."""
    noise, at = random.Random(1), 0.0
    lines = []
    for place in range(answers):
        factor = slow(place) * noise.lognormvariate(0, 0.02)
        lines.append(request_line(steady(6, 100 * factor, 20 * factor), send=at, id=place))
        at += 201 * factor
    log = made_log(lines, [segment_line(0, at, at)])
    log.host.extend(host or [])
    return summarize(MeasuredRun(log)).targets[0].levels[0]


def test_a_server_that_stays_as_it_is_is_steady() -> None:
    level = level_of(lambda place: 1.0)

    assert level.steadiness is not None
    assert level.steadiness.model_dump() == {
        "steady": True,
        "cut_requests": 0,
        "cut_seconds": 0.0,
        "shift": None,
        "reasons": [],
    }
    assert level.metrics["ttft"].n == 60


def test_a_warm_up_of_ten_slow_requests_is_cut_and_told() -> None:
    level = level_of(lambda place: 2.0 if place < 10 else 1.0)

    assert level.steadiness is not None
    assert level.steadiness.steady is True
    assert 10 <= level.steadiness.cut_requests <= 15
    assert level.steadiness.cut_seconds >= 4.0
    assert level.metrics["ttft"].n == 60 - level.steadiness.cut_requests
    assert level.metrics["ttft"].max == pytest.approx(0.1, rel=0.1)
    assert level.metrics["output_tok_s"].mean == pytest.approx(6 / 0.201, rel=0.02)
    assert any(note.startswith("warm-up: the first 1") and "were left out" in note for note in level.notes)


@pytest.mark.parametrize(
    "slow", [lambda place: 1.2 if place >= 30 else 1.0, lambda place: 1.2 if 20 <= place < 40 else 1.0]
)
def test_a_server_that_is_throttled_in_the_middle_is_not_steady(slow: Slow) -> None:
    level = level_of(slow)

    assert level.steadiness is not None
    assert level.steadiness.steady is False
    assert level.steadiness.shift == pytest.approx(0.2, abs=0.03)
    (reason,) = level.steadiness.reasons
    assert reason in level.notes
    assert reason.startswith("not steady: in a part of the level, answers took ")
    assert reason.endswith(" % more time")


def test_a_warm_up_that_does_not_end_is_never_steady() -> None:
    level = level_of(lambda place: 3.0 - 2.0 * min(place, 45) / 45)

    assert level.steadiness is not None
    assert level.steadiness.steady is False
    assert level.steadiness.cut_requests == 0


def test_of_few_answers_nothing_is_said() -> None:
    level = level_of(lambda place: 2.0 if place < 5 else 1.0, answers=20)

    assert level.steadiness is None
    assert level.metrics["ttft"].n == 20


def test_a_machine_that_is_throttled_meanwhile_is_told() -> None:
    looks = [host_line("before", {"cpu_speed_limit": 1.0}), host_line("after", {"cpu_speed_limit": 0.7})]
    level = level_of(lambda place: 1.0, host=looks)

    assert level.steadiness is not None
    assert level.steadiness.reasons == ["not steady: this machine was throttled during 1 block of the level"]
    cool = [host_line("before", {"cpu_speed_limit": 1.0}), host_line("after", {"cpu_speed_limit": 1.0})]
    unmarked = level_of(lambda place: 1.0, host=cool)
    assert unmarked.steadiness is not None
    assert unmarked.steadiness.steady is True


def _wandering(lots: random.Random, answers: int) -> list[float]:
    """Noise of 5 % in which each value resembles the one before it."""
    found, now = [], 0.0
    for _ in range(answers):
        now = 0.3 * now + lots.gauss(0, 0.05 * (1 - 0.09) ** 0.5)
        found.append(now)
    return found


@pytest.mark.parametrize(("answers", "cut"), [(24, 0.03), (60, 0.01), (200, 0.01)])
def test_chance_is_seldom_taken_for_a_warm_up_or_a_change(answers: int, cut: float) -> None:
    """A level is judged by two series, answers' time per token and whole time."""
    lots = random.Random(answers)
    pairs = [[_wandering(lots, answers) for _ in range(2)] for _ in range(1000)]

    assert sum(any(warm_up(one) != 0 for one in pair) for pair in pairs) <= cut * 1000
    assert sum(any(level_shift(one) is not None for one in pair) for pair in pairs) <= 0.02 * 1000


@pytest.mark.parametrize("answers", [60, 200])
def test_a_fifth_more_time_is_nearly_always_found(answers: int) -> None:
    lots, found = random.Random(answers), 0
    for _ in range(100):
        series = [
            value + (0.182 if place >= answers // 2 else 0) for place, value in enumerate(_wandering(lots, answers))
        ]
        found += level_shift(series) is not None

    assert found >= 95
