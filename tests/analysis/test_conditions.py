"""What a machine went through, from the states noted beside each block."""

from typing import Any

import pytest

from lmx_loadgen.analysis.conditions import conditions
from lmx_loadgen.analysis.summary import summarize
from tests.helpers.made_lines import made_log


def said(*states: dict[str, Any]) -> list[str]:
    log = made_log([])
    for place, state in enumerate(states):
        log.host.append({"type": "host", "at_ns": place, "segment": 0, "when": "before", "state": state})
    assert [note for note in summarize(log).notes if "calibrated" not in note] == conditions(log)
    return conditions(log)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        (
            [{"cpu_speed_limit": 1.0}, {"cpu_speed_limit": 0.8}, {"cpu_speed_limit": 0.7}],
            "the machine was too hot: its processor was held to 70% of its speed (2 of 3 looks)",
        ),
        ([{"low_power": False}, {"low_power": True}], "low power mode was on"),
        (
            [{"cpu_mhz": 3200}, {"cpu_mhz": 3190}, {"cpu_mhz": 2800}, {"cpu_mhz": 2810}],
            "the processor's clock fell from 3200 to 2810 MHz over the run",
        ),
        ([{"memory_free": 0.5}, {"memory_free": 0.04}], "memory was short: 4% of it was free at the least"),
        (
            [{"memory_free": 0.5, "memory_stalled": 0.0}, {"memory_free": 0.5, "memory_stalled": 0.2}],
            "memory was short: programs waited for it 20% of the time at the worst",
        ),
        (
            [{"swapped_out": 1000}, {"swapped_out": 9000}],
            "8000 pages were swapped out during the run: memory was short",
        ),
    ],
)
def test_what_makes_figures_doubtful_is_said(states: list[dict[str, Any]], words: str) -> None:
    assert said(*states) == [words]


def test_a_machine_at_ease_and_one_that_tells_nothing() -> None:
    easy = {"cpu_speed_limit": 1.0, "low_power": False, "cpu_mhz": 3200.0, "memory_free": 0.6, "swapped_out": 10}

    assert said(easy, easy, easy, easy) == []
    assert said({}, {}) == []
    assert said() == []
