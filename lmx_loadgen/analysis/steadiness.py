"""Whether a server was in a steady state while a level was measured, by the series of its answers.

A warm-up at the start of a block is found by MSER-5 (White, Simulation 69, 1997): the cut after which the mean of the
rest is known best. It is made only where what is cut is slower or faster than the rest by more than chance and by more
than 5 %. What is left must have no change of level: the range of its cumulative sums is held against that of a Brownian
bridge (Kuiper, 1960). There are two series: the logarithms of each answer's time per token and of its whole time,
against the median of its class of prompts. In an open loop whole times wander with the queue, and only show a warm-up.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean, median
from typing import Any

from lmx_loadgen.analysis.formats import duration, percent, plural
from lmx_loadgen.analysis.metrics import e2e, tpot
from lmx_loadgen.analysis.record_store import by_time, where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.store.result import SteadinessResult
from lmx_loadgen.store.segment_key import SegmentKey, segment_key
from lmx_loadgen.system.clock import NS

# Of fewer answers nothing can be said.
_FEWEST = 24
_MSER_BATCH, _LEAST_BATCH, _FEWEST_BATCHES, _MOST_BATCHES = 5, 4, 8, 20
# How far apart, as logarithms, and how surely, in standard deviations, two parts must be.
_MATTERS, _SURELY = math.log(1.05), 7.0
# Of the range of a Brownian bridge; 1 % of them have over 2.0, and the scatter is estimated too.
_BRIDGE_RANGE = 2.3


@dataclass(frozen=True, slots=True)
class BlockCourse:
    """How one block went: its first answers that are cut, the moment (ns) at which what is left begins, and by what
    share a part of the rest differs from the others; None where it does not. `is_known` says whether there were enough
    answers to tell, `never` that the warm-up went on to the middle."""

    cut: frozenset[int] = frozenset()
    starts_ns: int | None = None
    shift: float | None = None
    is_known: bool = False
    never: bool = False


def course_of(answers: Sequence[Record], drain_ns: int, basis: Basis, profile: Mapping[str, Any]) -> BlockCourse:
    """How a block went, given its answers without the first wave; those that ended after the drain began met another
    load."""
    full = where(by_time(answers, lambda one: one.end_ns), lambda one: one.end_ns <= drain_ns)
    whole = _series(full, [e2e(one, basis, profile) for one in full])
    tokens = _series(full, [tpot(one, basis, profile) for one in full])
    steady = [one for one in (tokens, whole if tokens is None or not _is_open(full) else None) if one is not None]
    if len(full) < _FEWEST or whole is None:
        return BlockCourse()
    cuts = [warm_up(series) for series in steady]
    is_never = None in cuts
    cut = 0 if is_never else max([*known(cuts), warm_up(whole) or 0])
    starts_ns = full[cut - 1].end_ns if cut else None
    ids = {one.id for one in answers if starts_ns is not None and (one.send_ns or 0) < starts_ns}
    shifts = [level_shift(series[cut:]) for series in steady if len(series) - cut >= _FEWEST]
    shift = max(known(shifts), key=abs, default=None)
    return BlockCourse(frozenset(ids), starts_ns, shift, is_known=True, never=is_never)


def warm_up(series: Sequence[float]) -> int | None:
    """How many values at the start of a series are a warm-up, 0 where none are; None where it goes on to its middle."""
    size = _MSER_BATCH if len(series) >= _FEWEST_BATCHES * _MSER_BATCH else len(series) // _FEWEST_BATCHES
    batches = _batches(series, size)
    most = len(batches) // 2
    errors = _standard_errors(batches)
    found = min(range(most + 1), key=lambda cut: errors[cut])
    if not found or not _differ(batches[:found], batches[found:]):
        return 0
    return found * size if found < most else None


def level_shift(series: Sequence[float]) -> float | None:
    """By what share a contiguous part of a series lies above or below the rest; None where chance explains it."""
    batches = _batches(series, max(_LEAST_BATCH, math.ceil(len(series) / _MOST_BATCHES)))
    spread = _spread(batches)
    middle = fmean(batches)
    sums = [0.0, *accumulate(one - middle for one in batches)]
    low, high = sums.index(min(sums)), sums.index(max(sums))
    start, end = min(low, high), max(low, high)
    part, others = batches[start:end], [*batches[:start], *batches[end:]]
    if start == 0:  # what came first is what the rest is held against
        part, others = others, part
    if not part or not others:
        return None
    shift = fmean(part) - fmean(others)
    is_sure = sums[high] - sums[low] > _BRIDGE_RANGE * spread * math.sqrt(len(batches))
    return math.exp(shift) - 1 if is_sure and abs(shift) > _MATTERS else None


def throttled(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the machine was slowed down between two looks at it."""
    limits = [state.get("cpu_speed_limit") for state in (before, after)]
    levels = [state.get("thermal_level") for state in (before, after)]
    slowed = None not in limits and limits[1] < limits[0]  # type: ignore[operator]
    return bool(slowed or (None not in levels and levels[1] > max(0, levels[0])))  # type: ignore[operator, type-var]


def steadiness_of(
    courses: Mapping[int, BlockCourse], segments: Sequence[Mapping[str, Any]], others: Sequence[str]
) -> SteadinessResult | None:
    """What a level says of its steadiness, None where nothing can be told; `others` are reasons that its answers do not
    show."""
    told = [one for one in courses.values() if one.is_known]
    starts = {line["block"]: line["end_ns" if line["ramp_end_ns"] is None else "ramp_end_ns"] for line in segments}
    cut = sum(len(one.cut) for one in told)
    reasons = [*others, *([words] if (words := _unsteady_words(told)) is not None else [])]
    if not told and not reasons:
        return None
    shifts = [one.shift for one in told if one.shift is not None]
    return SteadinessResult(
        steady=not reasons,
        cut_requests=cut,
        cut_seconds=sum(_seconds_cut(one, starts.get(block, 0)) for block, one in courses.items()),
        shift=max(shifts, key=abs, default=None),
        reasons=reasons,
    )


def notes_of(found: SteadinessResult | None) -> list[str]:
    """What a reader of the level should know, a sentence each."""
    if found is None:
        return []
    cut = f"warm-up: the first {plural(found.cut_requests, 'answer')} ({duration(found.cut_seconds)}) were left out"
    return [*([cut] if found.cut_requests else []), *found.reasons]


def throttling_words(host: Sequence[Mapping[str, Any]], segments: Sequence[Mapping[str, Any]]) -> str | None:
    """That the machine was slowed down while a level was measured, by its state before and after each segment."""
    keys = set(map(segment_key, segments))
    states: dict[tuple[SegmentKey, str], Mapping[str, Any]] = {}
    for line in host:
        if (key := segment_key(line)) in keys:
            states[key, line["when"]] = line["state"]
    hot = sum(throttled(states.get((key, "before"), {}), states.get((key, "after"), {})) for key in keys)
    return f"not steady: this machine was throttled during {plural(hot, 'block')} of the level" if hot else None


def _unsteady_words(told: Sequence[BlockCourse]) -> str | None:
    """Why a level was not steady; None where its answers do not say so. Of several blocks most must."""
    shifts = [one.shift for one in told if one.shift is not None]
    if 2 * len(shifts) > len(told):
        worst = max(shifts, key=abs)
        longer = f"{percent(abs(worst))} {'more' if worst > 0 else 'less'} time"
        return f"not steady: in a part of the level, answers took {longer}"
    if 2 * sum(one.never for one in told) > len(told):
        return "not steady: the warm-up lasted for half of the level or longer"
    return None


def _seconds_cut(course: BlockCourse, start_ns: int) -> float:
    return 0.0 if course.starts_ns is None else max(0.0, (course.starts_ns - start_ns) / NS)


def _is_open(answers: Sequence[Record]) -> bool:
    return bool(answers) and answers[0].load_point.IS_OPEN


def _series(answers: Sequence[Record], values: Sequence[float | None]) -> list[float] | None:
    """The logarithms of the values against the median of each class of prompts; None where one has none."""
    logs = [math.log(value) for value in values if value]
    if len(logs) < len(answers):
        return None
    classes: dict[str, list[float]] = {}
    for one, value in zip(answers, logs, strict=True):
        classes.setdefault(one.prompt_class, []).append(value)
    middles = {name: median(mine) for name, mine in classes.items()}
    return [value - middles[one.prompt_class] for one, value in zip(answers, logs, strict=True)]


def _batches(series: Sequence[float], size: int) -> list[float]:
    return [fmean(series[start : start + size]) for start in range(0, len(series) - size + 1, size)]


def _standard_errors(batches: Sequence[float]) -> list[float]:
    """MSER's statistic of what is left after each cut: the square of the standard error of the mean, with n² in place
    of n(n − 1). In one pass from the end (Welford, Technometrics 4, 1962): a block may have many batches."""
    found, middle, squares = [], 0.0, 0.0
    for n, one in enumerate(reversed(batches), 1):
        away = one - middle
        middle += away / n
        squares += away * (one - middle)
        found.append(squares / n**2)
    return found[::-1]


def _spread(batches: Sequence[float]) -> float:
    """The scatter of batches by the differences of neighbors, which a change of level hardly touches."""
    squares = [(later - early) ** 2 for early, later in pairwise(batches)]
    return math.sqrt(fmean(squares) / 2) if squares else 0.0


def _differ(first: Sequence[float], rest: Sequence[float]) -> bool:
    apart = abs(fmean(first) - fmean(rest))
    return apart > max(_MATTERS, _SURELY * _spread(rest) * math.sqrt(1 / len(first) + 1 / len(rest)))
