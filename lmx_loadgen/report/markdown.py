"""The report as Markdown: the plan's summary, the verdicts, then a heading for each model with its figures."""

from collections.abc import Iterator, Sequence

from lmx_loadgen import __version__
from lmx_loadgen.report import card_tables, card_words
from lmx_loadgen.report.card_data import Card
from lmx_loadgen.report.comparison import ranking_markdown, title
from lmx_loadgen.report.ranking import rankings_of
from lmx_loadgen.report.sanitize import markdown_text as safe
from lmx_loadgen.report.table import markdown_lines
from lmx_loadgen.report.workloads import workloads
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.imported import note_on


def report(cards: Sequence[Card], comparisons: Sequence[Comparison]) -> str:
    """The whole document. Whatever servers wrote stands in it as they wrote it, not as Markdown."""
    lines = ["# lmx-loadgen report", ""]
    if any(one.sentences for one in comparisons):
        lines += ["## Verdicts", "", *_all_verdicts(comparisons)]
    summary = card_tables.summary_table(cards)
    lines += ["## Summary", "", *markdown_lines(summary), "", summary.caption, ""]
    for one in workloads([(f"{card.model} on {card.backend}", card.levels) for card in cards]):
        lines += [f"## {one.title}", "", *markdown_lines(one.table), "", one.table.caption, *one.table.footnotes, ""]
    for card in cards:
        lines += [*_card(card), ""]
    return "\n".join([*lines, f"Made by lmx-loadgen {__version__}."]) + "\n"


def _all_verdicts(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Each comparison's sentences; of a run with more than two targets how they rank."""
    ranked = rankings_of(comparisons)
    shown: set[str] = set()
    for one in comparisons:
        run_id = one.a.run_id
        if one.mode != "interleaved" or run_id not in ranked:
            yield f"{safe(title(one))}, measured {safe(one.b.started_at)}"
            yield from ("", *(f"- {safe(sentence)}" for sentence in one.sentences), "")
        elif run_id not in shown:
            shown.add(run_id)
            targets = ", ".join(safe(target.target) for target in ranked[run_id][0].targets)
            yield from (f"{targets}, measured {safe(one.a.started_at)}", "", *ranking_markdown(ranked[run_id]))


def _card(card: Card) -> Iterator[str]:
    yield f"## {safe(card.model)} on {safe(card.backend) or 'an unknown server'}"
    yield ""
    yield from (f"- **{safe(words)}**" for words in card_words.warnings(card))
    if card.series is None:
        yield f"- imported: {safe(note_on(card.benchmark.origin if card.benchmark else None), 900)}"
    yield ""
    if card.target is not None and card.target.hypothesis is not None:
        yield f"Hypothesis: {safe(card.target.hypothesis.sentence, 600)}"
        yield ""
    for words in (card_words.against_hypothesis(card), card_words.within_slo(card)):
        if words is not None:
            yield from (safe(words, 600), "")
    tables = [
        card_tables.results_table(card),
        card_tables.baselines_table(card),
        card_tables.calls_table(card.tool_calls),
        card_tables.skills_table(card.skills),
    ]
    for table in tables:
        if table.rows:
            yield from (*markdown_lines(table), "")
    yield f"Quality: {safe(card_words.quality(card))}"
    for level in card.levels:
        if level.quality is not None and level.quality.stability is not None:
            yield f"- {level.load_point.label}: {safe(level.quality.stability.sentence)}"
