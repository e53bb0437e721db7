"""A report card's facts in few words, the same on the page and in Markdown."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from lmx_loadgen.analysis.baselines import Baseline, BaselineFigure
from lmx_loadgen.analysis.formats import UNDEFINED, at_load, change_interval, milliseconds, percent, rate
from lmx_loadgen.analysis.run_view import mean_interval, stat
from lmx_loadgen.report.card_data import Card
from lmx_loadgen.report.comparison_table import shown_verdict
from lmx_loadgen.report.findings import share_of_expected
from lmx_loadgen.report.level_table import rate_unit
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.slo import slo_words
from lmx_loadgen.store.result import NOT_SUPPORTED, ToolCallBenchmark

TAGS = {
    "compared": "measured in turns",
    "compared apart": "measured in separate runs",
    "one run": "measured, no interval",
    "separate runs": "measured in separate runs",
    "published": "published",
}
_METRIC_WORDS = (("decode_tok_s", "tok/s"), ("ttft", "TTFT"))


@dataclass(frozen=True, slots=True)
class DifferenceText:
    """A difference in a few words. `why` explains it, `strong` says that chance does not."""

    words: str
    why: str = ""
    strong: bool = False


def half_interval(card: Card, metric: str) -> float | None:
    """Half the 95 % interval of that mean: what stands after its ±."""
    edges = mean_interval(card.first, metric) if card.first else None
    return None if edges is None or card.mean(metric) is None else (edges[1] - edges[0]) / 2


def warnings(card: Card) -> list[str]:
    """What weakens all figures of a card, in a word or two each."""
    is_few = card.benchmark is not None and card.benchmark.status == "insufficient_data"
    found = ["insufficient data"] if is_few or not card.has_figures else []
    if any(level.tainted for level in card.levels):
        found.append("tainted")
    if any(not level.token_basis_exact for level in card.levels) and card.has_figures:
        found.append("chunks, not tokens")
    return [*found, "incomplete"] if any(not level.complete for level in card.levels) else found


def difference(baseline: Baseline, figure: BaselineFigure) -> DifferenceText:
    """By how much ours differs from theirs: `+12 %`, `inconclusive`, `refused`, `equal`, or a dash; where the
    comparison was made the other way round, by how much theirs differs from ours, as it stands everywhere."""
    if figure.verdict in ("refused", "undecided"):
        return DifferenceText(shown_verdict(str(figure.verdict)), figure.why)
    if figure.change is None:
        return DifferenceText(UNDEFINED, figure.why)
    change = f"{'theirs ' if figure.of_theirs else ''}{percent(figure.change, signed=True)}"
    if figure.verdict == "equivalent":
        return DifferenceText("equal", f"{change}, within what does not matter")
    return DifferenceText(change, "", baseline.is_strong(figure))


def cell_texts(baseline: Baseline | None) -> list[DifferenceText]:
    """The same for a cell of a table: a line for the rate, one for TTFT, or the one figure there is."""
    if baseline is None:
        return [DifferenceText(UNDEFINED, "nothing was measured or published to hold it against")]
    pairs = list(zip((baseline.rate, baseline.ttft), _METRIC_WORDS, strict=True))
    differences = [(difference(baseline, figure), name) for figure, (_, name) in pairs]
    first = differences[0][0]
    if all(one.words == first.words for one, _ in differences):
        if first.words == UNDEFINED:
            return _their_figures(baseline, first.why)
        if first.words in ("refused", "inconclusive", "equal"):
            return [first]
    return [
        DifferenceText(f"{one.words} {name}", one.why, one.strong)
        for one, name in differences
        if one.words != UNDEFINED or baseline.how != "published"
    ]


def _their_figures(baseline: Baseline, why: str) -> list[DifferenceText]:
    """Nothing but the other's own figures."""
    shown = []
    if baseline.rate.theirs is not None:
        shown.append(DifferenceText(f"{rate(baseline.rate.theirs)} {baseline.rate.unit or 'tok/s'}", why))
    if baseline.ttft.theirs is not None:
        shown.append(DifferenceText(f"{milliseconds(baseline.ttft.theirs)} ms TTFT", baseline.ttft.why))
    return shown or [DifferenceText(UNDEFINED, why)]


def edges(figure: BaselineFigure) -> str:
    """The 95 % interval of a difference: `+8 … +16 %`; empty where there is none."""
    return "" if figure.ci95 is None or figure.verdict == "refused" else change_interval(*figure.ci95)


def circumstances(baseline: Baseline) -> str:
    """Under which circumstances a figure was found, why no difference is given, and where it stands."""
    reasons = dict.fromkeys(
        figure.why
        for figure in (baseline.rate, baseline.ttft)
        if figure.why and (figure.theirs is not None or figure.verdict is not None)
    )
    found = [baseline.about, *reasons, f"source: {baseline.source}" if baseline.source else ""]
    return sanitize("; ".join(words for words in found if words), 900)


def tag(baseline: Baseline) -> str:
    """Where a figure comes from, in the fewest words; a published one with its chip unless that is ours."""
    if baseline.how == "published" and baseline.same_chip is not True:
        return f"published, {sanitize(baseline.who, 40)}"
    return "published, same chip" if baseline.how == "published" else TAGS[baseline.how]


# ---- can it do it ------------------------------------------------------------------------------------


def judged(call: ToolCallBenchmark) -> list[bool | None]:
    """Whether it was called, by the right tool, in valid JSON, that fits; None is what cannot be judged: an answer that
    never came, and all else of a call never made."""
    if not call.call_produced:
        return [None if call.error else False, None, None, None]
    return [True, call.tool_name_correct, call.params_valid_json, call.params_match_schema]


def tools(card: Card) -> str:
    """`2 of 3`: tool calls that were right in every respect."""
    calls = card.tool_calls
    return f"{sum(call.passed for call in calls)} of {len(calls)}" if calls else UNDEFINED


def skills(card: Card) -> str:
    """`1 of 2`: skills that ran, or that the server has none."""
    found = card.skills
    if not found:
        return UNDEFINED
    if all(one.error == NOT_SUPPORTED for one in found):
        return NOT_SUPPORTED
    return f"{sum(one.skill_invoked_successfully for one in found)} of {len(found)}"


def quality(card: Card) -> str:
    """`ok 92 %, truncated 8 %` of all answers; where only the first one was judged, its flag."""
    flags: Counter[str] = Counter()
    for level in card.levels:
        flags.update(level.quality.flags if level.quality else {})
    if flags.total():
        return shares(flags, flags.total())
    stats = card.benchmark.stats if card.benchmark else None
    return f"{stats.coherence_flag} (first answer)" if stats and stats.coherence_flag else UNDEFINED


def shares(counts: Mapping[str, int], total: int) -> str:
    """Counts as shares of a whole, the largest first; those of 0 are left out."""
    ordered = sorted(((number, name) for name, number in counts.items() if number), key=lambda pair: -pair[0])
    if total and len(ordered) == 1 and ordered[0][0] == total:
        return sanitize(ordered[0][1], 20)
    return ", ".join(f"{sanitize(name, 20)} {percent(number / total)}" for number, name in ordered) or UNDEFINED


# ---- expected ----------------------------------------------------------------------------------------


def against_hypothesis(card: Card) -> str | None:
    """What was measured in terms of what was expected, in a sentence; None where either is missing."""
    level, target = card.first, card.target
    share = None if level is None or target is None else share_of_expected(target, level)
    if level is None or share is None:
        return None
    figure = f"{rate(stat(level, 'decode_tok_s', 'p50'))} {rate_unit(level)} {at_load(level.load_point)}".strip()
    return f"Measured: {figure} (median), {sanitize(share, 200)}."


def within_slo(card: Card) -> str | None:
    """What share of the requests kept the SLO, where one was set."""
    return None if card.series is None else slo_words(card.levels, card.series.run.result.profile)
