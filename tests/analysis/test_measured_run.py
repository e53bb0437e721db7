"""What a run's analysis computes, it computes once: a record a request, the figures of a level."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lmx_loadgen.analysis import measured_run, record_store
from lmx_loadgen.analysis.comparison.blocks import arm_of
from lmx_loadgen.analysis.comparison.compare import compare
from lmx_loadgen.analysis.measured_run import MeasuredRun, read_run
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.profile.load_point import ALONE, Closed
from lmx_loadgen.report.page import build_page
from lmx_loadgen.report.run_loader import view_of
from lmx_loadgen.store.log_reader import read_log
from tests.helpers.cli import lmx_loadgen
from tests.helpers.made_lines import at_concurrency, made_log, request_line, segment_line, steady
from tests.helpers.paths import RUNS

LEVELS, TARGETS = 3, 2


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many records and levels were made."""
    counts: Counter[str] = Counter()
    for where, name in ((record_store, "record"), (measured_run, "level_result")):
        make = getattr(where, name)

        def counting(*values: Any, _make: Any = make, _name: str = name) -> Any:
            counts[_name] += 1
            return _make(*values)

        monkeypatch.setattr(where, name, counting)
    return counts


def test_result_comparison_and_page_share_one_record_a_request_and_one_computation_a_level(made: Counter[str]) -> None:
    run = read_run(RUNS / "head-to-head" / "events.jsonl")
    result = summarize(run)
    comparison = compare(arm_of(run, "lmx"), arm_of(run, "ollama"))
    page = build_page([view_of(result, run)], comparisons=[comparison])

    assert '<section id="timeline"' in page
    assert made == {"record": len(run.log.requests), "level_result": LEVELS * TARGETS}


@pytest.mark.parametrize("form", ["html", "terminal"])
def test_so_does_the_command(made: Counter[str], tmp_path: Path, form: str) -> None:
    run = RUNS / "head-to-head"
    done = lmx_loadgen("compare", run, "--format", form, "--output", tmp_path / "comparison")

    assert done.exit_code in (0, 30), done.output
    assert made == {"record": len(read_log(run / "events.jsonl").requests), "level_result": LEVELS * TARGETS}


def test_no_figure_is_computed_before_it_is_asked_for(made: Counter[str]) -> None:
    run = read_run(RUNS / "head-to-head" / "events.jsonl")

    assert list(run.targets) == ["lmx", "ollama"]
    assert run.load_points("lmx") == run.load_points() == [Closed(concurrency=n) for n in (1, 4, 16)]
    assert made == {"record": len(run.log.requests)}  # they are read with the log


def test_what_stands_beside_the_levels_is_in_none_of_the_same_load() -> None:
    beside = [request_line(steady(), id=9, phase=phase) for phase in ("probe", "stability")]
    lines = [request_line(steady(), id=0, phase="warmup"), request_line(steady(), id=1), *beside]
    segments = [segment_line(0, 5, 6), segment_line(0, 5, 6, phase="probe"), segment_line(0, 5, 6, phase="stability")]
    run = MeasuredRun(made_log(lines, segments))

    assert [one.id for one in run.requests("box", ALONE)] == [0, 1]
    assert [one.phase for one in run.beside("box", "probe")] == ["probe"]
    assert len(run.segments("box", ALONE)) == 1
    assert run.level("box", ALONE).window.segments == 1


def test_a_load_that_was_not_planned_has_no_requests() -> None:
    run = MeasuredRun(made_log([at_concurrency(request_line(steady()), 4)]))

    assert run.requests("box", ALONE) == []
    assert summarize(run).targets[0].levels == []
