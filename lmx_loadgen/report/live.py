"""The live display of a run: what it does, a bar, the time left, and what has been seen of each target so far."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class LiveRow:
    """A target's running medians, with units, and how many of its requests have ended."""

    name: str
    ttft: str
    speed: str
    ended: int
    failed: int


def display(words: str, *, share: float | None, left: str | None, rows: Sequence[LiveRow]) -> RenderableType:
    """All of it within 60 columns; the bar takes what there is. `share` is of the whole run, `left` is in words."""
    head = Table.grid(expand=True, padding=(0, 1))
    head.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    head.add_column(no_wrap=True, justify="right")
    head.add_row(Text(words), Text(left or "", style="dim"))
    parts: list[RenderableType] = [head]
    if share is not None:
        bar = Table.grid(expand=True, padding=(0, 1))
        bar.add_column(ratio=1)
        bar.add_column(no_wrap=True, justify="right", width=5)
        bar.add_row(ProgressBar(total=1.0, completed=share), Text(f"{share * 100:.0f} %"))
        parts.append(bar)
    if rows:
        parts.append(_medians(rows))
    return Group(*parts)


def _medians(rows: Sequence[LiveRow]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    for _ in range(4):
        table.add_column(no_wrap=True, justify="right")
    table.add_row(*(Text(heading, style="dim") for heading in ("", "TTFT p50", "decode p50", "requests", "failed")))
    for row in rows:
        failed = Text(f"{row.failed:,}", style="red" if row.failed else "dim")
        table.add_row(Text(row.name), Text(row.ttft), Text(row.speed), Text(f"{row.ended:,}"), failed)
    return table
