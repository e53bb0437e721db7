"""The capacity of a server: the highest load at which at least a share of the requests meets every limit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Literal, get_args

from lmx_loadgen.analysis import slo
from lmx_loadgen.analysis.capacity_search import CONFIDENCE, By, ByRate, Edge, Ladder, Tried, edge, ladder_of
from lmx_loadgen.analysis.formats import UNDEFINED, percent
from lmx_loadgen.analysis.level import basis_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.open_loop import open_loop_of
from lmx_loadgen.analysis.overload import first_responses
from lmx_loadgen.analysis.record_store import grouped, joined, where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.capacity import CapacityPoint, CapacityRatio, CapacityResult
from lmx_loadgen.store.lines import ran_to_its_end

_UNITS = {"concurrency": "concurrent requests", "rate": "requests/s", "users": "users without time to think"}
# An open loop begins with an idle server. What is due while the first so many answers would take shows no queue yet.
_ANSWERS_TO_FILL = 7


def asked_of(header: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a run searched for, by its header; None where it was no search."""
    info = header.get("going_on") or {}
    return info if info.get("capacity") in get_args(By) else None


def tried_of(run: MeasuredRun, target: str, ladder: Ladder) -> dict[int, Tried]:
    """What was measured of a target, by level of the ladder."""
    levels = {_at(point): point for point in run.load_points(target)}
    found = {level: _tried(run, target, point) for level, point in levels.items()}
    return {level: one for level, one in found.items() if one.requests or one.overloaded}


def capacity_of(run: MeasuredRun, target: str) -> CapacityResult | None:
    """What a search found of a target; None where the run was no search, or nothing was measured."""
    asked = asked_of(run.header)
    if asked is None:
        return None
    by, share = asked["capacity"], float(asked["share"])
    ladder = ladder_of(by, int(run.profile["load"]["max_in_flight"]))
    tried = tried_of(run, target, ladder)
    if not tried:
        return None
    found = edge(tried, ladder, share)
    passes = _value(ladder, found.passes)
    edges = [one for one in (found.passes, found.fails) if one is not None]
    is_sure = found.following is None and all(tried[one].is_sure(share) for one in edges)
    within = found.surely(tried, share)
    return CapacityResult(
        by=by,
        share=share,
        value=passes,
        passes=passes,
        fails=_value(ladder, found.fails),
        confidence=CONFIDENCE if is_sure else None,
        range95=(_value(ladder, within[0]), _value(ladder, within[1])),
        limit_broken=None if found.fails is None else _broken(run, target, ladder.point(found.fails)),
        monotone=not found.above,
        finished=found.following is None,
        points=[_point(ladder, level, one, share) for level, one in sorted(tried.items())],
        sentence=_sentence(target, by, ladder, found, _how_sure(ladder, found, within, is_sure)),
    )


def ratios_of(found: Mapping[str, CapacityResult]) -> list[CapacityRatio]:
    """Of every two targets, how their capacities compare: each surely serves the lower edge of its range, and less than
    the upper one."""
    names = list(found)
    return [_ratio(a, found[a], b, found[b]) for place, a in enumerate(names) for b in names[place + 1 :]]


def _ratio(name_a: str, a: CapacityResult, name_b: str, b: CapacityResult) -> CapacityRatio:
    value = b.value / a.value if a.value and b.value else None
    (low_a, high_a), (low_b, high_b) = a.range95, b.range95
    low = low_b / high_a if low_b and high_a else None
    high = high_b / low_a if high_b and low_a else None
    verdict: Literal["better", "worse", "undecided"]
    verdict = "better" if low is not None and low >= 1 else "worse" if high is not None and high <= 1 else "undecided"
    shown = UNDEFINED if value is None else f"{value:.3g}"
    sure = f"95 % confidence: {_shown(low)} to {_shown(high)}"
    if verdict == "undecided":
        words = f"Whether {name_a} or {name_b} serves more is inconclusive ({name_b} ÷ {name_a} = {shown}; {sure})"
    else:
        words = (
            f"{name_b} serves {'more' if verdict == 'better' else 'less'} than {name_a}: {shown} times as much ({sure})"
        )
    return CapacityRatio(a=name_a, b=name_b, value=value, low=low, high=high, verdict=verdict, sentence=words)


def _shown(edge: float | None) -> str:
    return "?" if edge is None else f"{edge:.3g}"


def _at(point: LoadPoint) -> int:
    return ByRate.level_of(point.rate) if point.kind == "open" else point.slots


def _tried(run: MeasuredRun, target: str, point: LoadPoint) -> Tried:
    segments = [line for line in run.segments(target, point) if ran_to_its_end(line)]
    measured = where(run.requests(target, point), lambda one: one.measured)
    by_block = grouped(measured, lambda one: one.block)
    mine = [_counted_in(one_block(by_block.get(line["block"], [])), run, target) for line in segments]
    counts = [found for found in mine if found is not None]
    of_open = open_loop_of(point, segments, measured) if segments else None
    return Tried(counts, overloaded=of_open is not None and of_open.overloaded)


def one_block(measured: Sequence[Record]) -> Sequence[Record]:
    """The measured requests of a block without those that met a server which was not busy yet, where there are enough
    others. Those that were cut off say nothing."""
    mine = where(measured, lambda one: one.outcome != "cancelled")
    from_ns = _filled_ns(mine)
    steady = where(mine, lambda one: not one.first_wave and one.intended_ns >= from_ns)
    return steady if len(steady) * 2 >= len(mine) else mine


def _filled_ns(mine: Sequence[Record]) -> int:
    """When an open loop has lasted for as long as a queue takes to form; 0 in a closed one."""
    if not mine or not mine[0].load_point.IS_OPEN:
        return 0
    first = first_responses([(one.intended_ns, one.end_ns - one.intended_ns) for one in mine if one.ok])
    begun = min(one.intended_ns for one in mine)
    return begun + round(_ANSWERS_TO_FILL * median(first)) if first else 0


def _counted_in(mine: Sequence[Record], run: MeasuredRun, target: str) -> tuple[int, int] | None:
    basis = basis_of(run.targets[target], where(mine, lambda one: one.ok))
    return slo.counted(mine, basis, run.profile)


def _broken(run: MeasuredRun, target: str, point: LoadPoint) -> str | None:
    """Which limit most of the requests at a load missed."""
    segments = run.segments(target, point)
    if any(line.get("stop_kind") == "overload" for line in segments):
        return "overload"
    by_block = grouped(where(run.requests(target, point), lambda one: one.measured), lambda one: one.block)
    mine = joined([one_block(by_block.get(line["block"], [])) for line in segments])
    basis = basis_of(run.targets[target], where(mine, lambda one: one.ok))
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


def _how_sure(ladder: Ladder, found: Edge, within: tuple[int | None, int | None], is_sure: bool) -> str:
    if is_sure:
        return f"{percent(CONFIDENCE)} confidence"
    low, high = (_shown(_value(ladder, one)) for one in within)
    edges = {
        (True, True): f": between {low} and {high}",
        (True, False): f": at least {low}",
        (False, True): f": below {high}",
    }.get((within[0] is not None, within[1] is not None))
    sure = f"{percent(CONFIDENCE)} confidence"
    how = f"{sure}{edges}" if edges is not None else f"not certain at {sure}"
    return how if found.following is None else f"{how}; the time was up"


def _sentence(target: str, by: By, ladder: Ladder, found: Edge, how: str) -> str:
    passes, fails = (None if one is None else f"{ladder.value(one):.3g}" for one in (found.passes, found.fails))
    unit = _UNITS[by]
    if passes is None:
        return f"{target} does not serve {fails} {_singular(unit) if fails == '1' else unit} ({fails} fails; {how})"
    shown = _singular(unit) if passes == "1" else unit
    if fails is None:
        return f"{target} serves at least {passes} {shown} (no load that was tried fails; {how})"
    odd = "".join(f"; not monotone, {ladder.value(level):.3g} passes as well" for level in found.above[-1:])
    return f"{target} serves {passes} {shown} ({passes} passes, {fails} fails; {how}{odd})"


def _value(ladder: Ladder, level: int | None) -> float | None:
    return None if level is None else ladder.value(level)


def _singular(unit: str) -> str:
    return unit.replace("requests", "request").replace("users", "user")
