"""Verdicts in plain English."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from lmx_loadgen.analysis.formats import change_range, percent
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.comparison import Comparison, LevelComparison, MetricComparison


@dataclass(frozen=True, slots=True)
class MetricWording:
    """How a sentence about a figure goes. `more` and `less` follow "NAME … 18 %" and end before the other's name."""

    subject: Callable[[str], str]
    more: str
    less: str
    equal: str
    question: str
    other: Callable[[str], str] = lambda name: name


_PHRASES = ("more", "less", "equal", "question")
_POSSESSIVE: Callable[[str], str] = lambda name: f"{name}'s"  # noqa: E731

WORDS: dict[str, MetricWording] = {
    "ttft_p50": MetricWording(
        lambda name: f"{name} gives its first token",
        "later than", "sooner than", "give their first token equally soon", "gives its first token sooner",
    ),
    "decode_tok_s_p50": MetricWording(
        lambda name: f"{name} writes an answer",
        "faster than", "slower than", "write an answer equally fast", "writes an answer faster",
    ),
    "output_tok_s": MetricWording(
        lambda name: f"{name} delivers",
        "more tokens per second in all than", "fewer tokens per second in all than",
        "deliver equally many tokens per second in all", "delivers more tokens per second in all",
    ),
    "e2e_p50": MetricWording(
        lambda name: f"{name} ends its answer",
        "later than", "sooner than", "end their answers equally soon", "ends its answer sooner",
    ),
    "longest_stall_p50": MetricWording(
        lambda name: f"{name}'s longest stall is",
        "longer than", "shorter than", "have equally long stalls", "has the shorter stalls", _POSSESSIVE,
    ),
}  # fmt: skip


def _in_unit(words: MetricWording, unit: str) -> MetricWording:
    """Words that name tokens name characters where those were counted."""
    if unit != "characters/s":
        return words
    named = {field: getattr(words, field).replace("tokens", "characters") for field in _PHRASES}
    return replace(words, **named)


def sentence(name: str, found: MetricComparison, point: LoadPoint, comparison: Comparison) -> str:
    """One verdict in one sentence, with its interval and the blocks behind it."""
    a, b, words = comparison.a.label, comparison.b.label, _in_unit(WORDS[name], found.unit)
    at = f"at {point.label}"
    if found.verdict == "refused" or found.ratio is None:
        return f"No verdict on {found.title} {at}: {found.reason}."
    if found.ci95 is None:
        change = percent(found.ratio - 1, signed=True)
        return (
            f"Whether {a} or {b} {words.question} {at} is inconclusive: {b} differs by {change}, but {found.reason} "
            f"(compare several runs of each, or measure both in one run)."
        )
    blocks = _behind(found, comparison)
    signed = change_range(found.ci95[0] - 1, found.ci95[1] - 1)
    if found.verdict == "equivalent":
        return (
            f"{a} and {b} {words.equal} {at}, to within {percent(comparison.margin)} "
            f"(95 % interval of the difference {signed}, {blocks})."
        )
    if found.verdict == "undecided":
        return (
            f"Whether {a} or {b} {words.question} {at} is inconclusive: {found.reason} "
            f"(95 % interval of the difference {signed}, {blocks})."
        )
    # In one session the winner is the subject; of two runs it is the second, which is asked about.
    turned = comparison.mode == "interleaved" and found.verdict == "worse"
    ratio, low, high = found.ratio, *found.ci95
    if turned:
        a, b = b, a
        ratio, low, high = 1 / ratio, 1 / high, 1 / low
    step = words.more if ratio > 1 else words.less
    edges = sorted((abs(low - 1), abs(high - 1)))
    if (low < 1) != (high < 1):
        interval = change_range(low - 1, high - 1)
    else:
        interval = f"{percent(edges[0]).removesuffix(' %')}–{percent(edges[1])}"
    return (
        f"{words.subject(b)} {percent(abs(ratio - 1))} {step} {words.other(a)} {at} "
        f"(95 % interval {interval}, {blocks})."
    )


def _behind(found: MetricComparison, comparison: Comparison) -> str:
    """What an interval was made of."""
    if comparison.mode == "interleaved":
        return f"{found.n} paired blocks"
    a, b = len(comparison.runs_a), len(comparison.runs_b)
    runs = f"{b} run{'s' if b != 1 else ''} against {a}"
    return f"{runs}, scatter of {len(comparison.scatter_runs)} runs" if comparison.scatter_runs else runs


_FIRST = ("ttft_p50", "decode_tok_s_p50", "output_tok_s")


def headlines(comparison: Comparison) -> list[str]:
    """The sentences to read first: TTFT, decode and system rate of each level, in this order."""
    return [words for level in comparison.levels for words in _of(level, comparison, _FIRST)]


def of_level(level: LevelComparison, comparison: Comparison) -> list[str]:
    """All of a level's sentences."""
    return _of(level, comparison, tuple(level.metrics))


def _of(level: LevelComparison, comparison: Comparison, names: tuple[str, ...]) -> list[str]:
    """A sentence a figure; one for all where all were refused for the same reason."""
    found = [level.metrics[name] for name in names]
    reasons = {one.reason for one in found}
    if all(one.verdict == "refused" for one in found) and len(reasons) == 1:
        return [f"No verdict at {level.load_point.label}: {found[0].reason}."]
    return [sentence(name, level.metrics[name], level.load_point, comparison) for name in names]
