"""The gate of a continuous build: limits on how much a figure may change, judged by its interval and not its point."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lmx_loadgen.analysis.comparison.blocks import COMPARED
from lmx_loadgen.analysis.formats import change_range
from lmx_loadgen.errors import InputError
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.comparison import Comparison, MetricComparison

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
_NOTHING_KEPT = ("drift", "carry_over", "unreplicated")
_WRITTEN = re.compile(r"\s*([a-z0-9_]+)\s*([<>])\s*([+\-−]?\d+(?:\.\d+)?)\s*%\s*\Z")


@dataclass(frozen=True, slots=True)
class Limit:
    """`ttft_p50 > +5%`: fail when B's figure is over 1.05 times A's (`<`: under). `ratio` is that factor."""

    text: str
    metric: str
    over: bool
    ratio: float


@dataclass(frozen=True, slots=True)
class LimitResult:
    """How a limit stands at one level, and why, in a sentence."""

    outcome: LimitState
    sentence: str


def parse_limit(text: str) -> Limit:
    """A limit as written after `--fail-on`. Raises InputError."""
    found = _WRITTEN.match(text)
    if found is None:
        raise InputError(f'--fail-on {text!r}: write it like "ttft_p50 > +5%" or "tok_s < -3%"')
    name = ALIASES.get(found[1], found[1])
    if name not in COMPARED:
        raise InputError(f"--fail-on {text!r}: no figure is called {found[1]!r}; give one of {', '.join(ALIASES)}")
    ratio = 1 + float(found[3].replace("−", "-")) / 100
    if ratio <= 0:
        raise InputError(f"--fail-on {text!r}: a figure cannot fall by 100 % or more")
    return Limit(" ".join(text.split()), name, found[2] == ">", ratio)


def check_limit(limit: Limit, comparison: Comparison) -> list[LimitResult]:
    """The limit at each level of a comparison: broken only where the whole interval is beyond it, kept only where the
    whole interval is within."""
    return [
        _check_level(limit, level.metrics[limit.metric], level.load_point, comparison) for level in comparison.levels
    ]


def _check_level(limit: Limit, found: MetricComparison, point: LoadPoint, comparison: Comparison) -> LimitResult:
    where = f"{found.title} at {point.label}"
    if found.reason_code in _NOTHING_KEPT:
        return LimitResult("undecided", f"{where} is inconclusive ({limit.text}): {found.reason}")
    if found.ci95 is None:
        return LimitResult("invalid", f"{where} was not compared ({limit.text}): {found.reason}")
    low, high = found.ci95
    change = change_range(low - 1, high - 1)
    if (low > limit.ratio) if limit.over else (high < limit.ratio):
        return LimitResult(
            "broken", f"{where} of {comparison.b.label} breaks the limit {limit.text}: it changed by {change}"
        )
    if (high <= limit.ratio) if limit.over else (low >= limit.ratio):
        return LimitResult("kept", f"{where} keeps the limit {limit.text}: it changed by {change}")
    return LimitResult(
        "undecided", f"{where} is inconclusive ({limit.text}): it changed by {change}, more blocks would tell"
    )


def worst(found: Sequence[LimitResult]) -> LimitState:
    """What a build goes by: broken before invalid before undecided before kept; without any level, invalid."""
    outcomes = {one.outcome for one in found}
    ranked: tuple[LimitState, ...] = ("broken", "invalid", "undecided", "kept")
    return next((outcome for outcome in ranked if outcome in outcomes), "invalid")
