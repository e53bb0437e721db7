"""What the page, Markdown and the terminal show of special workloads, each only where a run has it."""

from collections.abc import Iterator, Sequence
from typing import Any

from lmx_loadgen.report import shapes, turns
from lmx_loadgen.report.table import Table
from lmx_loadgen.report.view import Series


def workload_tables(targets: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> Iterator[tuple[str, str, Table]]:
    """A key, a title and the table of each workload, of targets by name with their stored levels."""
    shaped = [level for name, levels in targets for level in shapes.shape_levels(name, levels)]
    if (table := shapes.shape_table(shaped)) is not None:
        yield "shapes", "By prompt and answer length", table
    chats = [level for name, levels in targets for level in turns.chat_levels(name, levels)]
    if (table := turns.turn_table(chats)) is not None:
        yield "turns", "By turn of a chat", table


def tables_of_series(series: Sequence[Series]) -> list[tuple[str, str, Table]]:
    """The same of what the page shows."""
    return list(workload_tables([(one.name, one.levels()) for one in series]))


def is_one_workload(series: Sequence[Series]) -> bool:
    """Whether levels differ by their load alone: over several lengths, one load has several figures."""
    shapes_of_levels = [(level["load_point"].get("shape") or {}).values() for one in series for level in one.levels()]
    return len({tuple(shape) for shape in shapes_of_levels}) < 2
