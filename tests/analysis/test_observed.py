"""Power, energy and heat of a level: from samples that lie inside its windows, and not known for want of them."""

from typing import Any

import pytest

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.log_reader import LogContents
from lmx_loadgen.store.result import ObservedResult
from tests.helpers.made_lines import MS, header_line, made_log, request_line, segment_line, steady, usage

LOADED: dict[str, Any] = {
    "gpu_power_w": 30.0,
    "cpu_power_w": 10.0,
    "system_power_w": 60.0,
    "gpu_mhz": 1400.0,
    "gpu_busy": 0.9,
    "gpu_temp_c": 60.0,
}


def sample(at_s: float, **changes: Any) -> dict[str, Any]:
    place = {"type": "sample", "at_ns": round(at_s * 1e9), "source": "macmon", "interval_s": 1.0}
    return place | LOADED | changes


def each_second(first: int, last: int, **changes: Any) -> list[dict[str, Any]]:
    return [sample(at_s, **changes) for at_s in range(first, last + 1)]


def a_log(samples: list[dict[str, Any]], segments: list[dict[str, Any]] | None = None, **changes: Any) -> LogContents:
    """One level of one target; its window is from 10 to 30 s, in which 200 tokens arrive."""
    requests = [
        request_line(steady(11), send=10_000 + 1000 * place, usage=usage(10, 11), id=place) for place in range(18)
    ]
    log = made_log(requests, segments or [segment_line(10_000, 30_000, 31_000)], **changes)
    log.samples.extend(samples)
    return log


def observed(log: LogContents, level: int = 0) -> ObservedResult | None:
    return summarize(MeasuredRun(log)).targets[0].levels[level].observed


def known(log: LogContents) -> ObservedResult:
    found = observed(log)
    assert found is not None
    return found


def test_means_over_the_window_alone() -> None:
    """What lies before, after or across an edge is not of the full load."""
    outside = [sample(at_s, gpu_power_w=500.0, system_power_w=900.0) for at_s in (9, 10, 10.5, 30.2, 31)]

    found = known(a_log([*outside[:3], *each_second(11, 30), *outside[3:]]))

    assert (found.system_power_w, found.gpu_power_w, found.cpu_power_w) == (60, 30, 10)
    assert (found.source, found.seconds, found.reason) == ("macmon", 20, None)


def test_tokens_per_joule_are_of_the_whole_machine() -> None:
    log = a_log(each_second(10, 31))
    rate = summarize(MeasuredRun(log)).targets[0].levels[0].metrics["output_tok_s"].mean
    assert rate

    assert known(log).tokens_per_joule == pytest.approx(rate / 60)


def test_what_the_machine_does_not_tell_is_not_known() -> None:
    """The power of the GPU alone, or with the CPU's, would be that of another thing."""
    found = known(a_log(each_second(10, 31, system_power_w=None, cpu_power_w=None)))

    assert (found.gpu_power_w, found.cpu_power_w, found.tokens_per_joule) == (30, None, None)
    assert found.reason == "not reported: power of machine, CPU"


@pytest.mark.parametrize(("unknown", "mean"), [(2, 30.0), (3, None)])
def test_a_mean_needs_nine_samples_of_ten(unknown: int, mean: float | None) -> None:
    samples = each_second(11, 30)
    for one in samples[:unknown]:
        one["gpu_power_w"] = None

    assert known(a_log(samples)).gpu_power_w == mean


@pytest.mark.parametrize(
    "samples",
    [
        each_second(11, 14),  # four seconds
        each_second(11, 19),  # nine of twenty
        each_second(40, 60),
    ],
)
def test_too_few_samples_give_no_figure_and_a_reason(samples: list[dict[str, Any]]) -> None:
    found = known(a_log(samples))

    figures = found.model_dump(exclude={"source", "seconds", "reason"})
    assert set(figures.values()) == {None}
    assert found.reason is not None


def test_without_samples_nothing_was_observed() -> None:
    assert observed(a_log([])) is None


@pytest.mark.parametrize(("address", "is_here"), [("http://[::1]:1/v1", True), ("http://192.0.2.1/v1", False)])
def test_the_client_says_nothing_of_a_server_elsewhere(address: str, is_here: bool) -> None:
    header = header_line()
    targets = [target | {"base_url": address} for target in header["targets"]]

    found = observed(a_log(each_second(10, 31), targets=targets))

    assert (found is not None) == is_here


def test_the_hottest_sample_counts() -> None:
    assert known(a_log([*each_second(11, 29), sample(30, gpu_temp_c=97.5)])).gpu_temp_max_c == 97.5
    assert known(a_log(each_second(11, 30, gpu_temp_c=None))).gpu_temp_max_c is None


def in_minutes(clocks: list[float], **changes: Any) -> LogContents:
    """A level of twenty seconds, and later one of the same length for each further clock."""
    spans = [(10 + 100 * place, 30 + 100 * place) for place in range(len(clocks))]
    segments = [
        segment_line(start * 1000, end * 1000, end * 1000 + 1000, block=place)
        for place, (start, end) in enumerate(spans)
    ]
    samples = [
        one
        for (start, end), mhz in zip(spans, clocks, strict=True)
        for one in each_second(start + 1, end, gpu_mhz=mhz, **changes)
    ]
    return a_log(samples, segments)


def test_the_lowest_clock_is_a_share_of_that_of_the_first_minute() -> None:
    assert known(in_minutes([1400, 1400, 1400, 1050])).gpu_clock_share == pytest.approx(0.75)
    assert known(in_minutes([1400, 1400, 1400, 1400])).gpu_clock_share == 1
    assert known(in_minutes([1000, 1000, 1000, 1400])).gpu_clock_share == 1


def test_an_idle_gpu_is_not_throttled() -> None:
    log = in_minutes([1400, 1400, 1400, 1400])
    log.samples[-10:] = [one | {"gpu_mhz": 338.0, "gpu_busy": 0.02} for one in log.samples[-10:]]

    assert known(log).gpu_clock_share == 1
    assert known(in_minutes([1400, 700], gpu_busy=0.1)).gpu_clock_share is None
    assert known(in_minutes([1400, 700], gpu_busy=None)).gpu_clock_share is None


def test_a_single_slow_second_is_a_fifth_of_one() -> None:
    log = in_minutes([1400])
    log.samples[10]["gpu_mhz"] = 700.0

    assert known(log).gpu_clock_share == pytest.approx(0.9)


def test_a_failure_is_a_note_once() -> None:
    error = {"type": "sample", "at_ns": 20_000 * MS, "source": "macmon", "error": "it ended before the run did"}
    log = a_log([*each_second(11, 20), error, error])

    assert [note for note in summarize(MeasuredRun(log)).notes if "macmon" in note] == [
        "power and heat are not known for the whole run: macmon: it ended before the run did"
    ]
    assert known(log).system_power_w == 60
