"""What `run` prints when it has measured: the answer, one table, a few notes, and the next command.

Everything is printed as `rich.text.Text`, never as markup, and every word that came from a server is sanitized
first: neither `[red]` nor an ANSI escape in a model's name does anything.
"""

import shlex
from pathlib import Path

from rich.console import Console
from rich.text import Text

from lmx_loadgen.report import ranking
from lmx_loadgen.report.comparison_table import comparison_table
from lmx_loadgen.report.headline import speed
from lmx_loadgen.report.level_table import ShownTarget, level_table
from lmx_loadgen.report.nodes import nodes_line
from lmx_loadgen.report.run_notes import print_line, print_notes, run_notes
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.table import Table, rich_table
from lmx_loadgen.report.view import failures_of
from lmx_loadgen.report.workloads import workloads
from lmx_loadgen.store.result import RunResult, TargetResult

_NAME_WIDTH = 40


def print_run(result: RunResult, folder: Path, console: Console, *, all_notes: bool = False) -> None:
    """The whole screen. With `all_notes` every sentence of the comparison and every note."""
    sentences = answer(result)
    for place, sentence in enumerate(sentences if all_notes else sentences[:1]):
        print_line(sentence, console, "bold" if place == 0 else "")
    table = _table(result)
    console.print(rich_table(table, console.width))
    for words in table.footnotes:
        print_line(words, console, "dim")
    for one in workloads([(target.name, target.levels) for target in result.targets]):
        print_line(one.title, console, "bold")
        console.print(rich_table(one.table, console.width))
        for words in (one.table.caption, *one.table.footnotes):
            print_line(words, console, "dim")
    print_notes(run_notes(result), console, all_notes)
    if (nodes := nodes_line(result)) is not None:
        print_line(nodes, console)
    # One line each, however long the folder's name is: it is to be copied.
    console.print(Text(f"stored in {folder}"), soft_wrap=True, highlight=False)
    console.print(Text(f"next: {next_command(result, folder)}"), soft_wrap=True, highlight=False)


def answer(result: RunResult) -> list[str]:
    """The answer in a sentence, and further ones: the verdicts, how more than two targets rank, or what one server
    does."""
    if result.rankings:
        return [*ranking.lines(result.rankings, ranking.FIRST), ranking.LEGEND]
    if result.comparisons:
        return [sanitize(words, 600) for one in result.comparisons for words in one.sentences] or ["Nothing compared."]
    return [_one(target) for target in result.targets]


def next_command(result: RunResult, folder: Path) -> str:
    """What a user most likely does now, as it must be typed."""
    where = shlex.quote(str(folder))
    return f"lmx-loadgen plot {where}" if result.complete else f"lmx-loadgen run --resume {where}"


def _one(target: TargetResult) -> str:
    """What one server does, or why nobody knows."""
    name = sanitize(target.name, _NAME_WIDTH)
    if (words := speed(name, target)) is not None:
        return words
    failed = failures_of(target)
    why = f": {failed[0].name}" + (f", {sanitize(failed[0].reason, 200)}" if failed[0].reason else "") if failed else ""
    return f"No request to {name} completed{why}."


def _table(result: RunResult) -> Table:
    """Both servers side by side where two were compared, else the figures of every level."""
    verdicts = [found.verdict for one in result.comparisons for level in one.levels for found in level.metrics.values()]
    if len(result.comparisons) == 1 and any(verdict != "refused" for verdict in verdicts):
        return comparison_table(result.comparisons[0])
    return level_table([ShownTarget(target.name, target) for target in result.targets])
