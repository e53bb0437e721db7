"""What a whole level delivered, inside the stretch of time in which its load was full.

A segment's window opens when its last slot has sent its first request and closes when the first slot finds no more
work: before it the load ramps up, after it the load drains, and both would make a server look as it is not.
Numerator and denominator of every figure here come from the same window.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.clock import NS
from lmx_loadgen.measure.metrics import meets_slo
from lmx_loadgen.measure.records import Record
from lmx_loadgen.measure.stats import Description, mean_interval
from lmx_loadgen.measure.tokens import Basis, tokens_per_event

_BATCHES = 10
_ENOUGH_A_BATCH = 5
_LITTLE = 0.10
_NAMES = ("output_tok_s", "request_rate", "goodput", "occupancy")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """The windows of a level's segments: `spans` maps a segment to its (start, end) in ns."""

    spans: Mapping[int, Span]

    @property
    def seconds(self) -> float:
        return sum(end - start for start, end in self.spans.values()) / NS


def window_of(segments: Iterable[Mapping[str, Any]]) -> Window:
    """The windows of these segment lines; a segment whose load was never full has none.

    An interrupted segment never drained: its window closes when it was stopped.
    """
    spans = {}
    for line in segments:
        start = line.get("ramp_end_ns")
        end = line["end_ns"] if line.get("drain_start_ns") is None else line["drain_start_ns"]
        if start is not None and end > start:
            spans[line["segment"]] = (start, end)
    return Window(spans)


def level_metrics(
    window: Window, sent: Sequence[Record], basis: Basis, profile: Mapping[str, Any]
) -> dict[str, Description]:
    """The level-wide metrics, each with its value as `mean` and an interval from batch means where there is enough."""
    if window.seconds <= 0:
        reason = "the load was never full for a moment: more requests than slots are needed"
        return {name: Description(n=0, reason=reason) for name in _NAMES}
    tokens = _token_arrivals(sent, basis)
    ended = [(record.segment, record.end_ns, 1.0) for record in sent if record.ok]
    good = [(record.segment, record.end_ns, 1.0) for record in sent if meets_slo(record, basis, profile)]
    found = {"output_tok_s": _rate(window, tokens), "request_rate": _rate(window, ended)}
    if any(limit is not None for limit in profile["slo"].values()):
        found["goodput"] = _rate(window, good)
    else:
        found["goodput"] = Description(n=0, reason="the profile sets no SLO")
    found["occupancy"] = _occupancy(window, sent)
    return found


def little_note(window: Window, sent: Sequence[Record]) -> str | None:
    """Little's law says occupancy = throughput × mean time in flight; a sentence when they differ by over 10 %."""
    ended = [record for record in sent if record.send_ns is not None and _inside(window, record.segment, record.end_ns)]
    if len(ended) < 20 or window.seconds <= 0:
        return None
    occupancy = _occupancy(window, sent).mean
    mean_s = sum(record.end_ns - (record.send_ns or 0) for record in ended) / len(ended) / NS
    expected = len(ended) / window.seconds * mean_s
    if occupancy is None or abs(occupancy - expected) <= _LITTLE * occupancy:
        return None
    return (
        f"not a steady state: {occupancy:.2f} requests were in flight, but throughput × time in flight "
        f"is {expected:.2f} (Little's law)"
    )


Weighted = tuple[int, int, float]


def _token_arrivals(sent: Sequence[Record], basis: Basis) -> list[Weighted]:
    """(segment, time, tokens) of each read of text. Answers cut off by the end of the run count with the tokens an
    event had in the others; failed ones delivered nothing."""
    each = {id(record): tokens_per_event(record, basis) for record in sent if record.ok}
    known = [value for value in each.values() if value is not None]
    typical = sum(known) / len(known) if known else 1.0
    arrivals: list[Weighted] = []
    for record in sent:
        if record.ok or record.outcome == "cancelled":
            per_event = each.get(id(record)) or typical
            arrivals += [(record.segment, at_ns, events * per_event) for at_ns, events in record.text_reads]
    return arrivals


def _inside(window: Window, segment: int, at_ns: int) -> bool:
    span = window.spans.get(segment)
    return span is not None and span[0] <= at_ns <= span[1]


def _rate(window: Window, happenings: Sequence[Weighted]) -> Description:
    inside = [happening for happening in happenings if _inside(window, happening[0], happening[1])]
    total = math.fsum(weight for _, _, weight in inside)
    interval = None
    if len(inside) >= _BATCHES * _ENOUGH_A_BATCH:
        interval = mean_interval(_batches(window, inside))
    return Description(
        n=len(inside), mean=total / window.seconds, ci95=interval, reason="a level has one value, no percentiles"
    )


def _batches(window: Window, inside: Sequence[Weighted]) -> list[float]:
    """The rate in each of about ten equal pieces of the window."""
    pieces = math.ceil(_BATCHES / len(window.spans))
    sums = {segment: [0.0] * pieces for segment in window.spans}
    for segment, at_ns, weight in inside:
        start, end = window.spans[segment]
        sums[segment][min(pieces - 1, (at_ns - start) * pieces // (end - start))] += weight
    return [
        piece * pieces * NS / (window.spans[segment][1] - window.spans[segment][0])
        for segment, counts in sums.items()
        for piece in counts
    ]


def _occupancy(window: Window, sent: Sequence[Record]) -> Description:
    def overlap(record: Record) -> int:
        span = window.spans.get(record.segment)
        if span is None or record.send_ns is None:
            return 0
        return max(0, min(record.end_ns, span[1]) - max(record.send_ns, span[0]))

    inside = [time for time in map(overlap, sent) if time]
    return Description(
        n=len(inside), mean=sum(inside) / NS / window.seconds, reason="a level has one value, no percentiles"
    )
