"""By how much this machine itself delayed a request, figure by figure.

A stall of the measuring process falsifies a figure only where it overlaps a moment that the figure is made of: the
send, or a read that the event loop stamped. Stalls that overlap neither are not in a record.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from lmx_loadgen.analysis.records import MOST_DELAY_NS, Record

# How far a stall reaches on either side: the event loop is looked at every 5 ms.
_REACH_NS = 5_000_000

# By how much, in ns, stalls falsify a request's value of a metric: those at the moments that it is made of.
Delay = Callable[[Record], int]


def send_lag(record: Record) -> int:
    """By how much later, in ns, the request may have been written than its send says. What is sent once a stall is over
    is not late: its time was taken then."""
    send = record.send_ns
    if send is None:
        return 0
    found = (min(s.lag_ns, s.end_ns - send) for s in record.stalls if s.start_ns - _REACH_NS <= send < s.end_ns)
    return max(found, default=0)


def lag_at(record: Record, moment_ns: int | None) -> int:
    """The worst lag, in ns, of the stalls that overlap a read."""
    if moment_ns is None or not record.stalls:
        return 0
    found = (s.lag_ns for s in record.stalls if s.start_ns - _REACH_NS <= moment_ns <= s.end_ns + _REACH_NS)
    return max(found, default=0)


def delay_ns(delay: Delay, record: Record) -> int:
    """By how much, at most, this machine falsified the request's value of a metric that has this delay."""
    return delay(record) if record.stalls or record.late_ns else 0


def is_delayed(delay: Delay, record: Record) -> bool:
    """Whether the request is left out of such a metric's sample. One that was sent late was not the load that was asked
    for, whatever the figure."""
    if not (record.stalls or record.late_ns):
        return False
    at_send = max(record.late_ns, send_lag(record))
    return max(at_send, delay(record)) > MOST_DELAY_NS


def may_be_delayed(line: Mapping[str, Any]) -> bool:
    """Whether a request line, undecoded, shows a delay that may leave it out of a figure."""
    late_ns = (line["send_ns"] or 0) - line["intended_ns"]
    return late_ns > MOST_DELAY_NS or any(2 * lag > MOST_DELAY_NS for _, lag in line.get("stalls", ()))


def gap_lags(record: Record) -> list[int]:
    """The lag, in ns, at either end of each gap between two reads of text."""
    lags = [lag_at(record, at_ns) for at_ns in record.reads.at_ns]
    return [max(before, after) for before, after in pairwise(lags)]


# ---- which moments a metric is made of ---------------------------------------------------------------


def until_first_text(record: Record) -> int:
    return until(record, record.first_text_ns)


def until_first_text_from_due(record: Record) -> int:
    return record.late_ns + until_first_text(record)


def until_first_visible(record: Record) -> int:
    return until(record, record.first_visible_ns)


def until_last_text(record: Record) -> int:
    return until(record, record.last_text_ns)


def until(record: Record, moment_ns: int | None) -> int:
    """From the send to a read."""
    return send_lag(record) + lag_at(record, moment_ns)


def streaming(record: Record) -> int:
    """From the first text to the last."""
    return max(lag_at(record, record.first_text_ns), lag_at(record, record.last_text_ns))


def longest_gap(record: Record) -> int:
    """Only what made the longest gap matters: a gap that was made longer and still is shorter is not shown."""
    gaps = record.reads.gaps_ns if record.stalls else []
    return gap_lags(record)[gaps.index(max(gaps))] if gaps else 0
