"""Requests as flat rows: the same figures as the result's, and nothing where nothing is defined."""

import json
from dataclasses import replace
from statistics import fmean, median
from typing import Any

import pytest

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.request_rows import COLUMNS, request_rows
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.log_reader import LogContents, read_log
from tests.helpers.made_lines import failed_line, made_log, request_line, steady, usage
from tests.helpers.paths import DATA

LATENCIES = ("ttft", "ttfo", "tpot", "e2e", "longest_stall")


def stored(name: str) -> LogContents:
    return read_log(DATA / "runs" / name / "events.jsonl")


@pytest.mark.parametrize("run", ["head-to-head", "interrupted", "failed", "hostile"])
def test_every_request_has_a_flat_row_with_every_column(run: str) -> None:
    log = stored(run)
    rows = list(request_rows(MeasuredRun(log)))

    assert len(rows) == len(log.requests)
    assert {tuple(row) for row in rows} == {COLUMNS}
    assert all(isinstance(value, str | int | float | None) for row in rows for value in row.values())
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    starts = [row["start_s"] for row in rows]
    assert starts == sorted(starts)
    assert starts[0] >= 0


@pytest.mark.parametrize("run", ["head-to-head", "interrupted"])
def test_the_figures_of_a_level_can_be_made_of_its_rows(run: str) -> None:
    log = stored(run)
    rows = list(request_rows(MeasuredRun(log)))
    for target in summarize(MeasuredRun(log)).targets:
        (level,) = [level for level in target.levels if level.concurrency == 1]
        of_level = [row for row in rows if (row["target"], row["concurrency"]) == (target.name, 1)]
        good = [row for row in of_level if (row["phase"], row["outcome"]) == ("measured", "ok")]

        assert {row["load_point"] for row in good} == {"concurrency 1"}
        assert {row["token_basis"] for row in good} == {level.token_basis}
        for name in LATENCIES:
            assert median(row[f"{name}_s"] for row in good) == pytest.approx(level.metrics[name].p50, rel=1e-12)
        assert fmean(row["output_tokens"] for row in good) == pytest.approx(level.metrics["output_tokens"].mean)


def only(line: dict[str, Any]) -> dict[str, Any]:
    (row,) = request_rows(MeasuredRun(made_log([line])))
    return row


def test_when_a_request_began_and_what_it_asked() -> None:
    row = only(request_line(steady(), send=1500, prompt_id="long-03", usage=usage(30, 5)))

    assert (row["start_s"], row["prompt_id"], row["outcome"], row["reason"]) == (1.5, "long-03", "ok", None)
    assert (row["prompt_tokens"], row["output_tokens"], row["ttft_s"], row["tpot_s"]) == (30, 5, 0.2, 0.02)


def test_a_request_that_failed_has_no_times_and_says_why() -> None:
    row = only(failed_line("gap_timeout", None, reason="no text for 60 s"))

    assert [row[f"{name}_s"] for name in LATENCIES] == [None] * 5
    assert (row["outcome"], row["reason"]) == ("gap_timeout", "no text for 60 s")


def test_a_request_that_was_never_sent_began_when_it_was_due() -> None:
    line = failed_line("connect_error", None, send_ns=None, intended_ns=2_000_000_000)

    assert only(line)["start_s"] == 2.0


def test_a_run_without_requests_has_no_rows() -> None:
    assert list(request_rows(MeasuredRun(replace(made_log([]), requests=[])))) == []
