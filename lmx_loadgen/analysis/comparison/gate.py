"""The gate of a continuous build: limits on how much a figure may change, judged by its interval and not its point."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lmx_loadgen.analysis.comparison.blocks import COMPARED
from lmx_loadgen.analysis.comparison.sentences import changes
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.errors import InputError
from lmx_loadgen.store.comparison import Comparison, LevelComparison, MetricComparison

LimitState = Literal["kept", "broken", "undecided", "invalid"]

# Short names beside those of `COMPARED`.
ALIASES = {
    "ttft": "ttft_p50",
    "tok_s": "decode_tok_s_p50",
    "decode_tok_s": "decode_tok_s_p50",
    "system_tok_s": "output_tok_s",
    "e2e": "e2e_p50",
    "longest_stall": "longest_stall_p50",
}
# What more blocks alone would not mend, however far the interval is from the limit.
_NOTHING_KEPT = ("drift", "carry_over", "unreplicated", "unsupported")
_WRITTEN = re.compile(r"\s*([a-z0-9_]+)\s*([<>])\s*([+\-−]?)(\d+(?:\.\d+)?)\s*%\s*\Z")


@dataclass(frozen=True, slots=True)
class Limit:
    """`ttft_p50 > +5%`: fail when B's figure is over 1.05 times A's (`<`: under). `ratio` is that factor; of shares it
    is percentage points (0.95: five fewer). `slo_share < 95%`, without a sign, limits B's own share, whatever A's."""

    text: str
    metric: str
    over: bool
    ratio: float
    of_b_alone: bool = False


@dataclass(frozen=True, slots=True)
class LimitResult:
    """How a limit stands at one level, and why, in a sentence."""

    outcome: LimitState
    sentence: str


def parse_limit(text: str) -> Limit:
    """A limit as written after `--fail-on`. Raises InputError."""
    found = _WRITTEN.match(text)
    if found is None:
        raise InputError(f'--fail-on {text!r}: use something like "ttft_p50 > +5%", "tok_s < -3%" or "slo_share < 95%"')
    name = ALIASES.get(found[1], found[1])
    if name not in COMPARED:
        names = ", ".join([*ALIASES, *(one.name for one in COMPARED.values() if one.family == "tail")])
        raise InputError(f"--fail-on {text!r}: no figure is called {found[1]!r}; give one of {names}")
    number = float(found[4]) / 100
    if COMPARED[name].in_points and not found[3]:
        return Limit(" ".join(text.split()), name, found[2] == ">", number, of_b_alone=True)
    ratio = 1 + (number if found[3] in ("", "+") else -number)
    if ratio <= 0:
        raise InputError(f"--fail-on {text!r}: a figure cannot fall by 100 % or more")
    return Limit(" ".join(text.split()), name, found[2] == ">", ratio)


def check_limit(limit: Limit, comparison: Comparison) -> list[LimitResult]:
    """The limit at each level of a comparison: broken only where the whole interval is beyond it, kept only where the
    whole interval is within."""
    return [_check_level(limit, level, comparison) for level in comparison.levels]


def _check_level(limit: Limit, level: LevelComparison, comparison: Comparison) -> LimitResult:
    found = level.metrics.get(limit.metric)
    if found is None:
        title = METRICS[COMPARED[limit.metric].metric].title
        return LimitResult("invalid", f"{title} was not compared ({limit.text}): the profile sets no SLO")
    where = f"{found.title} at {level.load_point.label}"
    if limit.of_b_alone:
        return _check_share(limit, found, f"{where} of {comparison.b.label}")
    if found.reason_code in _NOTHING_KEPT and (found.reason_code != "unsupported" or found.change95 is None):
        return LimitResult("undecided", f"{where} is inconclusive ({limit.text}): {found.reason}")
    if found.change95 is None:
        return LimitResult("invalid", f"{where} was not compared ({limit.text}): {found.reason}")
    words = f"it changed by {changes(found)}"
    outcome = _outcome(limit, limit.ratio - 1, found.change95)
    if outcome == "broken":
        return LimitResult("broken", f"{where} of {comparison.b.label} breaks the limit {limit.text}: {words}")
    if outcome == "kept":
        return LimitResult("kept", f"{where} keeps the limit {limit.text}: {words}")
    return LimitResult("undecided", f"{where} is inconclusive ({limit.text}): {words}, more blocks would tell")


def _check_share(limit: Limit, found: MetricComparison, where: str) -> LimitResult:
    """B's own share, held against a limit of its own."""
    if found.ci95_b is None or found.b is None:
        return LimitResult("invalid", f"{where} is not known ({limit.text}): {found.reason}")
    low, high = found.ci95_b
    words = f"it is {percent(found.b)}, 95 % interval {percent(low)} to {percent(high)}"
    outcome = _outcome(limit, limit.ratio, found.ci95_b)
    said = {"broken": "breaks the limit", "kept": "keeps the limit"}
    if outcome in said:
        return LimitResult(outcome, f"{where} {said[outcome]} {limit.text}: {words}")
    return LimitResult("undecided", f"{where} is inconclusive ({limit.text}): {words}, more requests would tell")


def _outcome(limit: Limit, edge: float, interval: tuple[float, float]) -> LimitState:
    low, high = interval
    if (low > edge) if limit.over else (high < edge):
        return "broken"
    return "kept" if ((high <= edge) if limit.over else (low >= edge)) else "undecided"


def worst(found: Sequence[LimitResult]) -> LimitState:
    """What a build goes by: broken before invalid before undecided before kept; without any level, invalid."""
    outcomes = {one.outcome for one in found}
    ranked: tuple[LimitState, ...] = ("broken", "invalid", "undecided", "kept")
    return next((outcome for outcome in ranked if outcome in outcomes), "invalid")
