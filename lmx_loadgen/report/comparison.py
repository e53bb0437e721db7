"""A comparison in the terminal and as Markdown: a sentence first, then the figures, then what to know about them."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

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
from lmx_loadgen.report.sanitize import markdown_text, sanitize, unbroken
from lmx_loadgen.report.table import markdown_lines, rich_table
from lmx_loadgen.store.comparison import AuditLine, Comparison, Ranking


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print it within the console's width."""
    for place, sentence in enumerate(comparison.sentences):
        console.print(Text(unbroken(sanitize(sentence, 600)), style="bold" if place == 0 else ""), highlight=False)
    console.print(rich_table(comparison_table(comparison), console.width))
    for line, style in _below(comparison):
        console.print(Text(line, style=style), highlight=False)


def print_comparisons(comparisons: Sequence[Comparison], ranked: Sequence[Ranking], console: Console) -> None:
    """One comparison; of several how their targets rank, and then each under its title."""
    for line in ranking.lines(ranked):
        console.print(Text(unbroken(line)), highlight=False)
    if ranked:
        console.print(Text(ranking.LEGEND, style="dim"), highlight=False)
    for one in comparisons:
        if len(comparisons) > 1:
            console.print(Text(f"\n{title(one)}", style="bold"), highlight=False)
        print_comparison(one, console)


def title(one: Comparison) -> str:
    """`ollama against lmx`: B, which changes are of, first."""
    return f"{sanitize(one.b.label, 60)} against {sanitize(one.a.label, 60)}"


def _below(comparison: Comparison) -> Iterator[tuple[str, str]]:
    yield from how(comparison)
    yield f"same work: {audit_counts(comparison.audit)}", "dim"
    for line in comparison.audit:
        if line.sentence:
            yield f"  {_audit_words(line)}", "red" if line.status == "failed" else "dim"
    for note in comparison.notes:
        yield sanitize(note, 400), "yellow"


def how(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """How it was judged, and what makes it doubtful."""
    if comparison.mode == "sequential":
        yield "sequential: the two were measured in separate runs", "yellow"
    if comparison.until_conclusive:
        yield "measured until conclusive: the intervals allow for the looks at the results meanwhile", "dim"
    yield f"practical margin ±{percent(comparison.margin)}; intervals and verdicts hold for all figures together", "dim"
    yield from ((words, "dim") for words in untested_words(comparison))
    if comparison.accepted is not None:
        yield f"failed checks accepted: {sanitize(comparison.accepted, 300)}", "yellow"


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
    notes = [*(words for words, _ in how(comparison)), *comparison.notes]
    return "\n".join([*lines, *(f"- {markdown_text(note)}" for note in notes)]).rstrip() + "\n"


def ranking_markdown(ranked: Sequence[Ranking]) -> list[str]:
    """How the targets of a run rank."""
    return [*markdown_lines(ranking_table(ranked)), ""] if ranked else []
