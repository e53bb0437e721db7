"""What the page, Markdown and the terminal show of special workloads, each only where a run has it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lmx_loadgen.profile.load_point import shape_of
from lmx_loadgen.report import shapes, turns
from lmx_loadgen.report.table import Table
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.result import LevelResult


class Workload(NamedTuple):
    """The table of a workload under a title; `key` is its place on the page."""

    key: str
    title: str
    table: Table


def workloads(targets: Sequence[tuple[str, Sequence[LevelResult]]]) -> Iterator[Workload]:
    """The workloads of targets, by name, with their levels."""
    shaped = [level for name, levels in targets for level in shapes.shape_levels(name, levels)]
    if (table := shapes.shape_table(shaped)) is not None:
        yield Workload("shapes", "By prompt and answer length", table)
    chats = [level for name, levels in targets for level in turns.chat_levels(name, levels)]
    if (table := turns.turn_table(chats)) is not None:
        yield Workload("turns", "By turn of a chat", table)


def workloads_of(series: Sequence[Series]) -> list[Workload]:
    """The same of what the page shows."""
    return list(workloads([(one.name, one.levels) for one in series]))


def is_one_workload(series: Sequence[Series]) -> bool:
    """Whether levels differ by their load alone: over several lengths, one load has several figures."""
    return len({shape_of(level.load_point) for one in series for level in one.levels}) < 2
