"""Which rounds are measured again: those that this machine delayed, or slept through."""

import pytest

from lmx_loadgen.analysis.comparison.taint import is_round_tainted
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.store.log_reader import LogContents
from lmx_loadgen.store.segment_key import segment_key
from tests.helpers.made_lines import host_line
from tests.helpers.made_sessions import Made, session


def slept_through(log: LogContents, block: int, seconds: float) -> LogContents:
    """The run, with the machine's state beside each segment: it slept in the first one of a block."""
    asleep = 0.0
    sleeper = next(segment_key(line) for line in log.segments if line["block"] == block)
    for line in log.segments:
        for when in ("before", "after"):
            key = segment_key(line)
            asleep += seconds if when == "after" and key == sleeper else 0.0
            log.host.append(host_line(when, {"asleep_s": asleep}, **key.as_dict()))
    return log


def stalled(log: LogContents, block: int, length_ms: float) -> LogContents:
    """The run, with the measuring process standing still through each answer of A in a block."""
    for line in log.requests:
        if line["block"] == block and line["target"] == "a":
            line["stalls"] = [[0, round(length_ms * 1e6)]]
    return log


@pytest.mark.parametrize(("seconds", "tainted"), [(300.0, {1}), (0.05, set())])
def test_a_round_through_which_the_machine_slept_is_measured_again(seconds: float, tainted: set[int]) -> None:
    log = slept_through(session({"a": Made(), "b": Made()}), 1, seconds)

    assert {block for block in range(6) if is_round_tainted(MeasuredRun(log), ALONE, block)} == tainted


def test_a_round_that_was_delayed_is_measured_again() -> None:
    log = stalled(session({"a": Made(), "b": Made()}), 2, 400)

    assert {block for block in range(6) if is_round_tainted(MeasuredRun(log), ALONE, block)} == {2}
