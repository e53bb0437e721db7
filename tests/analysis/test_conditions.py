"""What a machine went through, from the states noted beside each block."""

from typing import Any

import pytest

from lmx_loadgen.analysis.conditions import conditions
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from tests.helpers.made_lines import host_line, made_log
from tests.helpers.snapshots import numbers_in


def said(*states: dict[str, Any]) -> list[str]:
    log = made_log([])
    for place, state in enumerate(states):
        log.host.append(host_line("before", state, place))
    assert [note for note in summarize(MeasuredRun(log)).notes if "calibrated" not in note] == conditions(log)
    return conditions(log)


@pytest.mark.parametrize(
    ("states", "word", "numbers"),
    [
        (
            [{"cpu_speed_limit": 1.0}, {"cpu_speed_limit": 0.8}, {"cpu_speed_limit": 0.7}],
            "hot",
            [70, 2, 3],
        ),
        ([{"low_power": False}, {"low_power": True}], "low power", []),
        (
            [{"cpu_mhz": 3200}, {"cpu_mhz": 3190}, {"cpu_mhz": 2800}, {"cpu_mhz": 2810}],
            "clock",
            [3200, 2810],
        ),
        ([{"memory_free": 0.5}, {"memory_free": 0.04}], "memory", [4]),
        (
            [{"memory_free": 0.5, "memory_stalled": 0.0}, {"memory_free": 0.5, "memory_stalled": 0.2}],
            "memory",
            [20],
        ),
        (
            [{"swapped_out": 1000}, {"swapped_out": 9000}],
            "swapped",
            [8000],
        ),
    ],
)
def test_what_makes_figures_doubtful_is_said(states: list[dict[str, Any]], word: str, numbers: list[float]) -> None:
    (note,) = said(*states)

    assert word in note
    assert numbers_in(note) == numbers


def test_a_machine_at_ease_and_one_that_tells_nothing() -> None:
    easy = {"cpu_speed_limit": 1.0, "low_power": False, "cpu_mhz": 3200.0, "memory_free": 0.6, "swapped_out": 10}

    assert said(easy, easy, easy, easy) == []
    assert said({}, {}) == []
    assert said() == []
