"""The report as Markdown: the plan's summary, then a heading for each model with its figures, then the verdicts."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lmx_loadgen import __version__
from lmx_loadgen.analysis.formats import UNDEFINED, count, duration, interval, milliseconds, rate
from lmx_loadgen.report import card_words, ranking
from lmx_loadgen.report.baselines import RIVALS, Baseline, BaselineFigure, best_baseline
from lmx_loadgen.report.card_data import Card, output_tokens
from lmx_loadgen.report.ranking import rankings_of
from lmx_loadgen.report.sanitize import markdown_text as cell
from lmx_loadgen.report.table import markdown_lines
from lmx_loadgen.report.view import Level, as_shown, mean_interval, point_of, prompt_tokens, stat
from lmx_loadgen.report.workloads import workload_tables
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.imported import note_on
from lmx_loadgen.store.reference import SERVER_NAMES

_SUMMARY = (
    "Model",
    "Backend",
    "tok/s mean",
    "TTFT mean (ms)",
    "vs LM Studio",
    "vs Ollama",
    "Tools",
    "Skills",
    "Quality",
)
_RESULTS = ("C", "", "p50", "p95", "mean", "95 % interval", "tokens in / out", "ok / failed")
_OTHERS = ("Against", "how", "tok/s theirs", "difference", "TTFT ms theirs", "difference", "to know")
_CALLS = ("Tool call", "called", "right tool", "valid JSON", "fits schema", "written as", "latency", "error")
_SKILLS = ("Skill", "ran", "latency", "what it gave back")


def report(cards: Sequence[Card], comparisons: Sequence[Comparison]) -> str:
    """The whole document. Whatever servers wrote stands in it as they wrote it, not as Markdown."""
    lines = ["# lmx-loadgen report", ""]
    if any(one.sentences for one in comparisons):
        lines += ["## Verdicts", "", *_all_verdicts(comparisons)]
    lines += ["## Summary", "", *_table(_SUMMARY, map(_summary, cards)), ""]
    lines += ["Newest run of each, at its lowest concurrency. Bold: chance does not explain it.", ""]
    for _, title, table in workload_tables([(f"{card.model} on {card.backend}", card.levels) for card in cards]):
        lines += [f"## {title}", "", table.caption, "", *markdown_lines(table), ""]
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
            yield from _verdicts(one)
        elif run_id not in shown:
            shown.add(run_id)
            targets = ", ".join(cell(target.target) for target in ranked[run_id][0].targets)
            yield from (f"{targets}, measured {cell(one.a.started_at)}", "", *ranking.markdown(ranked[run_id]))


def _verdicts(one: Comparison) -> list[str]:
    sides = f"{cell(one.b.label)} against {cell(one.a.label)}, measured {cell(one.b.started_at)}"
    return [sides, "", *(f"- {cell(sentence)}" for sentence in one.sentences), ""]


def _table(head: Sequence[str], rows: Iterable[list[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'|'.join('---' for _ in head)}|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _summary(card: Card) -> list[str]:
    baseline = [
        UNDEFINED if card.server == server else _in_short(best_baseline(card.baseline, server)) for server in RIVALS
    ]
    return [
        cell(card.model),
        (cell(card.backend) or UNDEFINED) + (" (imported)" if card.origin == "imported" else ""),
        _mean(card, "decode_tok_s"),
        _mean(card, "ttft"),
        *baseline,
        cell(card_words.tools(card)),
        cell(card_words.skills(card)),
        cell(card_words.quality(card)),
    ]


def _mean(card: Card, metric: str) -> str:
    half, shown = card_words.half_interval(card, metric), as_shown(metric)
    return shown(card_words.mean(card, metric)) + ("" if half is None else f" ± {shown(half)}")


def _in_short(baseline: Baseline | None) -> str:
    texts = card_words.cell_texts(baseline)
    words = ", ".join(_difference(one) for one in texts)
    return words if baseline is None or words == UNDEFINED else f"{words} ({cell(card_words.tag(baseline))})"


def _difference(one: card_words.DifferenceText) -> str:
    return f"**{cell(one.words)}**" if one.strong else cell(one.words)


# ---- a card ------------------------------------------------------------------------------------------


def _card(card: Card) -> Iterator[str]:
    yield f"## {cell(card.model)} on {cell(card.backend) or 'an unknown server'}"
    yield ""
    for words in card_words.warnings(card):
        yield f"- **{cell(words)}**"
    if card.origin == "imported":
        yield f"- imported: {cell(note_on(card.benchmark.get('origin')), 900)}"
    if any(not level.get("token_basis_exact", True) for level in card.levels):
        yield "- tok/s counts chunks of text here, which may hold several tokens"
    yield ""
    if card.origin == "measured":
        hypothesis = card.target.get("hypothesis") or {}
        yield f"Hypothesis: {cell(hypothesis.get('sentence') or UNDEFINED, 600)}"
        yield ""
        if (measured := card_words.against_hypothesis(card)) is not None:
            yield cell(measured, 300)
            yield ""
    yield from _table(_RESULTS, (row for level in card.levels for row in _level(level)))
    if (within := card_words.within_slo(card)) is not None:
        yield ""
        yield cell(within, 600)
    if card.baseline:
        yield ""
        yield from _table(_OTHERS, map(_baseline_row, card.baseline))
    if card.tool_calls:
        yield ""
        yield from _table(_CALLS, map(_call, card.tool_calls))
    if card.skills:
        yield ""
        yield from _table(_SKILLS, map(_skill, card.skills))
    yield ""
    yield f"Quality: {cell(card_words.quality(card))}"
    for level in card.levels:
        if (stability := (level.get("quality") or {}).get("stability")) is not None:
            yield f"- {point_of(level).label}: {cell(stability['sentence'])}"


def _level(level: Level) -> Iterator[list[str]]:
    requests = level["requests"]
    tokens = [count(value) for value in (prompt_tokens(level), output_tokens(level))]
    beside = [" / ".join(tokens), f"{count(requests['ok'])} / {count(requests['failed'])}"]
    for metric, name in (("decode_tok_s", "tok/s"), ("ttft", "TTFT ms")):
        shown = as_shown(metric)
        values = [shown(stat(level, metric, key)) for key in ("p50", "p95", "mean")]
        yield [point_of(level).cell, name, *values, interval(mean_interval(level, metric), shown), *beside]


def _baseline_row(one: Baseline) -> list[str]:
    return [
        SERVER_NAMES[one.server],
        cell(card_words.tag(one)),
        f"{rate(one.rate.theirs)} {one.rate.unit}".strip(),
        _change(one, one.rate),
        milliseconds(one.ttft.theirs),
        _change(one, one.ttft),
        cell("; ".join(card_words.circumstances(one)) or UNDEFINED, 900),
    ]


def _change(one: Baseline, figure: BaselineFigure) -> str:
    edges = card_words.edges(figure)
    return _difference(card_words.difference(one, figure)) + (f" ({edges})" if edges else "")


def _call(one: dict[str, Any]) -> list[str]:
    latency = one.get("latency_sec")
    return [
        cell(one.get("expected_tool_name")),
        *(UNDEFINED if is_right is None else _yes(is_right) for is_right in card_words.judged(one)),
        cell(one.get("form") or UNDEFINED),
        duration(latency if isinstance(latency, float) else None),
        cell(one.get("error") or UNDEFINED),
    ]


def _skill(one: dict[str, object]) -> list[str]:
    latency = one.get("skill_latency_sec")
    return [
        cell(one.get("skill_name")),
        _yes(bool(one.get("skill_invoked_successfully"))),
        duration(latency if isinstance(latency, float) else None),
        cell(one.get("error") or one.get("skill_result_preview") or UNDEFINED),
    ]


def _yes(is_right: bool) -> str:
    return "yes" if is_right else "no"
