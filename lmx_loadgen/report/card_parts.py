"""A report card on the page: what was expected, figures, what it was compared with; and what its model can do."""

from collections.abc import Iterator, Sequence
from typing import Any

from lmx_loadgen.analysis.formats import plural, rate
from lmx_loadgen.analysis.text_shape import kept_text
from lmx_loadgen.report import card_tables, card_words, dialect_card
from lmx_loadgen.report.card_data import Card
from lmx_loadgen.report.parts import Box, Boxes, Folded, Listed, Quote, Words
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.table import Column, one_group
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.cards import DialectCard, card_in
from lmx_loadgen.store.imported import note_on
from lmx_loadgen.store.reference import SERVER_NAMES, PublishedFigure

_MOST_OPEN = 4
_ANSWER = 4_000


def report_cards(cards: Sequence[Card]) -> Boxes:
    """A card for each model on each backend."""
    is_open = len(cards) <= _MOST_OPEN
    return Boxes([_box(card, [*_figures(card)], is_open) for card in cards])


def capability_checks(cards: Sequence[Card]) -> Boxes | None:
    """Tools, skills, quality of the answers, and what the server says, of those cards that have any; else None."""
    found = [_box(card, parts, True) for card in cards if (parts := [*_checks(card)])]
    return Boxes(found) if found else None


def _box(card: Card, parts: Sequence[Any], is_open: bool) -> Box:
    return Box(
        sanitize(card.model, 120),
        parts,
        look=card.series.index if card.series else None,
        beside=sanitize(card.backend, 40),
        chips=[*card_words.warnings(card), *(["imported"] if card.series is None else [])],
        is_open=is_open,
    )


def _figures(card: Card) -> Iterator[Any]:
    if card.series is None:
        note = note_on(card.benchmark.origin if card.benchmark else None)
        when = sanitize(card.runs[0].label, 60) or "on an unknown day"
        machine = sanitize(card.machine, 80) or "an unknown machine"
        yield Words(f"{note[0].upper()}{note[1:]}. Stored {when}, of {machine}.")
    yield from _hypothesis(card)
    if card.has_figures:
        yield card_tables.results_table(card)
    if (within := card_words.within_slo(card)) is not None:
        yield Words(sanitize(within, 600))
    if card.baseline:
        yield card_tables.baselines_table(card)
    if len(card.runs) > 1:
        yield Folded(plural(len(card.runs) - 1, "earlier run"), [card_tables.earlier_table(card)])
    if text := first_answer(card):
        shown = sanitize(text, _ANSWER, keep_lines=True)
        yield Folded("What it wrote in its first measured answer", [Quote(shown)])


def _hypothesis(card: Card) -> Iterator[Any]:
    """What was expected before, and what came of it."""
    expected = card.target.hypothesis if card.target else None
    if expected is None or (expected.kind == "none" and not expected.figures):
        return
    measured = card_words.against_hypothesis(card)
    sentence = sanitize(expected.sentence, 600).rstrip(".")
    yield Words(f"Expected: {sentence}.{f' {measured}' if measured else ''}")
    if expected.figures:
        title = f"{plural(len(expected.figures), 'published figure')} known when it began"
        yield Folded(title, [Listed([*map(_published_words, expected.figures)])])


def _published_words(figure: PublishedFigure) -> str:
    """`LM Studio 101.9 tok/s, M4 Max 128 GB (source)`."""
    shown = [f"{rate(figure.toks_per_sec)} tok/s"] if figure.toks_per_sec is not None else []
    if figure.total_toks_per_sec is not None:
        shown.append(f"{rate(figure.total_toks_per_sec)} tok/s over whole requests")
    if figure.ttft_sec is not None:
        shown.append(f"TTFT {1e3 * figure.ttft_sec:,.0f} ms")
    words = f"{SERVER_NAMES[figure.server]} {', '.join(shown)}, {figure.hardware} ({figure.source})"
    return sanitize(words, 500)


def first_answer(card: Card) -> str:
    """The text of the first measured request that succeeded, or an empty string."""
    found = _first_of(card.series) if card.series else ""
    stats = card.benchmark.stats if card.benchmark else None
    return found or (stats.output_text if stats and stats.output_text else "")


def _first_of(one: Series) -> str:
    good = (request for level in one.levels for request in one.requests_of(level) if request.ok and request.measured)
    return next(filter(None, (kept_text(request.line) for request in good)), "")


def _checks(card: Card) -> Iterator[Any]:
    if card.tool_calls:
        yield card_tables.calls_table(card.tool_calls)
    if card.skills:
        yield card_tables.skills_table(card.skills)
    if (quality := card_tables.quality_table(card)).rows:
        yield quality
    stable = [level.quality.stability.sentence for level in card.levels if level.quality and level.quality.stability]
    if stable:
        yield Listed([sanitize(sentence, 300) for sentence in stable])
    if any(level.server_word for level in card.levels):
        yield card_tables.timings_table(card.levels)
    if card.target is not None and card.target.server_benchmarks:
        yield card_tables.own_benchmark_table(card, card.target.server_benchmarks)
    found = card_in(card.target.server.get("card")) if card.target else None
    if found is not None:
        yield Folded("Dialect card: what its answers are like (lmx-loadgen probe)", [_dialect(found)])


def _dialect(found: DialectCard) -> Any:
    caption = f"Probed {sanitize(found.probed_at, 40)}, with {found.requests} requests."
    return one_group([Column("What"), Column("Found")], [list(row) for row in dialect_card.rows(found)], caption)
