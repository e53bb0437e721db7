"""What a whole level delivered, inside the stretch of time in which its load was full.

A segment's window opens when its last slot has sent its first request and closes when the first slot finds no more
work: before it the load ramps up, after it the load drains, and both would make a server look as it is not.
Numerator and denominator of every figure here come from the same window.
"""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lmx_loadgen.analysis import slo
from lmx_loadgen.analysis.record_store import where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.stats import Description, mean_interval
from lmx_loadgen.analysis.tokens import Basis, read_tokens, visible_tokens
from lmx_loadgen.system.clock import NS

_BATCHES = 10
_ENOUGH_A_BATCH = 5
_LITTLE = 0.10
_TURNS = 10
_SUMMED_AT_ONCE = 100_000
WINDOW_METRICS = ("output_tok_s", "request_rate", "goodput", "occupancy")

Span = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """The windows of a level's segments: `spans` maps a segment's block to its (start, end) in ns."""

    spans: Mapping[int, Span]

    @cached_property
    def length_ns(self) -> int:
        return sum(end - start for start, end in self.spans.values())

    @cached_property
    def shift_ns(self) -> dict[int, int]:
        """What to add to a moment of each block for its place in the window, the spans laid end to end."""
        shifts, place = {}, 0
        for block, (start, end) in sorted(self.spans.items()):
            shifts[block] = place - start
            place += end - start
        return shifts

    def later(self, starts_ns: Mapping[int, int]) -> "Window":
        """The same without what lies before these moments, by block."""
        moved = {block: (max(start, starts_ns.get(block, start)), end) for block, (start, end) in self.spans.items()}
        return Window({block: (start, end) for block, (start, end) in moved.items() if end > start})

    @property
    def seconds(self) -> float:
        return self.length_ns / NS


def window_of(segments: Iterable[Mapping[str, Any]]) -> Window:
    """The windows of these lines of one level's segments; a segment whose load was never full has none.

    An interrupted segment never drained: its window closes when it was stopped.
    """
    spans = {}
    for line in segments:
        start = line.get("ramp_end_ns")
        end = line["end_ns"] if line.get("drain_start_ns") is None else line["drain_start_ns"]
        if start is not None and end > start:
            spans[line["block"]] = (start, end)
    return Window(spans)


def level_metrics(
    window: Window, sent: Sequence[Record], basis: Basis, profile: Mapping[str, Any]
) -> dict[str, Description]:
    """The level-wide metrics, each with its value as `mean` and an interval from batch means where there is enough."""
    if window.seconds <= 0:
        reason = "too few requests to reach full concurrency; use more than the number of slots"
        return {name: Description(n=0, reason=reason) for name in WINDOW_METRICS}
    tokens = _token_arrivals(window, sent, basis)
    ended = ((record.block, record.end_ns, 1.0) for record in sent if record.ok)
    found = {"output_tok_s": _rate(window, tokens), "request_rate": _rate(window, ended)}
    if slo.is_set(profile):
        found["goodput"] = _rate(window, _good(sent, basis, profile))
    else:
        found["goodput"] = Description(n=0, reason=slo.NOT_SET)
    found["occupancy"] = _occupancy(window, sent)
    return found


def window_rates(window: Window, sent: Sequence[Record], basis: Basis, profile: Mapping[str, Any]) -> dict[str, float]:
    """What blocks are compared by, a second inside the window: tokens, and requests within the SLO where one is set.
    Empty where the window has no length."""
    if window.seconds <= 0:
        return {}
    found = {"output_tok_s": _rate(window, _token_arrivals(window, sent, basis))}
    if slo.is_set(profile):
        found["goodput"] = _rate(window, _good(sent, basis, profile))
    return {name: one.mean for name, one in found.items() if one.mean is not None}


def little_note(window: Window, sent: Sequence[Record]) -> str | None:
    """Little's law says occupancy = throughput × mean time in flight; a sentence when they differ by over 10 %."""
    ended = where(sent, lambda one: one.send_ns is not None and _inside(window, one.block, one.end_ns))
    if window.seconds <= 0 or not any(record.ok for record in ended):
        return None
    occupancy = _occupancy(window, sent).mean
    if not occupancy or len(ended) < _TURNS * occupancy:
        return None  # the window's edges cut through too many of its few requests
    mean_s = sum(record.end_ns - (record.send_ns or 0) for record in ended) / len(ended) / NS
    expected = len(ended) / window.seconds * mean_s
    if abs(occupancy - expected) <= _LITTLE * occupancy:
        return None
    return (
        f"not steady: {occupancy:.3g} requests in flight, but throughput × latency gives {expected:.3g} (Little's law)"
    )


Weighted = tuple[int, int, float]


def _good(sent: Sequence[Record], basis: Basis, profile: Mapping[str, Any]) -> Iterator[Weighted]:
    return ((record.block, record.end_ns, 1.0) for record in sent if slo.is_met(record, basis, profile))


def _token_arrivals(window: Window, sent: Sequence[Record], basis: Basis) -> Iterator[Weighted]:
    """(block, time, tokens) of each read of text that may be inside the window. Answers without a count of tokens, and
    those cut off by the end of the run, count with as many a text event as the others have; failed ones delivered
    nothing."""
    typical = _typical_tokens(sent, basis)
    for record in sent:
        if (record.ok or record.outcome == "cancelled") and _overlaps(window, record):
            reads = zip(record.reads.at_ns, _tokens_of_reads(record, basis, typical), strict=False)
            yield from ((record.block, at_ns, tokens) for at_ns, tokens in reads)


def _typical_tokens(sent: Sequence[Record], basis: Basis) -> float:
    """How many tokens a text event has, over the answers that have a count of them."""
    total, n = 0.0, 0
    for record in sent:
        tokens = visible_tokens(record, basis) if record.ok else None
        if tokens is not None and record.text_events:
            total, n = total + tokens / record.text_events, n + 1
    return total / n if n else 1.0


def _overlaps(window: Window, record: Record) -> bool:
    """Whether any of its text may have come inside the window."""
    span = window.spans.get(record.block)
    first, last = record.first_text_ns, record.last_text_ns
    return span is not None and first is not None and last is not None and first <= span[1] and last >= span[0]


def _tokens_of_reads(record: Record, basis: Basis, typical: float) -> tuple[float, ...]:
    """What each read brought. Of an answer that was cut off only a running count is known."""
    counted = read_tokens(record, basis) if record.ok or record.running_last is not None else None
    return counted or read_tokens(record, basis, typical * record.text_events) or ()


def _inside(window: Window, block: int, at_ns: int) -> bool:
    span = window.spans.get(block)
    return span is not None and span[0] <= at_ns <= span[1]


def _rate(window: Window, happenings: Iterable[Weighted]) -> Description:
    sums, n = [0.0] * _BATCHES, 0
    weights = array("d")
    for block, at_ns, weight in happenings:
        if _inside(window, block, at_ns):
            n += 1
            sums[_batch(window, at_ns + window.shift_ns[block])] += weight
            weights.append(weight)
            if len(weights) >= _SUMMED_AT_ONCE:
                weights = array("d", [math.fsum(weights)])
    return _described(window, n, math.fsum(weights), sums)


def _described(window: Window, n: int, total: float, sums: Sequence[float]) -> Description:
    """A level's one value, with an interval from the means of its batches where they hold enough each."""
    rates = [piece * _BATCHES / window.seconds for piece in sums]
    return Description(
        n=n,
        mean=total / window.seconds,
        ci95=mean_interval(rates) if n >= _BATCHES * _ENOUGH_A_BATCH else None,
        reason="single value per level",
    )


def _batch(window: Window, place: int) -> int:
    """Which of the window's equal pieces a place is in."""
    return min(_BATCHES - 1, place * _BATCHES // window.length_ns)


def _occupancy(window: Window, sent: Sequence[Record]) -> Description:
    sums = [0.0] * _BATCHES
    n = total_ns = 0
    for record in sent:
        span = window.spans.get(record.block)
        if span is None or record.send_ns is None:
            continue
        start, end = max(record.send_ns, span[0]), min(record.end_ns, span[1])
        if end <= start:
            continue
        n += 1
        total_ns += end - start
        _share_out(window, start + window.shift_ns[record.block], end - start, sums)
    return _described(window, n, total_ns / NS, sums)


def _share_out(window: Window, place: int, left_ns: int, sums: list[float]) -> None:
    """Add a stretch of time to the pieces of the window that it covers, in seconds."""
    for piece in range(_batch(window, place), _BATCHES):
        covered = min(left_ns, (piece + 1) * window.length_ns // _BATCHES - place)
        sums[piece] += covered / NS
        place, left_ns = place + covered, left_ns - covered
        if not left_ns:
            return
