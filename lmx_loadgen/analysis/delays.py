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


def delay_ns(metric: str, record: Record) -> int:
    """By how much, at most, this machine falsified the request's value of a metric."""
    if not record.stalls and not record.late_ns:
        return 0
    return _DELAYS[metric](record) if metric in _DELAYS else 0


def is_delayed(metric: str, record: Record) -> bool:
    """Whether the request is left out of a metric's sample. One that was sent late was not the load that was asked for,
    whatever the figure."""
    if metric not in _DELAYS or not (record.stalls or record.late_ns):
        return False
    at_send = max(record.late_ns, send_lag(record))
    return max(at_send, delay_ns(metric, record)) > MOST_DELAY_NS


def may_be_delayed(line: Mapping[str, Any]) -> bool:
    """Whether a request line, undecoded, shows a delay that may leave it out of a figure."""
    late_ns = (line["send_ns"] or 0) - line["intended_ns"]
    return late_ns > MOST_DELAY_NS or any(2 * lag > MOST_DELAY_NS for _, lag in line.get("stalls", ()))


def is_delayed_anywhere(record: Record) -> bool:
    """Whether the request is left out of any figure."""
    return any(is_delayed(metric, record) for metric in _DELAYS)


def gap_lags(record: Record) -> list[int]:
    """The lag, in ns, at either end of each gap between two reads of text."""
    lags = [lag_at(record, at_ns) for at_ns, _ in record.text_reads]
    return [max(before, after) for before, after in pairwise(lags)]


def _until(record: Record, moment_ns: int | None) -> int:
    return send_lag(record) + lag_at(record, moment_ns)


def _streaming(record: Record) -> int:
    return max(lag_at(record, record.first_text_ns), lag_at(record, record.last_text_ns))


def _longest_gap(record: Record) -> int:
    """Only what made the longest gap matters: a gap that was made longer and still is shorter is not shown."""
    gaps = [after - before for (before, _), (after, _) in pairwise(record.text_reads)]
    return gap_lags(record)[gaps.index(max(gaps))] if gaps else 0


_DELAYS: dict[str, Callable[[Record], int]] = {
    "ttft": lambda record: _until(record, record.first_text_ns),
    "ttft_response": lambda record: record.late_ns + _until(record, record.first_text_ns),
    "ttfo": lambda record: _until(record, record.first_visible_ns),
    "e2e": lambda record: _until(record, record.last_text_ns),
    "tpot": _streaming,
    "decode_tok_s": _streaming,
    "below_reading_share": _streaming,
    "longest_stall": _longest_gap,
    "prompt_tok_s": lambda record: _until(record, record.first_text_ns),
}
