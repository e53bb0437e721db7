"""What a repeat of a prompt shows of a prefix cache."""

from typing import Any

import pytest

from lmx_loadgen.analysis.cache import cache_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.read_records import record
from lmx_loadgen.analysis.records import Record
from tests.helpers.made_lines import failed_line, made_log, request_line, steady, usage
from tests.helpers.snapshots import numbers_in


def probes(*ttfts: float, cached: int | None = None) -> list[Record]:
    """Answered probes; `cached` tokens of the last one's 100 came from a cache."""
    lines = [request_line(steady(2, first), phase="probe", usage=usage(100, 2)) for first in ttfts]
    lines[-1]["usage"] = usage(100, 2, cached)
    return [record(line) for line in lines]


@pytest.mark.parametrize(
    ("ttfts", "cached", "found"),
    [
        ((400, 420, 410), None, False),
        ((400, 420, 40), None, True),  # much sooner
        ((400, 420, 300), None, None),  # sooner, as chance may have it, and a cache too
        ((400, 420, 300), 0, False),  # the server says that it was not
        ((400, 420, 390), 96, True),  # the server says so
        ((400, 420, 390), 10, False),  # the system prompt's few tokens
    ],
)
def test_a_repeat_that_is_much_sooner_or_says_so_came_from_a_cache(
    ttfts: tuple[float, ...], cached: int | None, found: bool | None
) -> None:
    result = cache_of(probes(*ttfts, cached=cached))

    assert result is not None
    assert result.found is found
    assert (result.speedup is not None) is bool(found)
    assert result.cold == [0.4, 0.42]


def test_how_much_sooner_is_said() -> None:
    result = cache_of(probes(400, 400, 40))

    assert result is not None
    assert result.speedup == pytest.approx(10)
    assert numbers_in(result.sentence) == [10, 40, 400]


def test_a_probe_that_was_not_answered_in_full_shows_nothing() -> None:
    for broken in (probes(400, 420), [*probes(400, 420), record(failed_line(phase="probe"))]):
        result = cache_of(broken)
        assert result is not None
        assert (result.found, result.repeat) == (None, None)
        assert "not known" in result.sentence


def test_a_run_without_a_probe_has_no_result_of_one() -> None:
    assert cache_of([]) is None


def test_probes_are_in_no_level() -> None:
    from lmx_loadgen.analysis.summary import summarize

    lines: list[dict[str, Any]] = [request_line(steady(), id=place) for place in range(3)]
    lines += [request_line(steady(2, 9000), phase="probe", block=1, id=3 + place) for place in range(3)]
    (target,) = summarize(MeasuredRun(made_log(lines))).targets

    assert len(target.levels) == 1
    assert target.levels[0].metrics["ttft"].max == 0.2
    assert target.cache is not None
    assert target.cache.repeat == 9.0
