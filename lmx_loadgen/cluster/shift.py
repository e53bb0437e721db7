"""Brings what a node saw onto this machine's clock: all times of a request move together, so that none of its latencies
changes."""

from array import array
from dataclasses import replace

from lmx_loadgen.load.messages import FinishedRequest, SegmentEnd


def _shifted(at_ns: int | None, by_ns: int) -> int | None:
    return None if at_ns is None else at_ns + by_ns


def shifted_request(sent: FinishedRequest, by_ns: int, node: str) -> FinishedRequest:
    """The request, by that much later, with the node that measured it."""
    sent.node = node
    if by_ns == 0:
        return sent
    timing = sent.timing
    timing.connect_start_ns = _shifted(timing.connect_start_ns, by_ns)
    timing.connect_end_ns = _shifted(timing.connect_end_ns, by_ns)
    timing.send_ns = _shifted(timing.send_ns, by_ns)
    timing.headers_ns = _shifted(timing.headers_ns, by_ns)
    timing.end_ns = _shifted(timing.end_ns, by_ns)
    timing.first_text_ns = _shifted(timing.first_text_ns, by_ns)
    timing.arrival_ns = array("q", (at_ns + by_ns for at_ns in timing.arrival_ns))
    sent.intended_ns += by_ns
    sent.stalls = [(start + by_ns, length) for start, length in sent.stalls]
    return sent


def shifted_end(end: SegmentEnd, by_ns: int) -> SegmentEnd:
    """The marks of a segment, by that much later."""
    return replace(
        end,
        start_ns=_shifted(end.start_ns, by_ns),
        ramp_end_ns=_shifted(end.ramp_end_ns, by_ns),
        drain_start_ns=_shifted(end.drain_start_ns, by_ns),
        end_ns=end.end_ns + by_ns,
    )
