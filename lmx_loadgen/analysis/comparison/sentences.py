"""Verdicts in plain English."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lmx_loadgen.analysis.formats import change_range, percent, points
from lmx_loadgen.store.comparison import Comparison, LevelComparison, MetricComparison


@dataclass(frozen=True, slots=True)
class MetricWording:
    """How a sentence about a figure goes: `subject`, then `more` or `less`, then the other's name."""

    subject: Callable[[str], str]
    more: str
    less: str
    equal: str
    question: str
    other: Callable[[str], str] = lambda name: name


_PHRASES = ("more", "less", "equal", "question")
_POSSESSIVE: Callable[[str], str] = lambda name: f"{name}'s"  # noqa: E731


def _tail(title: str, percent: int) -> MetricWording:
    of = f"p{percent} of {title}"
    return MetricWording(
        lambda name: f"{name}'s {of} is", "longer than", "shorter than", f"have an equal {of}",
        f"has the shorter {of}", _POSSESSIVE,
    )  # fmt: skip


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
    **{f"ttft_p{percent}": _tail("TTFT", percent) for percent in (95, 99)},
    **{f"e2e_p{percent}": _tail("E2E", percent) for percent in (95, 99)},
    "goodput": MetricWording(
        lambda name: f"{name} delivers",
        "more answers per second within the SLO than", "fewer answers per second within the SLO than",
        "deliver equally many answers per second within the SLO", "delivers more answers per second within the SLO",
    ),
    "slo_share": MetricWording(
        lambda name: f"{name} is within the SLO in",
        "more of its requests than", "less of its requests than",
        "are within the SLO in equally many requests", "is within the SLO in more of its requests",
    ),
}  # fmt: skip


def _in_unit(words: MetricWording, unit: str) -> MetricWording:
    """Words that name tokens name characters where those were counted."""
    if unit != "characters/s":
        return words
    named = {field: getattr(words, field).replace("tokens", "characters") for field in _PHRASES}
    return replace(words, **named)


def unit_of_change(found: MetricComparison) -> Callable[..., str]:
    """How a change of the figure is written: in percent, or of shares in points."""
    return points if found.scale == "points" else percent


def changes(found: MetricComparison) -> str:
    """The interval of a figure's change: `+8 % to +16 %`."""
    assert found.change95 is not None
    return change_range(*found.change95, unit_of_change(found))


def sentence(name: str, level: LevelComparison, comparison: Comparison) -> str:
    """One verdict in one sentence, with its interval and the blocks behind it."""
    found, at = level.metrics[name], f"at {level.load_point.label}"
    a, b, words = comparison.a.label, comparison.b.label, _in_unit(WORDS[name], found.unit)
    if found.verdict == "refused":
        return f"No verdict on {found.title} {at}: {found.reason}."
    if found.is_untested or found.change is None:
        return f"{found.title} {at} is inconclusive: {found.reason}."
    if found.change95 is None:
        change = unit_of_change(found)(found.change, signed=True)
        hint = " (compare several runs of each, or measure both in one run)"
        return (
            f"Whether {a} or {b} {words.question} {at} is inconclusive: {b} differs by {change}, but {found.reason}"
            f"{hint if found.reason_code == 'unreplicated' else ''}."
        )
    blocks, signed = _behind(found, comparison), changes(found)
    if found.verdict == "equivalent":
        middle = " in the median" if _tail_differs(name, level) else ""
        margin = unit_of_change(found)(comparison.margin)
        return (
            f"{a} and {b} {words.equal} {at}, to within {margin}{middle} "
            f"(95 % interval of the difference {signed}, {blocks})."
        )
    if found.verdict == "undecided":
        return (
            f"Whether {a} or {b} {words.question} {at} is inconclusive: {found.reason} "
            f"(95 % interval of the difference {signed}, {blocks})."
        )
    return _decided(found, words, at, comparison)


def _decided(found: MetricComparison, words: MetricWording, at: str, comparison: Comparison) -> str:
    """The faster one is the subject; the difference is B's against A, in per cent of A, as everywhere."""
    a, b = comparison.a.label, comparison.b.label
    assert found.change is not None
    is_b, shown = found.verdict == "better", unit_of_change(found)
    first, other = (b, a) if is_b else (a, b)
    step = words.more if (found.change > 0) == is_b else words.less
    return (
        f"{words.subject(first)} {step} {words.other(other)} {at}: {b} against {a} {shown(found.change, signed=True)} "
        f"(95 % interval {changes(found)}, {_behind(found, comparison)})."
    )


def _tail_differs(name: str, level: LevelComparison) -> bool:
    """Whether a percentile of the tail of the same metric is better or worse."""
    metric = name.removesuffix("_p50")
    tails = (level.metrics.get(f"{metric}_{percentile}") for percentile in ("p95", "p99"))
    return name.endswith("_p50") and any(one is not None and one.verdict in _DIFFERENT for one in tails)


def _behind(found: MetricComparison, comparison: Comparison) -> str:
    """What an interval was made of."""
    if comparison.mode == "interleaved":
        return f"{found.n} paired blocks"
    a, b = len(comparison.runs_a), len(comparison.runs_b)
    runs = f"{b} run{'s' if b != 1 else ''} against {a}"
    return f"{runs}, scatter of {len(comparison.scatter_runs)} runs" if comparison.scatter_runs else runs


_FIRST = ("ttft_p50", "decode_tok_s_p50", "output_tok_s")
_TAILS = ("ttft_p95", "ttft_p99", "e2e_p95", "e2e_p99")
_SLO = ("slo_share", "goodput")
_DIFFERENT = ("better", "worse")


def headlines(comparison: Comparison) -> list[str]:
    """The sentences to read first: TTFT, decode and system rate of each level, in this order; tails where they differ,
    and what the SLO counts where one is set."""
    found = []
    for level in comparison.levels:
        tails = [name for name in _TAILS if name in level.metrics and level.metrics[name].verdict in _DIFFERENT]
        slo = [name for name in _SLO if name in level.metrics and level.metrics[name].verdict != "refused"]
        found += _of(level, comparison, _FIRST)
        found += [sentence(name, level, comparison) for name in (*tails, *slo)]
    return found


def of_level(level: LevelComparison, comparison: Comparison) -> list[str]:
    """All of a level's sentences."""
    return _of(level, comparison, tuple(level.metrics))


def _of(level: LevelComparison, comparison: Comparison, names: Sequence[str]) -> list[str]:
    """A sentence a figure; one for all where all were refused for the same reason."""
    found = [level.metrics[name] for name in names]
    reasons = {one.reason for one in found}
    if all(one.verdict == "refused" for one in found) and len(reasons) == 1:
        return [f"No verdict at {level.load_point.label}: {found[0].reason}."]
    return [sentence(name, level, comparison) for name in names]
