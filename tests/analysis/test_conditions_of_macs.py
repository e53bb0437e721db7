"""What a Mac went through, from its states and its header: notes, and what no figure can be believed after."""

from typing import Any

import pytest

from lmx_loadgen.analysis.conditions import conditions, taints
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.log_reader import LogContents
from tests.helpers.made_lines import host_line, made_log, request_line, segment_line, steady

COOL = {"thermal_level": 0, "power_mode": "automatic", "power_source": "AC Power", "memory_pressure_level": 1}
MB = 2**20


def log_of(*blocks: tuple[dict[str, Any], dict[str, Any]], **host: Any) -> LogContents:
    """A run with the machine's state before and after each block."""
    log = made_log([request_line(steady())], host=host)
    for number, block in enumerate(blocks):
        for when, state in zip(("before", "after"), block, strict=True):
            log.host.append(host_line(when, state, block=number))
    return log


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, {"thermal_level": 1}, "the machine was hot: thermal pressure was up to moderate (1 of 2 looks)"),
        (
            {"thermal_level": 2},
            {"thermal_level": 3},
            "the machine was hot: thermal pressure was up to trapping (2 of 2 looks)",
        ),
        ({"power_mode": "low"}, {"power_mode": "low"}, "low power mode was on"),
        (
            {"power_mode": "high"},
            {"power_mode": "automatic"},
            "the power mode changed during the run: high, automatic",
        ),
        (
            {},
            {"power_source": "Battery Power"},
            "the power source changed during the run: AC Power, Battery Power",
        ),
        (
            {},
            {"memory_pressure_level": 2},
            "memory was short: memory pressure was at warning (1 of 2 looks)",
        ),
        (
            {"memory_pressure_level": 4},
            {"memory_pressure_level": 2},
            "memory was short: memory pressure was at critical (2 of 2 looks)",
        ),
        (
            {"swapped_in_bytes": 0, "swapped_out_bytes": 5 * MB},
            {"swapped_in_bytes": 40 * MB, "swapped_out_bytes": 45 * MB},
            "memory was short: 84 MB were swapped in or out while blocks were measured",
        ),
    ],
)
def test_what_makes_figures_doubtful_is_said(before: dict[str, Any], after: dict[str, Any], words: str) -> None:
    assert conditions(log_of((COOL | before, COOL | after))) == [words]


def test_a_large_model_that_is_wired_is_not_short_memory() -> None:
    full = COOL | {"memory_bytes": {"wired": 180 * 10**9}, "swap_used_bytes": 4 * 10**9, "swapped_out_bytes": 10**9}
    high = {"power_mode": "high"}

    assert conditions(log_of((full | high, full | high))) == []


def test_what_is_swapped_between_blocks_costs_nothing_in_them() -> None:
    counts = [{"swapped_out_bytes": count * MB} for count in (0, 10, 5000, 5010)]

    assert conditions(log_of((counts[0], counts[1]), (counts[2], counts[3]))) == []


def test_what_the_system_never_told_is_not_taken_for_fine() -> None:
    dumb = {"unknown": ["thermal_level", "power_mode"]}

    assert conditions(log_of((dumb, dumb))) == [
        "not known for this run: thermal pressure, power mode (macOS did not report it)"
    ]
    assert conditions(log_of((dumb, COOL))) == []
    odd: list[Any] = ["thermal_level", 5, [{}], {"thermal_level": 1}]
    assert all(conditions(log_of(({"unknown": one}, {"unknown": one}))) == [] for one in odd)


def test_a_run_in_the_background_says_so() -> None:
    (said,) = conditions(log_of(background=True, timer_late_s=0.09))

    assert said.startswith("the run had background priority (a timer was 90 ms late)")
    assert conditions(log_of(background=None)) == conditions(log_of(background=False, timer_late_s=0.0001)) == []


@pytest.mark.parametrize(
    ("asleep", "reasons"),
    [
        ((0.0, 300.4), ["the machine slept for 300 s while this level was measured"]),
        ((5.0, 5.05), []),
        ((5.0, None), []),
    ],
)
def test_a_level_through_which_the_machine_slept_is_tainted(
    asleep: tuple[float, float | None], reasons: list[str]
) -> None:
    log = log_of(*[(COOL | {"asleep_s": asleep[0]}, COOL | {"asleep_s": asleep[1]})])

    assert summarize(MeasuredRun(log)).targets[0].levels[0].tainted == reasons
    assert taints(log, [segment_line(0, 1, 2, block=7)]) == []  # another level's


def test_sleep_between_blocks_taints_nothing() -> None:
    log = log_of(({"asleep_s": 0.0}, {"asleep_s": 0.0}), ({"asleep_s": 900.0}, {"asleep_s": 900.0}))

    assert taints(log, [segment_line(0, 1, 2, block=number) for number in (0, 1)]) == []


def test_rosetta_taints_every_level() -> None:
    (reason,) = summarize(MeasuredRun(log_of(translated=True))).targets[0].levels[0].tainted

    assert reason.startswith("Rosetta translated this Python")
    assert summarize(MeasuredRun(log_of(translated=None))).targets[0].levels[0].tainted == []
