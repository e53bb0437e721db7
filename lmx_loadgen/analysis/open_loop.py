"""What is to be said of an open loop beside its figures: what came, what the client dropped, how late it sent, and
whether the server kept up."""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from lmx_loadgen.analysis.formats import milliseconds, plural
from lmx_loadgen.analysis.overload import Growth, first_responses, growth
from lmx_loadgen.analysis.record_store import grouped, where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.stats import percentile
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.result import MetricResult, OpenLoopResult, SendLateness
from lmx_loadgen.system.clock import NS

# What depends on how long the load lasted, where a server falls behind.
_DEPENDS = ("ttft", "ttft_response", "ttfo", "e2e", "prompt_tok_s", "goodput", "slo_share", "occupancy")
_LATE_NS = 1_000_000


def open_loop_of(
    point: LoadPoint, segments: Sequence[Mapping[str, Any]], measured: Sequence[Record]
) -> OpenLoopResult | None:
    """None for a closed loop, and where nothing was due."""
    if not point.IS_OPEN or not measured:
        return None
    by_block = grouped(measured, lambda one: one.block)
    found = [_growth_of(line, by_block.get(line["block"], [])) for line in segments]
    behind = [one for one in found if one is not None]
    seconds = sum(_offered_ns(line) for line in segments) / NS
    worst = max(behind, key=lambda one: one.requests / one.seconds, default=None)
    ended = next((str(line["stopped"]) for line in segments if line.get("stop_kind") == "overload"), None)
    is_overloaded = ended is not None or 2 * len(behind) > len(segments)
    return OpenLoopResult(
        due=len(measured),
        offered_rate=len(measured) / seconds if seconds > 0 else None,
        dropped=sum(one.outcome == "dropped" for one in measured),
        lateness=_lateness(measured),
        overloaded=is_overloaded,
        backlog_growth=worst.requests / worst.seconds if worst is not None and is_overloaded else None,
        sentence=(ended or (worst.sentence if worst is not None else None)) if is_overloaded else None,
    )


def without_latency(metrics: Mapping[str, MetricResult], found: OpenLoopResult | None) -> dict[str, MetricResult]:
    """The figures of a level; of one that was overloaded none that depends on how long the load lasted."""
    if found is None or not found.overloaded:
        return dict(metrics)
    reason = f"{found.sentence}: this figure would depend on how long the load lasted"
    return {
        name: MetricResult(unit=one.unit, better=one.better, n=0, reason=reason) if name in _DEPENDS else one
        for name, one in metrics.items()
    }


def notes_of(found: OpenLoopResult | None) -> list[str]:
    """What a reader of the level should know, a sentence each."""
    if found is None:
        return []
    notes = [found.sentence] if found.sentence is not None else []
    if found.dropped:
        notes.append(
            f"{found.dropped} of {plural(found.due, 'request')} dropped by the client: as many as --max-in-flight "
            "allows were in flight"
        )
    late = found.lateness
    if late is not None and late.p99 * NS > _LATE_NS:
        notes.append(
            f"requests were sent late by this machine: {milliseconds(late.p50)} ms at the median, "
            f"{milliseconds(late.p99)} ms at p99"
        )
    return notes


def in_flight_of(point: LoadPoint, measured: Sequence[Record]) -> int:
    """How many requests were in flight at most: in a closed loop as many as it has slots."""
    if not point.IS_OPEN:
        return point.slots
    _, numbers = in_flight_over_time(measured)
    return max(1, int(numbers.max(initial=0)))


def in_flight_over_time(requests: Sequence[Record]) -> tuple[Any, Any]:
    """The moments in ns at which the number of requests in flight changes, and what it is from then on, as two
    arrays."""
    import numpy as np

    # An end before a send at the same moment: twice the time, and one more for a send.
    changes = array("q")
    for one in requests:
        if one.send_ns is not None:
            changes.append(2 * one.send_ns + 1)
            changes.append(2 * one.end_ns)
    ordered = np.sort(np.frombuffer(changes, np.int64)) if changes else np.zeros(0, np.int64)
    return ordered // 2, np.cumsum(np.where(ordered % 2, 1, -1))


def _growth_of(line: Mapping[str, Any], mine: Sequence[Record]) -> Growth | None:
    start = line["start_ns"]
    if start is None:
        return None
    at_ns = (line["drain_start_ns"] or line["end_ns"]) - start
    due = array("q", sorted(one.intended_ns - start for one in mine))
    ended = array("q", sorted(one.end_ns - start for one in mine if _has_ended(one)))
    by_then = where(mine, lambda one: _has_ended(one) and one.end_ns - start <= at_ns)
    first = first_responses([(one.intended_ns, one.end_ns - one.intended_ns) for one in by_then])
    return growth(due, ended, first, at_ns)


def _has_ended(one: Record) -> bool:
    """Whether its server is through with it: not one that was cut off, or never sent."""
    return one.outcome not in ("cancelled", "dropped")


def _offered_ns(line: Mapping[str, Any]) -> int:
    start = line["start_ns"]
    return 0 if start is None else max(0, (line["drain_start_ns"] or line["end_ns"]) - start)


def _lateness(measured: Sequence[Record]) -> SendLateness | None:
    late = sorted(one.own_late_ns / NS for one in measured if one.own_late_ns is not None)
    middle, high = percentile(late, 50), percentile(late, 99)
    if middle is None or high is None:
        return None
    return SendLateness(n=len(late), p50=middle, p99=high, max=late[-1])
