"""A table as it is declared once, and its renderers for Markdown and the terminal; the page has a template for it.

Columns carry title and unit, cells their text with its mark; rows that share a heading form a group. Texts of a server
are sanitized by whoever makes the cell, and escaped by the renderer. Rich is imported late: the page does without.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from lmx_loadgen.analysis.formats import UNDEFINED
from lmx_loadgen.report.sanitize import markdown_text

if TYPE_CHECKING:
    from rich.table import Table as RichTable

Tone = Literal["", "weak", "strong", "good", "warn", "bad"]
_STYLES: dict[Tone, str] = {"": "", "weak": "dim", "strong": "bold", "good": "green", "warn": "yellow", "bad": "red"}
_BLANK = ("", UNDEFINED)


@dataclass(frozen=True, slots=True)
class Column:
    """A heading with statistic and unit of what is below it.

    A `grouped` column says its value once for all rows of a group. An `optional` one is left out where no row has a
    value. In a terminal it takes part from `from_width` columns on; one with a `max_width` gives way to the others.
    `look` is the index of the series that it is of.
    """

    title: str
    statistic: str = ""
    unit: str = ""
    number: bool = False
    grouped: bool = False
    optional: bool = False
    from_width: int = 0
    max_width: int | None = None
    look: int | None = None

    @property
    def beside(self) -> str:
        """`p50, ms`."""
        return ", ".join(part for part in (self.statistic, self.unit) if part)


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as it is shown. `mark` stands after it (`†`) and is explained in a footnote; `under` is a second, small
    line; `why` a tooltip; `chip` puts it in a box; `look` is the index of the series whose line stands before it."""

    text: str
    mark: str = ""
    tone: Tone = ""
    under: str = ""
    why: str = ""
    chip: bool = False
    look: int | None = None


Value = str | Cell
Row = Sequence[Value]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, and rows in groups. `footnotes` explain marks."""

    columns: Sequence[Column]
    groups: Sequence[Sequence[Row]]
    caption: str = ""
    footnotes: Sequence[str] = ()

    @property
    def rows(self) -> list[list[Cell]]:
        return [[cell_of(value) for value in row] for group in self.groups for row in group]

    def shown(self, width: int | None = None) -> "Table":
        """The table without optional columns that are empty, and without those that a terminal has no room for."""
        rows = self.rows
        kept = [
            place
            for place, column in enumerate(self.columns)
            if not (column.optional and all(row[place].text in _BLANK for row in rows))
            and (width is None or column.from_width <= width)
        ]
        groups = [[[row[place] for place in kept] for row in group] for group in self.groups if group]
        return replace(self, columns=[self.columns[place] for place in kept], groups=groups)

    def html_groups(self) -> Iterator[list[list[tuple[Column, Cell, int]]]]:
        """For each group its rows, of each cell its column, itself, and how many rows it spans (0: an earlier one). A
        name that several groups in a row have is said once."""
        before = ""
        for group in self.groups:
            name = cell_of(group[0][0]).text if self.columns[0].grouped else ""
            rows = [[cell_of(value) for value in row] for row in group]
            if name and name == before:
                rows[0][0] = Cell("")
            before = name
            yield [
                [
                    (column, cell, (len(group) if place == 0 else 0) if column.grouped else 1)
                    for column, cell in zip(self.columns, row, strict=True)
                ]
                for place, row in enumerate(rows)
            ]


def one_group(columns: Sequence[Column], rows: Iterable[Row], caption: str = "", *footnotes: str) -> Table:
    """A table whose rows belong together."""
    return Table(columns, [list(rows)], caption, footnotes)


def cell_of(value: Value) -> Cell:
    """The value as a cell."""
    return value if isinstance(value, Cell) else Cell(value)


def flag(is_true: bool | None) -> Cell:
    """`yes` or `no`, a dash for what cannot be told."""
    return Cell(UNDEFINED) if is_true is None else Cell("yes") if is_true else Cell("no", tone="bad")


# ---- Markdown ---------------------------------------------------------------------------------------


def markdown_lines(table: Table) -> list[str]:
    """The table's lines, each cell with its second line in brackets, and its footnotes below."""
    shown = table.shown()
    titles = [markdown_text(f"{one.title} ({one.beside})" if one.beside else one.title) for one in shown.columns]
    rules = ["--:" if column.number else "---" for column in shown.columns]
    rows = [[_in_markdown(cell) for cell in row] for row in shown.rows]
    return [
        _piped(titles),
        _piped(rules),
        *map(_piped, rows),
        *(f"\n{markdown_text(note)}" for note in table.footnotes),
    ]


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _in_markdown(cell: Cell) -> str:
    text = markdown_text(f"{cell.text}{cell.mark}", 900)
    shown = f"**{text}**" if cell.tone == "strong" else text
    return f"{shown} ({markdown_text(cell.under, 900)})" if cell.under else shown


# ---- terminal ---------------------------------------------------------------------------------------


def rich_table(table: Table, width: int) -> "RichTable":
    """The table as rich prints it in a terminal of so many columns, without footnotes and second lines of cells. What
    groups share, and a name that several groups in a row have, is printed once."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = table.shown(width)
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="")
    has_two_lines = any(column.beside for column in shown.columns)
    for column in shown.columns:
        title = f"{column.title}\n{column.beside}" if has_two_lines else column.title
        justify: Any = "right" if column.number else "left"
        is_cut = column.max_width is not None
        drawn.add_column(
            Text(title), justify=justify, no_wrap=not is_cut, overflow="ellipsis", max_width=column.max_width
        )
    marked = [any(row[place].mark for row in shown.rows) for place in range(len(shown.columns))]
    before = ""
    for number, group in enumerate(shown.groups):
        names = [cell_of(one[0][0]).text for one in shown.groups[number : number + 2]]
        for place, row in enumerate(map(list, group)):
            cells = [
                Text("") if column.grouped and place else _in_terminal(cell_of(value), has_marks)
                for column, value, has_marks in zip(shown.columns, row, marked, strict=True)
            ]
            if names[0] == before:
                cells[0] = Text("")
            is_last = place == len(group) - 1
            drawn.add_row(*cells, end_section=is_last and (len(group) > 1 or names[0] != names[-1]))
        before = names[0] if shown.columns[0].grouped else ""
    return drawn


def _in_terminal(cell: Cell, has_marks: bool) -> Any:
    """With a place for the mark where its column has any, so that digits stay under each other."""
    from rich.text import Text

    return Text(cell.text + (cell.mark or (" " if has_marks else "")), style=_STYLES[cell.tone])
