"""A report card's facts in few words, the same on the page and in Markdown."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.analysis.formats import UNDEFINED, at_load, change_interval, milliseconds, percent, rate
from lmx_loadgen.report.baselines import Baseline, BaselineFigure
from lmx_loadgen.report.card_data import Card
from lmx_loadgen.report.comparison import shown_verdict
from lmx_loadgen.report.findings import share_of_expected
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.slo import slo_words
from lmx_loadgen.report.view import mean_interval, point_of, stat
from lmx_loadgen.store.result import FEWEST_RUNS, NOT_SUPPORTED

JUDGED = ("call_produced", "tool_name_correct", "params_valid_json", "params_match_schema")
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


def mean(card: Card, metric: str) -> float | None:
    """The mean at the card's lowest level; None for fewer than two answers, which are no data."""
    ok = None if card.first is None else card.first["requests"]["ok"]
    if card.first is None or (ok is not None and ok < FEWEST_RUNS):
        return None
    return stat(card.first, metric, "mean")


def half_interval(card: Card, metric: str) -> float | None:
    """Half the 95 % interval of that mean: what stands after its ±."""
    edges = mean_interval(card.first, metric) if card.first else None
    return None if edges is None or mean(card, metric) is None else (edges[1] - edges[0]) / 2


def warnings(card: Card) -> list[str]:
    """What weakens all figures of a card, in a word or two each."""
    found = ["insufficient data"] if card.benchmark.get("status") == "insufficient_data" or not card.has_figures else []
    if any(level.get("tainted") for level in card.levels):
        found.append("tainted")
    if any(not level.get("complete", True) for level in card.levels):
        found.append("incomplete")
    return found


def difference(baseline: Baseline, figure: BaselineFigure) -> DifferenceText:
    """By how much ours differs: `+12 %`, `inconclusive`, `refused`, `equal`, or a dash."""
    if figure.verdict in ("refused", "undecided"):
        return DifferenceText(shown_verdict(str(figure.verdict)), figure.why)
    if figure.change is None:
        return DifferenceText(UNDEFINED, figure.why)
    if figure.verdict == "equivalent":
        return DifferenceText("equal", f"{percent(figure.change, signed=True)}, within what does not matter")
    return DifferenceText(percent(figure.change, signed=True), "", baseline.is_strong(figure))


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


def edges(figure: BaselineFigure) -> str | None:
    """The 95 % interval of a difference: `+8 … +16 %`."""
    if figure.ci95 is None or figure.verdict == "refused":
        return None
    return change_interval(*figure.ci95)


def circumstances(baseline: Baseline) -> list[str]:
    """Under which circumstances a figure was found, why no difference is given, and where it stands."""
    reasons = dict.fromkeys(
        figure.why
        for figure in (baseline.rate, baseline.ttft)
        if figure.why and (figure.theirs is not None or figure.verdict is not None)
    )
    found = [baseline.about, *reasons, f"source: {baseline.source}" if baseline.source else ""]
    return [words for words in found if words]


def tag(baseline: Baseline) -> str:
    """Where a figure comes from, in the fewest words; a published one with its chip unless that is ours."""
    if baseline.how == "published" and baseline.same_chip is not True:
        return f"published, {sanitize(baseline.who, 40)}"
    return "published, same chip" if baseline.how == "published" else TAGS[baseline.how]


# ---- can it do it ------------------------------------------------------------------------------------


def passed(call: dict[str, Any]) -> bool:
    return all(call.get(name) for name in JUDGED)


def judged(call: dict[str, Any]) -> list[bool | None]:
    """Each of `JUDGED`; None is what cannot be judged: an answer that never came, and all else of a call never made."""
    if call.get("call_produced"):
        return [bool(call.get(name)) for name in JUDGED]
    return [None if call.get("error") else False, None, None, None]


def tools(card: Card) -> str:
    """`2 of 3`: tool calls that were right in every respect."""
    calls = card.tool_calls
    return f"{sum(map(passed, calls))} of {len(calls)}" if calls else UNDEFINED


def skills(card: Card) -> str:
    """`1 of 2`: skills that ran, or that the server has none."""
    found = card.skills
    if not found:
        return UNDEFINED
    if all(one.get("error") == NOT_SUPPORTED for one in found):
        return NOT_SUPPORTED
    return f"{sum(bool(one.get('skill_invoked_successfully')) for one in found)} of {len(found)}"


def quality(card: Card) -> str:
    """`ok 92 %, truncated 8 %` of all answers; where only the first one was judged, its flag."""
    flags: Counter[str] = Counter()
    for level in card.levels:
        flags.update({flag: int(number) for flag, number in ((level.get("quality") or {}).get("flags") or {}).items()})
    if flags.total():
        return shares(flags, flags.total())
    flag = card.stats.get("coherence_flag")
    return f"{sanitize(flag, 20)} (first answer)" if flag else UNDEFINED


def shares(counts: dict[str, int] | Counter[str], total: int) -> str:
    """Counts as shares of a whole, the largest first; those of 0 are left out."""
    ordered = sorted(((number, name) for name, number in counts.items() if number), key=lambda pair: -pair[0])
    if total and len(ordered) == 1 and ordered[0][0] == total:
        return sanitize(ordered[0][1], 20)
    return ", ".join(f"{sanitize(name, 20)} {percent(number / total)}" for number, name in ordered) or UNDEFINED


# ---- expected ----------------------------------------------------------------------------------------


def against_hypothesis(card: Card) -> str | None:
    """What was measured in terms of what was expected, in a sentence; None where either is missing."""
    level = card.first
    share = None if level is None else share_of_expected(card.target, level)
    if level is None or share is None:
        return None
    where = at_load(point_of(level))
    unit = "tok/s" if level.get("token_basis_exact", True) else "chunks/s"
    return f"Measured: {rate(mean(card, 'decode_tok_s'))} {f'{unit} {where}'.strip()}, {sanitize(share, 200)}."


def within_slo(card: Card) -> str | None:
    """What share of the requests kept the SLO, where one was set."""
    return slo_words(card.levels, card.series.run.result.get("profile") or {}) if card.series is not None else None
