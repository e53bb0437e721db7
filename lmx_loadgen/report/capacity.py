"""What a search for a server's capacity found, in lines of text."""

from collections.abc import Iterator

from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.store.capacity import CapacityPoint, CapacityResult
from lmx_loadgen.store.result import RunResult

_BROKEN = {"overload": "requests arrived faster than they were served", "errors": "requests failed"}


def capacity_lines(result: RunResult) -> Iterator[str]:
    """What each target serves, what breaks first and the curve; of several targets, how they compare."""
    for target in result.targets:
        found = target.capacity
        if found is None:
            yield f"{sanitize(target.name, 40)}: nothing was measured"
            continue
        yield sanitize(found.sentence, 300)
        yield from _details(found)
    for ratio in result.capacity_ratios:
        yield sanitize(ratio.sentence, 300)


def _details(found: CapacityResult) -> Iterator[str]:
    if found.limit_broken is not None:
        yield f"  first to break: {_BROKEN.get(found.limit_broken, f'{found.limit_broken} over its limit')}"
    for point in found.points:
        yield f"  {_curve(point)}"


def _curve(point: CapacityPoint) -> str:
    verdict = ("passes" if point.passes else "fails") + ("" if point.sure else ", not certain")
    if point.share is None or point.interval is None:
        return f"{point.load_point.label}: overloaded, {verdict}"
    low, high = (percent(edge) for edge in point.interval)
    behind = ", overloaded" if point.overloaded else ""
    within = f"{percent(point.share)} of {point.requests} requests within the limits ({low.removesuffix(' %')}–{high})"
    return f"{point.load_point.label}: {within}{behind}, {verdict}"
