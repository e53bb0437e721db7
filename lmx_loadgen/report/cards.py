"""The summary of the benchmark plan and, below it, a report card for each model on each backend."""

from collections.abc import Sequence

from lmx_loadgen.analysis.formats import UNDEFINED, at_load, count, interval, milliseconds, plural, rate
from lmx_loadgen.report import card_words, checks, dialect_card
from lmx_loadgen.report.baselines import RIVALS, Baseline, BaselineFigure, best_baseline
from lmx_loadgen.report.card_data import Card, output_tokens
from lmx_loadgen.report.earlier_runs import older_runs
from lmx_loadgen.report.markup import NUMBER, Child, Markup, about, boxed_table, chip, column, grouped_table, h, row
from lmx_loadgen.report.page_header import key_sample
from lmx_loadgen.report.sanitize import sanitize, unbroken
from lmx_loadgen.report.tables import first_answer
from lmx_loadgen.report.view import Level, as_shown, is_weak, mean_interval, point_of, prompt_tokens, stat
from lmx_loadgen.store.imported import note_on
from lmx_loadgen.store.reference import SERVER_NAMES, PublishedFigure, Server

MOST_OPEN = 4
_ANSWER = 4_000
_MODEL = 120


# ---- summary -----------------------------------------------------------------------------------------


def summary(cards: Sequence[Card]) -> Markup:
    """The table of the plan: one row for each model and backend, of its newest run."""
    head = [
        column("Model"),
        column("Backend"),
        column("tok/s", "mean", number=True),
        column("TTFT", "mean, ms", number=True),
        column("vs LM Studio"),
        column("vs Ollama"),
        column("Tools"),
        column("Skills"),
        column("Quality"),
    ]
    caption = (
        "Each model on each backend, its newest run, at the lowest concurrency measured; ± is half the 95 % interval "
        "within this run. Bold: chance does not explain it."
    )
    return boxed_table(caption, head, [_row(card) for card in cards])


def _row(card: Card) -> Markup:
    where = at_load(point_of(card.first)) if card.first else ""
    return row(
        h("th", {"scope": "row"}, _model(card), h("span", {"class": "model"}, where) if where else None),
        h("td", None, _who(card)),
        h("td", NUMBER, _mean(card, "decode_tok_s"), _inexact(card)),
        h("td", NUMBER, _mean(card, "ttft")),
        [h("td", {"class": "vs"}, _vs(card, server)) for server in RIVALS],
        [h("td", {"class": "whole"}, words) for words in (card_words.tools(card), card_words.skills(card))],
        h("td", None, unbroken(card_words.quality(card))),
    )


def _model(card: Card) -> list[Child]:
    """The model's name, its publisher above it."""
    publisher, slash, name = sanitize(card.model, _MODEL).rpartition("/")
    return [h("span", {"class": "model"}, publisher + slash) if publisher else None, name]


def _who(card: Card) -> list[Child]:
    name = sanitize(card.backend, 40)
    if card.series is None:
        return [h("span", {"class": "name"}, name), chip("imported")]
    return [h("span", {"class": "name"}, key_sample(card.series.style), h("span", None, name))]


def _mean(card: Card, metric: str) -> list[Child]:
    half, shown = card_words.half_interval(card, metric), as_shown(metric)
    beside = None if half is None else h("span", {"class": "pm"}, "±", shown(half))
    return [shown(card_words.mean(card, metric)), beside]


def _inexact(card: Card) -> Markup | None:
    """A rate that rests on text events is one of chunks."""
    if card.first is None or card.first.get("token_basis_exact", True) or card_words.mean(card, "decode_tok_s") is None:
        return None
    return h("span", {"class": "under", "title": "it counts chunks, which may hold several tokens"}, "not exact")


def _vs(card: Card, server: Server) -> list[Child]:
    if card.server == server:
        return [_difference(card_words.DifferenceText(UNDEFINED, f"it is {SERVER_NAMES[server]} itself"), "div")]
    baseline = best_baseline(card.baseline, server)
    texts = card_words.cell_texts(baseline)
    lines: list[Child] = [_difference(one, "div") for one in texts]
    if baseline is None or texts[0].words == UNDEFINED:
        return lines
    return [*lines, _tag(baseline)]


def _difference(one: card_words.DifferenceText, tag: str) -> Markup:
    words = unbroken(one.words)
    return h(tag, {"title": one.why or None}, h("strong", None, words) if one.strong else words)


def _tag(baseline: Baseline) -> Markup:
    kind = "tag published" if baseline.how == "published" else "tag"
    title = "; ".join(part for part in (baseline.source, baseline.about) if part)
    return h("span", {"class": kind, "title": sanitize(title, 600) or None}, card_words.tag(baseline))


# ---- cards -------------------------------------------------------------------------------------------


def all_cards(cards: Sequence[Card]) -> Markup:
    """The cards under each other; more than a few are folded, so that the page can be overlooked."""
    is_open = "" if len(cards) <= MOST_OPEN else None
    return h("div", {"class": "reports"}, [_card(card, is_open) for card in cards])


def _card(card: Card, is_open: str | None) -> Markup:
    colour = f" c{card.series.style.colour}" if card.series else ""
    body = h(
        "div",
        {"class": "parts"},
        _origin(card) if card.origin == "imported" else _hypothesis(card),
        _results(card),
        _baselines(card),
        checks.capabilities(card),
        checks.quality(card),
        checks.server_word(card),
        dialect_card.part(card),
        checks.part("", older_runs(card), _answer(card), width="wide"),
    )
    return h("details", {"class": f"card report{colour}", "open": is_open}, _title(card), body)


def _title(card: Card) -> Markup:
    figures = [
        f"{rate(card_words.mean(card, 'decode_tok_s'))} tok/s",
        f"{milliseconds(card_words.mean(card, 'ttft'))} ms TTFT",
    ]
    return h(
        "summary",
        None,
        h("h3", None, sanitize(card.model, _MODEL)),
        h(
            "span",
            {"class": "who"},
            _who(card),
            *(chip(words, "bad") for words in card_words.warnings(card)),
        ),
        h("span", {"class": "short"}, " · ".join(figures) if card.has_figures else "no answer"),
    )


def _origin(card: Card) -> Markup:
    """Who measured an imported result, and how."""
    when = sanitize(card.runs[0].label, 60) or "on an unknown day"
    known = [f"Stored {when}, of {sanitize(card.machine, 80) or 'an unknown machine'}."]
    note = note_on(card.benchmark.get("origin"))
    words = [h("p", None, f"{note[0].upper()}{note[1:]}."), about(*known)]
    return checks.part("Imported", words, width="narrow")


def _hypothesis(card: Card) -> Markup:
    """What was expected before, and what came of it."""
    hypothesis = card.target.get("hypothesis")
    if not hypothesis:
        words = f"{UNDEFINED} (none was stored with this run)"
        return checks.part("Hypothesis", about(words), width="narrow")
    measured = card_words.against_hypothesis(card)
    figures = [PublishedFigure.model_validate(one) for one in hypothesis.get("figures") or []]
    return checks.part(
        "Hypothesis",
        h("p", None, unbroken(sanitize(hypothesis["sentence"], 600))),
        h("p", {"class": "result"}, unbroken(measured)) if measured else None,
        _figures_behind(figures) if figures else None,
        width="narrow",
    )


def _figures_behind(figures: Sequence[PublishedFigure]) -> Markup:
    """What was known of the same weights when the run began, folded: the reference may say other things today."""
    items = [h("li", None, _figure_words(one)) for one in figures]
    title = f"{plural(len(figures), 'published figure')} known when it began"
    return h("details", None, h("summary", None, title), h("ul", {"class": "plain"}, items))


def _figure_words(figure: PublishedFigure) -> str:
    """`LM Studio 101.9 tok/s, M4 Max 128 GB (source)`."""
    shown = []
    if figure.toks_per_sec is not None:
        shown.append(f"{rate(figure.toks_per_sec)} tok/s")
    if figure.total_toks_per_sec is not None:
        shown.append(f"{rate(figure.total_toks_per_sec)} tok/s over whole requests")
    if figure.ttft_sec is not None:
        shown.append(f"TTFT {milliseconds(figure.ttft_sec)} ms")
    words = f"{SERVER_NAMES[figure.server]} {', '.join(shown) or UNDEFINED}, {figure.hardware} ({figure.source})"
    return sanitize(words, 500)


# ---- results -----------------------------------------------------------------------------------------


def _results(card: Card) -> Markup:
    """p50, p95 and mean with its interval, of TTFT and tok/s at each level."""
    head = [
        column("At once"),
        column(""),
        *(column(name, number=True) for name in ("p50", "p95", "mean", "95 % interval")),
        column("Tokens", "in / out", number=True),
        column("Runs", "ok / failed", number=True),
    ]
    bodies = [_level(level) for level in card.levels]
    if not bodies:
        return checks.part("Results", about(UNDEFINED), width="broad")
    caption = "Of single answers. p95 of tok/s is what 95 % reach; † marks one with fewer than five samples beyond it."
    within = card_words.within_slo(card)
    words = h("p", None, unbroken(sanitize(within, 600))) if within is not None else None
    return checks.part("Results", grouped_table(caption, head, bodies), words, width="broad")


def _level(level: Level) -> Markup:
    requests = level["requests"]
    runs = (
        count(requests["ok"])
        if requests.get("failed") is None
        else f"{count(requests['ok'])} / {count(requests['failed'])}"
    )
    spanned = {"rowspan": "2"} | NUMBER
    return h(
        "tbody",
        None,
        row(
            h("th", {"scope": "rowgroup", "rowspan": "2"}, point_of(level).cell),
            _figures(level, "decode_tok_s", "tok/s"),
            h("td", spanned, f"{count(prompt_tokens(level))} / {count(output_tokens(level))}"),
            h("td", spanned, runs),
        ),
        h("tr", {"class": "second"}, _figures(level, "ttft", "TTFT ms")),
    )


def _figures(level: Level, metric: str, name: str) -> list[Markup]:
    shown = as_shown(metric)
    reason = (level["metrics"].get(metric) or {}).get("reason")
    cells = [h("td", {"class": "fig", "title": sanitize(reason, 200) if reason else None}, name)]
    for key in ("p50", "p95", "mean"):
        mark = h("span", {"class": "mark"}, "†") if is_weak(level, metric, key) else None
        cells.append(h("td", NUMBER, shown(stat(level, metric, key)), mark))
    cells.append(h("td", NUMBER, interval(mean_interval(level, metric), shown)))
    return cells


# ---- against others ----------------------------------------------------------------------------------


def _baselines(card: Card) -> Markup:
    """Measured first, published second, each said to be what it is."""
    head = [
        column("Against"),
        column("How it is known"),
        column("tok/s", "theirs", number=True),
        column("Difference", number=True),
        column("TTFT", "theirs, ms", number=True),
        column("Difference", number=True),
        column("To know"),
    ]
    rows = [_baseline_row(one) for one in card.baseline]
    missing = [server for server in RIVALS if server != card.server and best_baseline(card.baseline, server) is None]
    rows += [_no_baseline_row(server) for server in missing]
    caption = "Measured on this machine first, published by others second. A difference is of ours to theirs."
    return checks.part("Against others", boxed_table(caption, head, rows), width="wide")


def _no_baseline_row(server: Server) -> Markup:
    """The row of a server that nothing is known of."""
    numbers = [h("td", NUMBER, UNDEFINED)] * 4
    ends = h("td", None, UNDEFINED)
    return row(h("th", {"scope": "row", "class": "whole"}, SERVER_NAMES[server]), ends, numbers, ends)


def _baseline_row(one: Baseline) -> Markup:
    return row(
        h("th", {"scope": "row", "class": "whole"}, SERVER_NAMES[one.server]),
        h("td", None, _tag(one)),
        h("td", NUMBER, rate(one.rate.theirs), h("span", {"class": "under"}, one.rate.unit) if one.rate.unit else None),
        _change(one, one.rate),
        h("td", NUMBER, milliseconds(one.ttft.theirs)),
        _change(one, one.ttft),
        h("td", {"class": "known"}, unbroken(sanitize("; ".join(card_words.circumstances(one)), 900)) or UNDEFINED),
    )


def _change(one: Baseline, figure: BaselineFigure) -> Markup:
    texts = card_words.difference(one, figure)
    edges = card_words.edges(figure)
    return h("td", NUMBER, _difference(texts, "span"), h("span", {"class": "under"}, edges) if edges else None)


def _answer(card: Card) -> Markup | None:
    """What the model wrote, folded: proof that the server did the work."""
    text = (first_answer(card.series) if card.series else "") or str(card.stats.get("output_text") or "")
    if not text:
        return about(f"Output text: {UNDEFINED}")
    shown = sanitize(text, _ANSWER, keep_lines=True)
    return h("details", None, h("summary", None, "What it wrote in its first measured answer"), h("pre", None, shown))
