"""Stored runs with other lines in their logs than those that were measured."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.run_view import RunView


def lines_of(run: RunView) -> list[dict[str, Any]]:
    """A run's request lines."""
    assert run.measured is not None
    return run.measured.log.requests


def with_lines(run: RunView, lines: Sequence[dict[str, Any]], **header: Any) -> RunView:
    """The run as if these request lines had been in its log; `header` changes that of the log."""
    assert run.measured is not None
    log = run.measured.log
    changed = replace(log, header=log.header | header, requests=list(lines))
    return replace(run, measured=MeasuredRun(changed))
