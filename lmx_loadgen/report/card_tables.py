"""The tables of report cards, declared once for page and Markdown: the plan's summary, and the parts of a card."""

from collections.abc import Iterator, Sequence

from lmx_loadgen.analysis.baselines import RIVALS, Baseline, BaselineFigure, best_baseline
from lmx_loadgen.analysis.formats import UNDEFINED, at_load, count, duration, milliseconds, percent, rate
from lmx_loadgen.analysis.run_view import prompt_tokens, stat
from lmx_loadgen.report import card_words
from lmx_loadgen.report.card_data import Card
from lmx_loadgen.report.level_table import (
    STATISTICS,
    Statistic,
    classes_of,
    common_unit,
    figure,
    footnotes,
    ok_failed,
    rate_unit,
)
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.table import Cell, Column, Row, Table, Tone, flag, one_group
from lmx_loadgen.report.view import as_shown
from lmx_loadgen.store.reference import SERVER_NAMES, Server
from lmx_loadgen.store.result import NOT_SUPPORTED, BenchmarkResult, LevelResult, SkillsBenchmark, ToolCallBenchmark

_WORDS = 300
_FLAGS = ("ok", "repetitive", "truncated", "garbled")
_ENDS = ("natural", "limited", "unknown")
# Ours at p50 as well: the columns of a card's results, side by side with what 95 % of answers reach.
_OF_CARD = (*STATISTICS, Statistic("decode_tok_s", "p95"))
TIMINGS_NOTE = (
    "llama.cpp counts the end of the turn as a token and takes the time of decoding from the first token on. Where it "
    "states no rate of its own, the rate is of the tokens after the first."
)
OWN_NOTE = (
    "Opta-LMX's own benchmark takes the p95 of tok/s at the best end, where this tool gives the rate that 95 % of "
    "answers reach, and its tok/s counts one token too many: the first, which no time of decoding belongs to."
)


# ---- the plan's summary -----------------------------------------------------------------------------


def summary_table(cards: Sequence[Card]) -> Table:
    """The table of the plan: one row for each model and backend, of its newest run. Its means are the only ones."""
    columns = [
        Column("Model"),
        Column("Backend"),
        Column("tok/s", "mean", number=True),
        Column("TTFT", "mean", "ms", number=True),
        Column("vs LM Studio"),
        Column("vs Ollama"),
        Column("Tools", optional=True),
        Column("Skills", optional=True),
        Column("Quality", optional=True),
    ]
    caption = (
        "Newest run of each model and backend, at its lowest concurrency. ± is half the 95 % interval of the mean "
        "within this run; differences are of medians. Bold: chance does not explain it."
    )
    return one_group(columns, map(_summary_row, cards), caption)


def _summary_row(card: Card) -> Row:
    where = at_load(card.first.load_point) if card.first else ""
    imported = "imported" if card.series is None else ""
    return [
        Cell(sanitize(card.model, 120), under=where),
        Cell(sanitize(card.backend, 40) or UNDEFINED, under=imported, look=card.series.index if card.series else None),
        _mean(card, "decode_tok_s"),
        _mean(card, "ttft"),
        *(_versus(card, server) for server in RIVALS),
        card_words.tools(card),
        card_words.skills(card),
        card_words.quality(card),
    ]


def _mean(card: Card, metric: str) -> Cell:
    value, half, shown = card.mean(metric), card_words.half_interval(card, metric), as_shown(metric)
    text = shown(value) + ("" if half is None else f" ± {shown(half)}")
    is_rate = metric == "decode_tok_s" and value is not None and card.first is not None
    in_chunks = is_rate and card.first is not None and not card.first.token_basis_exact
    return Cell(text, under="chunks/s" if in_chunks else "", mark=_tainted(card, metric))


def _tainted(card: Card, metric: str) -> str:
    found = card.first.metrics.get(metric) if card.first else None
    return "‡" if found is not None and "mean" in found.tainted else ""


def _versus(card: Card, server: Server) -> Cell:
    if card.server == server:
        return Cell(UNDEFINED, why=f"it is {SERVER_NAMES[server]} itself")
    baseline = best_baseline(card.baseline, server)
    texts = card_words.cell_texts(baseline)
    strong = [one.words for one in texts if one.strong]
    first = strong or [one.words for one in texts]
    beside = [one.words for one in texts if one.words not in first]
    beside += [card_words.tag(baseline)] if baseline is not None and first != [UNDEFINED] else []
    why = "; ".join(dict.fromkeys(one.why for one in texts if one.why))
    tone: Tone = "strong" if strong else ""
    return Cell(", ".join(first), tone=tone, under=", ".join(beside), why=sanitize(why, 600))


# ---- a card's figures -------------------------------------------------------------------------------


def results_table(card: Card) -> Table:
    """Medians and p95 of single answers at each level, by class of prompt."""
    unit = common_unit(card.levels)
    columns = [
        Column("C", number=True, grouped=True),
        Column("prompts", optional=True),
        *(Column(one.title, one.key, _unit(one, unit), number=True) for one in _OF_CARD),
        Column("tokens", "in / out", number=True, grouped=True),
        Column("ok / failed", number=True, grouped=True),
    ]
    groups = [[*_result_rows(card, level, unit)] for level in card.levels]
    caption = "Of single answers; p95 of a rate is what 95 % of answers reach."
    return Table(columns, groups, caption, footnotes(card.levels))


def _unit(one: Statistic, unit: str | None) -> str:
    return (unit or "") if one.metric == "decode_tok_s" else "ms" if one.metric == "ttft" else "tok/s"


def _result_rows(card: Card, level: LevelResult, unit: str | None) -> Iterator[Row]:
    tokens = f"{count(prompt_tokens(level))} / {count(stat(level, 'output_tokens', 'mean'))}"
    ended = ok_failed(level) if card.series is not None else count(level.requests.ok)
    is_told = len(level.by_prompt_class) > 1
    for name, metrics in classes_of(level):
        cells = [figure(level, metrics, one, unit) for one in _OF_CARD]
        yield [level.load_point.cell, name if is_told else "", *cells, tokens, ended]


def baselines_table(card: Card) -> Table:
    """What the model was held against: measured on this machine first, published by others second."""
    columns = [
        Column("Compared with"),
        Column("Source"),
        Column("theirs", unit="tok/s", number=True, optional=True),
        Column("Difference", number=True, optional=True),
        Column("theirs", "TTFT", "ms", number=True, optional=True),
        Column("Difference", "TTFT", number=True, optional=True),
        Column("Notes", optional=True),
    ]
    compared = [figure for one in card.baseline for figure in (one.rate, one.ttft) if figure.change is not None]
    caption = "Differences are ours against theirs, in per cent of theirs." if compared else ""
    if any(figure.of_theirs for figure in compared):
        caption = "Differences are ours against theirs; those marked theirs are the other way round, as compared."
    return one_group(columns, map(_baseline_row, card.baseline), caption)


def _baseline_row(one: Baseline) -> Row:
    return [
        SERVER_NAMES[one.server],
        Cell(card_words.tag(one), chip=True),
        f"{rate(one.rate.theirs)} {one.rate.unit}".strip(),
        _change(one, one.rate),
        milliseconds(one.ttft.theirs),
        _change(one, one.ttft),
        card_words.circumstances(one),
    ]


def _change(one: Baseline, found: BaselineFigure) -> Cell:
    said = card_words.difference(one, found)
    tone: Tone = "strong" if said.strong else ""
    return Cell(said.words, tone=tone, under=card_words.edges(found), why=sanitize(said.why, 600))


def earlier_table(card: Card) -> Table:
    """All runs of a card's model, newest first."""
    columns = [
        Column("Run"),
        Column("decode", "p50", number=True),
        Column("TTFT", "p50", "ms", number=True),
        Column("", optional=True),
    ]
    rows: list[Row] = []
    for place, past in enumerate(card.runs):
        decode, ttft = (stat(past.level, metric, "p50") if past.level else None for metric in ("decode_tok_s", "ttft"))
        unit = f" {rate_unit(past.level)}" if past.level and decode is not None else ""
        beside = "newest" if place == 0 else "" if past.same_work else "other work"
        rows.append([sanitize(past.label, 60), f"{rate(decode)}{unit}", milliseconds(ttft), beside])
    return one_group(columns, rows)


# ---- can it do it -----------------------------------------------------------------------------------


def calls_table(calls: Sequence[ToolCallBenchmark]) -> Table:
    """Tool calls, each asked for once and judged in four respects."""
    judged = [Column(name) for name in ("called", "right tool", "valid JSON", "fits schema")]
    ends = [Column("written as"), Column("latency", number=True), Column("error", optional=True)]
    return one_group([Column("Tool call"), *judged, *ends], map(_call_row, calls))


def _call_row(one: ToolCallBenchmark) -> Row:
    return [
        Cell(sanitize(one.expected_tool_name, 60), under=sanitize(one.prompt_used, 120)),
        *map(flag, card_words.judged(one)),
        sanitize(one.form or UNDEFINED, 40),
        duration(one.latency_sec),
        sanitize(one.error or UNDEFINED, _WORDS),
    ]


def skills_table(skills: Sequence[SkillsBenchmark]) -> Table:
    """Skills of the server, each run once."""
    columns = [Column("Skill"), Column("ran"), Column("latency", number=True), Column("what it gave back")]
    return one_group(columns, map(_skill_row, skills))


def _skill_row(one: SkillsBenchmark) -> Row:
    ran = Cell(NOT_SUPPORTED, chip=True) if one.error == NOT_SUPPORTED else flag(one.skill_invoked_successfully)
    said = "" if one.error == NOT_SUPPORTED else one.error or one.skill_result_preview
    return [
        sanitize(one.skill_name, 60),
        ran,
        duration(one.skill_latency_sec),
        sanitize(said or UNDEFINED, _WORDS),
    ]


def quality_table(card: Card) -> Table:
    """Coherence of the answers and how they ended, by level."""
    columns = [
        Column("C", number=True),
        *(Column(name, number=True) for name in _FLAGS),
        *(Column("ended", end, number=True) for end in ("by itself", "at max_tokens", "unknown")),
    ]
    return one_group(columns, [row for level in card.levels if (row := _quality_row(level)) is not None])


def _quality_row(level: LevelResult) -> Row | None:
    found = level.quality
    if found is None:
        return None
    shares = []
    for name in _FLAGS:
        number = found.flags.get(name, 0)  # type: ignore[call-overload]
        text = percent(number / found.answers) if found.answers else UNDEFINED
        shares.append(Cell(text, tone="bad" if number and name in ("repetitive", "garbled") else ""))
    return [level.load_point.cell, *shares, *(count(getattr(found, end)) for end in _ENDS)]


# ---- the server's own word --------------------------------------------------------------------------


def timings_table(levels: Sequence[LevelResult]) -> Table:
    """*Server says* beside *client sees*, medians of the same answers."""
    columns = [
        Column("C", number=True),
        Column("prompt", "server says", "ms", number=True),
        Column("TTFT", "client sees", "ms", number=True),
        Column("tok/s", "server says", number=True),
        Column("tok/s", "client sees", number=True),
    ]
    words = [(level, level.server_word) for level in levels if level.server_word is not None]
    rows = [
        [
            level.load_point.cell,
            milliseconds(word.prompt_sec),
            milliseconds(word.client_ttft_sec),
            rate(word.toks_per_sec),
            rate(word.client_toks_per_sec),
        ]
        for level, word in words
    ]
    sources = list(dict.fromkeys(sanitize(word.source, 80) for _, word in words))
    notes = [TIMINGS_NOTE] if any(source.startswith("llama.cpp") for source in sources) else []
    return one_group(columns, rows, f"Medians over the same answers. Said in: {', '.join(sources)}.", *notes)


def own_benchmark_table(card: Card, benchmarks: Sequence[BenchmarkResult]) -> Table:
    """The server's own benchmark of the model beside ours."""
    columns = [
        Column("Benchmark"),
        *(Column("TTFT", name, "ms", number=True) for name in ("p50", "p95")),
        *(Column("tok/s", name, number=True) for name in ("p50", "p95")),
        Column("runs", number=True),
    ]
    rows = [_benchmark_row("server says", one) for one in benchmarks]
    first = card.first
    if first is not None:
        times = [milliseconds(stat(first, "ttft", key)) for key in ("p50", "p95")]
        rates = [f"{rate(stat(first, 'decode_tok_s', key))} {rate_unit(first)}" for key in ("p50", "p95")]
        rows.append([f"client sees {at_load(first.load_point)}".rstrip(), *times, *rates, count(first.requests.ok)])
    prompt = sanitize(benchmarks[0].prompt_preview or UNDEFINED, 80)
    caption = f"It sends one prompt again and again, which a prefix cache may answer: {prompt}"
    return one_group(columns, rows, caption, *([OWN_NOTE] if card.server == "opta_lmx" else []))


def _benchmark_row(who: str, one: BenchmarkResult) -> Row:
    stats = one.stats
    if stats is None:
        return [who, *[UNDEFINED] * 5]
    times = [milliseconds(value) for value in (stats.ttft_p50_sec, stats.ttft_p95_sec)]
    return [who, *times, rate(stats.toks_per_sec_p50), rate(stats.toks_per_sec_p95), count(stats.runs_completed)]
