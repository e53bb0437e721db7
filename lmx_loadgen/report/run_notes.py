"""What is to be known of a run beside its figures, a sentence each, the most important ones first; and how a terminal
shows such notes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from lmx_loadgen.analysis.formats import plural
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.run_view import stat
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.profile.load_point import short_labels
from lmx_loadgen.report.findings import findings
from lmx_loadgen.report.headline import trust_in
from lmx_loadgen.report.sanitize import sanitize, unbroken
from lmx_loadgen.report.slo import slo_words
from lmx_loadgen.report.view import failures_of, target_notes
from lmx_loadgen.store.result import RunResult, TargetResult

_NAME_WIDTH = 14
Weight = Literal["bad", "warn", "plain"]
_ORDER: tuple[Weight, ...] = ("bad", "warn", "plain")
_STYLES: dict[Weight, str] = {"bad": "red", "warn": "yellow", "plain": "dim"}
MOST_NOTES = 5


@dataclass(frozen=True, slots=True)
class RunNote:
    """A sentence, and how much it weighs."""

    words: str
    weight: Weight = "plain"


def print_notes(notes: Iterable[RunNote], console: Console, all_notes: bool) -> None:
    """The most important ones, or all."""
    ordered = by_weight(notes)
    shown = ordered if all_notes else ordered[:MOST_NOTES]
    grid = RichTable.grid()
    for note in shown:
        grid.add_row(Text("- "), Text(unbroken(note.words), style=_STYLES[note.weight]))
    console.print(grid, highlight=False)
    if left := len(ordered) - len(shown):
        print_line(f"({left} more with -v)", console, "dim")


def print_line(words: str, console: Console, style: str = "") -> None:
    """A sentence of its own, within the console's width."""
    console.print(Text(unbroken(words), style=style), highlight=False)


def by_weight(notes: Iterable[RunNote]) -> list[RunNote]:
    """Each note once, the most important ones first."""
    return sorted(dict.fromkeys(notes), key=lambda note: _ORDER.index(note.weight))


def run_notes(result: RunResult) -> list[RunNote]:
    """All of them: what failed, what makes figures doubtful, and then what else was found."""
    return by_weight([*_of_run(result), *(note for target in result.targets for note in _of_target(target, result))])


def _of_run(result: RunResult) -> Iterator[RunNote]:
    if not result.complete:
        yield RunNote(f"incomplete: {sanitize(result.reason or 'no reason was stored', 200)}", "bad")
    yield RunNote(trust_in([level for target in result.targets for level in target.levels], result.comparisons))
    for note in result.notes:
        yield RunNote(sanitize(note, 300), "warn")
    for comparison in result.comparisons:
        for note in comparison.notes:
            yield RunNote(sanitize(note, 400), "warn")
        for line in comparison.audit:
            if line.status == "failed" and line.sentence:
                yield RunNote(f"{line.title}: {sanitize(line.sentence, 400)}", "warn")


def _of_target(target: TargetResult, result: RunResult) -> Iterator[RunNote]:
    name = sanitize(target.name, _NAME_WIDTH)
    for failures in failures_of(target):
        why = f": {sanitize(failures.reason, 200)}" if failures.reason else ""
        yield RunNote(f"{name}: {plural(failures.number, 'request')} failed, {failures.name}{why}", "bad")
    for note in target_notes(target, short_labels):
        yield RunNote(f"{name}: {note}", "warn")
    if (within := slo_words(target.levels, result.profile)) is not None:
        yield RunNote(f"{name}: {within}")
    for words, is_good in findings(target):
        yield RunNote(f"{name}: {words}", "plain" if is_good else "warn")
    if target.cache is not None:
        yield RunNote(f"{name}: {sanitize(target.cache.sentence, 200)}")
    yield RunNote(f"{name}: model {sanitize(target.model or 'unknown', 100)}")
    if (errors := _instrument_errors(target)) is not None:
        yield RunNote(f"{name}: {errors}")


def _instrument_errors(target: TargetResult) -> str | None:
    """By how much the instrument itself may be wrong, at the worst of the target's levels."""
    shown = (("ttft", 1e3, "ms"), ("decode_tok_s", 1.0, "tok/s"), ("output_tok_s", 1.0, "tok/s"))
    parts = []
    for metric, factor, unit in shown:
        if defined := known(stat(level, metric, "instrument_error") for level in target.levels):
            parts.append(f"{METRICS[metric].title} {max(defined) * factor:.2g} {unit}")
    return f"measurement error, p99 over requests: {', '.join(parts)}" if parts else None
