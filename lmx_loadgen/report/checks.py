"""The part of a report card that is no speed: can the model do it, are its answers any good, what the server says."""

from typing import Any

from lmx_loadgen.analysis.formats import UNDEFINED, at_load, count, duration, milliseconds, rate
from lmx_loadgen.report import card_words
from lmx_loadgen.report.card_data import Card
from lmx_loadgen.report.markup import NUMBER, Child, Markup, about, boxed_table, chip, column, h, number_cells, row
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import Level, point_of, stat
from lmx_loadgen.store.result import NOT_SUPPORTED

_WORDS = 300
_FLAGS = ("ok", "repetitive", "truncated", "garbled")
_TIMINGS_NOTE = (
    "llama.cpp counts the end of the turn as a token and takes the time of decoding from the first token on. Where it "
    "states no rate of its own, the rate is of the tokens after the first."
)
_OWN_CAPTION = (
    "The server's own benchmark of this model, beside ours. It sends one prompt again and again, which its prefix "
    "cache may answer, and the length of its answers is its own."
)
_OWN_NOTE = (
    "Opta-LMX's own benchmark takes the p95 of tok/s at the best end, where this tool gives the rate that 95 % of "
    "answers reach, and its tok/s counts one token too many: the first, which no time of decoding belongs to."
)


def part(title: str, *children: Child, width: str = "") -> Markup:
    """One part of a card: half of its width, or `narrow`, `broad` or `wide`."""
    return h("div", {"class": f"part {width}".strip()}, h("h4", None, title) if title else None, children)


# ---- tool calls and skills ---------------------------------------------------------------------------


def capabilities(card: Card) -> Markup:
    """The capability matrix: each tool call judged in four respects, each skill as it ran."""
    calls, skills = card.tool_calls, card.skills
    return part(
        "Tools and skills",
        _calls(calls) if calls else about(f"Tool calls: {UNDEFINED} (not asked for)"),
        _skills(skills) if skills else about(f"Skills: {UNDEFINED} (not asked for)"),
        width="wide",
    )


def _calls(calls: list[dict[str, Any]]) -> Markup:
    head = [
        column("Tool call"),
        *(column(name) for name in ("Called", "Right tool", "Valid JSON", "Fits schema")),
        column("Written as"),
        column("Latency", number=True),
        column("Error"),
    ]
    return boxed_table("Tool calls, each asked for once.", head, [_call(one) for one in calls])


def _call(one: dict[str, Any]) -> Markup:
    return row(
        h(
            "th",
            {"scope": "row"},
            sanitize(one.get("expected_tool_name"), 60),
            h("span", {"class": "model"}, sanitize(one.get("prompt_used"), 120)),
        ),
        [h("td", None, UNDEFINED if right is None else _tick(right)) for right in card_words.judged(one)],
        h("td", None, sanitize(one.get("form") or UNDEFINED, 40)),
        h("td", NUMBER, duration(one.get("latency_sec"))),
        h("td", {"class": "who"}, sanitize(one["error"], _WORDS) if one.get("error") else UNDEFINED),
    )


def _tick(is_right: bool) -> Markup:
    words = ("yes", "✓ ") if is_right else ("no", "✗ ")
    return h("span", {"class": "tick" if is_right else "tick failed"}, words[1] + words[0])


def _skills(skills: list[dict[str, Any]]) -> Markup:
    head = [column("Skill"), column("Ran"), column("Latency", number=True), column("What it gave back")]
    return boxed_table("Skills of the server, each run once.", head, [_skill(one) for one in skills])


def _skill(one: dict[str, Any]) -> Markup:
    error = one.get("error")
    ran: Child = _tick(bool(one.get("skill_invoked_successfully")))
    if error == NOT_SUPPORTED:
        ran, error = chip(error), None
    preview = sanitize(error or one.get("skill_result_preview") or UNDEFINED, _WORDS)
    return row(
        h("th", {"scope": "row"}, sanitize(one.get("skill_name"), 60)),
        h("td", None, ran),
        h("td", NUMBER, duration(one.get("skill_latency_sec"))),
        h("td", {"class": "words"}, preview),
    )


# ---- quality -----------------------------------------------------------------------------------------


def quality(card: Card) -> Markup:
    """Coherence of the answers, how they ended, and whether they stay the same beside others, by level."""
    judged = [level for level in card.levels if level.get("quality")]
    if not judged:
        return part("Quality of the answers", about(card_words.quality(card)), width="broad")
    head = [
        column("At once", number=True),
        *(column(flag, number=True) for flag in _FLAGS),
        *(column("ended", end, number=True) for end in ("by itself", "at limit", "unknown")),
    ]
    sentences = [
        h("li", None, sanitize(stability["sentence"], _WORDS))
        for level in judged
        if (stability := level["quality"].get("stability"))
    ]
    return part(
        "Quality of the answers",
        boxed_table(
            "Share of the measured answers, and how many ended how; unknown is what cannot be told.",
            head,
            [_quality_row(one) for one in judged],
        ),
        h("ul", {"class": "plain"}, sentences) if sentences else None,
        width="broad",
    )


def _quality_row(level: Level) -> Markup:
    found = level["quality"]
    answers, flags = int(found["answers"]), found.get("flags") or {}
    ends = [h("td", NUMBER, count(found.get(name))) for name in ("natural", "limited", "unknown")]
    cells = [_share(flag, int(flags.get(flag, 0)), answers) for flag in _FLAGS]
    return row(h("td", NUMBER, point_of(level).cell), cells, ends)


def _share(flag: str, number: int, answers: int) -> Markup:
    if not answers:
        return h("td", NUMBER, UNDEFINED)
    is_bad = number > 0 and flag in ("repetitive", "garbled")
    shown = f"{100 * number / answers:.0f} %" if number in (0, answers) else f"{100 * number / answers:.1f} %"
    return h("td", {"class": "num failed" if is_bad else "num"}, shown)


# ---- the server's own word ---------------------------------------------------------------------------


def server_word(card: Card) -> Markup | None:
    """*Server says* beside *client sees*: what it tells in its answers, and what it measured of itself."""
    with_timings = [level for level in card.levels if level.get("server_word")]
    benchmarks = card.target.get("server_benchmarks") or []
    if not with_timings and not benchmarks:
        return None
    return part(
        "Server says, client sees",
        _timings_table(with_timings) if with_timings else None,
        _benchmark_table(card, benchmarks) if benchmarks else None,
        width="narrow",
    )


def _timings_table(levels: list[Level]) -> list[Markup]:
    head = [
        column("At once", number=True),
        column("Prompt", "server says, ms", number=True),
        column("TTFT", "client sees, ms", number=True),
        column("tok/s", "server says", number=True),
        column("tok/s", "client sees", number=True),
    ]
    sources = dict.fromkeys(sanitize(level["server_word"].get("source"), 80) for level in levels)
    caption = f"Medians over the same answers. Said in: {', '.join(sources)}."
    table = boxed_table(caption, head, [_timings_row(level) for level in levels])
    from_llama_cpp = any(source.startswith("llama.cpp") for source in sources)
    return [table, h("p", {"class": "about after"}, _TIMINGS_NOTE)] if from_llama_cpp else [table]


def _timings_row(level: Level) -> Markup:
    timings = level["server_word"]
    cells = [
        point_of(level).cell,
        milliseconds(timings.get("prompt_sec")),
        milliseconds(timings.get("client_ttft_sec")),
        rate(timings.get("toks_per_sec")),
        rate(timings.get("client_toks_per_sec")),
    ]
    return row(number_cells(cells))


def _benchmark_table(card: Card, benchmarks: list[dict[str, Any]]) -> list[Markup]:
    head = [
        column("Benchmark"),
        *(column("TTFT", f"{name}, ms", number=True) for name in ("mean", "p95")),
        *(column("tok/s", name, number=True) for name in ("mean", "p95")),
        column("Runs", number=True),
    ]
    rows = [_benchmark_row("server says", result.get("stats") or {}) for result in benchmarks] + [_client_row(card)]
    caption = f"{_OWN_CAPTION} It was: {sanitize(benchmarks[0].get('prompt_preview') or UNDEFINED, 80)}"
    table = boxed_table(caption, head, rows)
    return [table, h("p", {"class": "about after"}, _OWN_NOTE)] if card.target.get("dialect") == "lmx" else [table]


def _benchmark_row(who: str, stats: dict[str, Any]) -> Markup:
    cells = [
        milliseconds(stats.get("ttft_mean_sec")),
        milliseconds(stats.get("ttft_p95_sec")),
        rate(stats.get("toks_per_sec_mean")),
        rate(stats.get("toks_per_sec_p95")),
        count(stats.get("runs_completed")),
    ]
    return row(h("th", {"scope": "row"}, who), number_cells(cells))


def _client_row(card: Card) -> Markup:
    first = card.first
    if first is None:
        return _benchmark_row("client sees", {})
    figures = {
        "ttft_mean_sec": stat(first, "ttft", "mean"),
        "ttft_p95_sec": stat(first, "ttft", "p95"),
        "toks_per_sec_mean": stat(first, "decode_tok_s", "mean"),
        "toks_per_sec_p95": stat(first, "decode_tok_s", "p95"),
        "runs_completed": first["requests"]["ok"],
    }
    return _benchmark_row(f"client sees {at_load(point_of(first))}".rstrip(), figures)
