"""The capacity of a server: the highest load at which at least a share of the requests meets every limit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lmx_loadgen.analysis import slo
from lmx_loadgen.analysis.capacity_search import CONFIDENCE, ByRate, Edge, Ladder, Tried, edge, ladder_of
from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.level import basis_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.open_loop import open_loop_of
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.capacity import CapacityPoint, CapacityRatio, CapacityResult
from lmx_loadgen.store.lines import ran_to_its_end

_UNITS = {"concurrency": "concurrent requests", "rate": "requests/s"}


def asked_of(header: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a run searched for, by its header; None where it was no search."""
    info = header.get("going_on") or {}
    return info if info.get("capacity") else None


def tried_of(run: MeasuredRun, target: str, ladder: Ladder) -> dict[int, Tried]:
    """What was measured of a target, by level of the ladder."""
    levels = {_at(run, target, point): point for point in run.load_points(target)}
    found = {level: _tried(run, target, point) for level, point in levels.items()}
    return {level: one for level, one in found.items() if one.requests or one.overloaded}


def capacity_of(run: MeasuredRun, target: str) -> CapacityResult | None:
    """What a search found of a target; None where the run was no search, or nothing was measured."""
    asked = asked_of(run.header)
    if asked is None:
        return None
    by, share, ladder = str(asked["capacity"]), float(asked["share"]), _ladder(run.header)
    tried = tried_of(run, target, ladder)
    if not tried:
        return None
    found = edge(tried, ladder, share)
    passes, fails = (None if one is None else ladder.value(one) for one in (found.passes, found.fails))
    sure = [tried[one].is_sure(share) for one in (found.passes, found.fails) if one is not None]
    is_over = found.following is None
    confidence = CONFIDENCE if is_over and all(sure) and found.fails is not None else None
    return CapacityResult(
        by="rate" if by == "rate" else "concurrency",
        share=share,
        value=passes,
        passes=passes,
        fails=fails,
        confidence=confidence,
        limit_broken=None if found.fails is None else _broken(run, target, ladder.point(found.fails)),
        monotone=found.is_monotone,
        finished=is_over,
        points=[_point(ladder, level, one, share) for level, one in sorted(tried.items())],
        sentence=_sentence(target, by, ladder, found, confidence),
    )


def ratios_of(found: Mapping[str, CapacityResult]) -> list[CapacityRatio]:
    """Of every two targets, between which bounds the ratio of their capacities lies: each is at least what passes and
    less than what fails."""
    names = list(found)
    return [_ratio(a, found[a], b, found[b]) for place, a in enumerate(names) for b in names[place + 1 :]]


def _ratio(name_a: str, a: CapacityResult, name_b: str, b: CapacityResult) -> CapacityRatio:
    low = b.passes / a.fails if b.passes is not None and a.fails else None
    high = b.fails / a.passes if b.fails is not None and a.passes else None
    is_sure = a.confidence is not None and b.confidence is not None
    verdict: Literal["better", "worse", "undecided"]
    if is_sure and low is not None and low >= 1:
        verdict, words = "better", f"{name_b} serves more than {name_a}"
    elif is_sure and high is not None and high <= 1:
        verdict, words = "worse", f"{name_b} serves less than {name_a}"
    else:
        verdict, words = "undecided", f"Which of {name_a} and {name_b} serves more is inconclusive"
    edges = " to ".join("?" if edge is None else f"{edge:.3g}" for edge in (low, high))
    sentence = f"{words} ({name_b} ÷ {name_a}: {edges})"
    return CapacityRatio(a=name_a, b=name_b, low=low, high=high, verdict=verdict, sentence=sentence)


def _ladder(header: Mapping[str, Any]) -> Ladder:
    asked = asked_of(header) or {}
    most = int((header["profile"].get("load") or {}).get("max_in_flight") or 1)
    return ladder_of(str(asked.get("capacity")), most)


def _at(run: MeasuredRun, target: str, point: LoadPoint) -> int:
    return ByRate.level_of(point.rate) if point.kind == "open" else point.slots


def _tried(run: MeasuredRun, target: str, point: LoadPoint) -> Tried:
    segments = [line for line in run.segments(target, point) if ran_to_its_end(line)]
    measured = [one for one in run.requests(target, point) if one.measured]
    mine = [_counted_in(one_block(measured, line["block"]), run, target) for line in segments]
    counts = [found for found in mine if found is not None]
    of_open = open_loop_of(point, segments, measured) if segments else None
    return Tried(counts, overloaded=of_open is not None and of_open.overloaded)


def one_block(measured: Sequence[Record], block: int) -> list[Record]:
    """The requests of a block without its first wave, where there are enough others; those that were cut off say
    nothing."""
    mine = [one for one in measured if one.block == block and one.outcome != "cancelled"]
    steady = [one for one in mine if not one.first_wave]
    return steady if len(steady) * 2 >= len(mine) else mine


def _counted_in(mine: Sequence[Record], run: MeasuredRun, target: str) -> tuple[int, int] | None:
    basis = basis_of(run.targets[target], [one for one in mine if one.ok])
    return slo.counted(mine, basis, run.profile)


def _broken(run: MeasuredRun, target: str, point: LoadPoint) -> str | None:
    """Which limit most of the requests at a load missed."""
    segments = run.segments(target, point)
    if any(line.get("stop_kind") == "overload" for line in segments):
        return "overload"
    mine = [one for line in segments for one in one_block(run.requests(target, point), line["block"]) if one.measured]
    basis = basis_of(run.targets[target], [one for one in mine if one.ok])
    missed = Counter(name for one in mine for name in slo.missed(one, basis, run.profile))
    return missed.most_common(1)[0][0] if missed else None


def _point(ladder: Ladder, level: int, one: Tried, share: float) -> CapacityPoint:
    return CapacityPoint(
        load_point=ladder.point(level),
        load=ladder.value(level),
        blocks=len(one.counts),
        requests=one.requests,
        share=one.share if one.requests else None,
        interval=one.interval() if one.requests else None,
        overloaded=one.overloaded,
        passes=one.passes(share),
        sure=one.is_sure(share),
    )


def _sentence(target: str, by: str, ladder: Ladder, found: Edge, confidence: float | None) -> str:
    passes, fails = (None if one is None else f"{ladder.value(one):.3g}" for one in (found.passes, found.fails))
    unit = _UNITS[by]
    if passes is None:
        one = unit.replace("requests", "request") if fails == "1" else unit
        return f"{target} does not serve {fails} {one} within the limits"
    how = f"{percent(confidence)} confidence" if confidence is not None else "not all of it beyond chance"
    if found.following is not None:
        how = "the time allowed no more"
    if fails is None:
        return f"{target} serves at least {passes} {unit} (no load that was tried fails; {how})"
    odd = "" if found.is_monotone else "; a higher load seemed to pass"
    return f"{target} serves {passes} {unit} ({passes} passes, {fails} fails; {how}{odd})"
