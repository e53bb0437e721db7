"""A comparison in the terminal and as Markdown: a sentence first, then the figures, then what to know about them."""

from collections.abc import Iterator, Sequence

from rich.console import Console

from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.profile.load_point import short_labels
from lmx_loadgen.report import ranking
from lmx_loadgen.report.comparison_table import (
    STATUS,
    audit_counts,
    audit_table,
    comparison_table,
    ranking_table,
    untested_words,
)
from lmx_loadgen.report.run_notes import RunNote, print_line, print_notes
from lmx_loadgen.report.sanitize import markdown_text, sanitize
from lmx_loadgen.report.table import markdown_lines, rich_table
from lmx_loadgen.store.comparison import AuditLine, Comparison, Ranking


def print_comparison(comparison: Comparison, console: Console, *, all_notes: bool = False) -> None:
    """Print it within the console's width: the answer, the table, a few notes. With `all_notes` every sentence and
    note."""
    sentences = [sanitize(words, 600) for words in comparison.sentences]
    for place, sentence in enumerate(sentences if all_notes else sentences[:1]):
        print_line(sentence, console, "bold" if place == 0 else "")
    console.print(rich_table(comparison_table(comparison), console.width))
    print_notes(_notes(comparison), console, all_notes)


def print_comparisons(
    comparisons: Sequence[Comparison], ranked: Sequence[Ranking], console: Console, *, all_notes: bool = False
) -> None:
    """One comparison; of several how their targets rank, and then each under its title."""
    for line in ranking.lines(ranked):
        print_line(line, console)
    if ranked:
        print_line(ranking.LEGEND, console, "dim")
    for one in comparisons:
        if len(comparisons) > 1:
            print_line(f"\n{title(one)}", console, "bold")
        print_comparison(one, console, all_notes=all_notes)


def title(one: Comparison) -> str:
    """`ollama against lmx`: B, which changes are of, first."""
    return f"{sanitize(one.b.label, 60)} against {sanitize(one.a.label, 60)}"


def _notes(comparison: Comparison) -> Iterator[RunNote]:
    yield RunNote(f"same work: {audit_counts(comparison.audit)}")
    for note in comparison.notes:
        yield RunNote(sanitize(note, 400), "warn")
    yield from how(comparison)
    for line in comparison.audit:
        if line.sentence:
            yield RunNote(_audit_words(line), "bad" if line.status == "failed" else "plain")


def how(comparison: Comparison) -> Iterator[RunNote]:
    """How it was judged, and what makes it doubtful."""
    if comparison.mode == "sequential":
        yield RunNote("sequential: the two were measured in separate runs", "warn")
    if comparison.until_conclusive:
        yield RunNote("measured until conclusive: the intervals allow for the looks at the results meanwhile")
    yield RunNote(
        f"practical margin ±{percent(comparison.margin)}; intervals and verdicts hold for all figures together"
    )
    yield from map(RunNote, untested_words(comparison))
    if comparison.accepted is not None:
        yield RunNote(f"failed checks accepted: {sanitize(comparison.accepted, 300)}", "warn")


def _audit_words(line: AuditLine) -> str:
    """One check in words: `Output length failed at C=4: …`."""
    where = f" at {short_labels(line.load_points)}" if line.load_points else ""
    accepted = " (accepted)" if line.accepted else ""
    return f"{line.title} {STATUS[line.status][0]}{where}{accepted}: {sanitize(line.sentence, 400)}"


# ---- Markdown ---------------------------------------------------------------------------------------


def markdown(comparison: Comparison) -> str:
    """The same as Markdown, for a pull request's comment."""
    head, *others = comparison.sentences or ["Nothing was compared."]
    lines = [f"**{markdown_text(head)}**", "", *(f"- {markdown_text(sentence)}" for sentence in others), ""]
    lines += [*markdown_lines(comparison_table(comparison)), "", *markdown_lines(audit_table(comparison)), ""]
    notes = [*(note.words for note in how(comparison)), *comparison.notes]
    return "\n".join([*lines, *(f"- {markdown_text(note)}" for note in notes)]).rstrip() + "\n"


def ranking_markdown(ranked: Sequence[Ranking]) -> list[str]:
    """How the targets of a run rank."""
    return [*markdown_lines(ranking_table(ranked)), ""] if ranked else []
