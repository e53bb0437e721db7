"""Single observations out of request lines, for charts that draw each of them."""

from collections.abc import Iterable, Sequence
from typing import Any

from lmx_loadgen.analysis.metrics import chunk_gaps
from lmx_loadgen.analysis.records import in_steady_or_all, record
from lmx_loadgen.system.clock import NS


def in_sample(request: dict[str, Any], sample: str) -> bool:
    """Whether an answer belongs to the latencies of its level, whose `sample` is `steady` or `all`."""
    return request["outcome"] == "ok" and _counts(request, sample)


def failed_in_sample(requests: Iterable[dict[str, Any]], sample: str) -> int:
    """How many requests failed where a level's latencies are taken from."""
    return sum(request["outcome"] not in ("ok", "cancelled") and _counts(request, sample) for request in requests)


def _counts(request: dict[str, Any], sample: str) -> bool:
    return request["phase"] == "measured" and in_steady_or_all(request["concurrency"], request["first_wave"], sample)


def text_arrivals_ns(request: dict[str, Any]) -> list[int]:
    """When text came, as offsets from the send: one per socket read that brought any, in order."""
    send = request["send_ns"]
    return [] if send is None else [at - send for at, _ in record(request).text_reads]


def ttft_s(requests: Iterable[dict[str, Any]], sample: str) -> list[float]:
    """Times to first token in seconds."""
    firsts = (text_arrivals_ns(request)[:1] for request in requests if in_sample(request, sample))
    return [first / NS for one in firsts for first in one]


def chunk_gaps_s(requests: Iterable[dict[str, Any]], sample: str) -> list[float]:
    """Times in seconds between reads that brought text, pooled."""
    return [gap for request in requests if in_sample(request, sample) for gap in chunk_gaps(record(request))]


def ecdf(values: Iterable[float], most: int, failed: int = 0) -> tuple[list[float], list[float]]:
    """The empirical distribution as (value, share of samples at or below it), thinned to at most `most` points.

    `failed` requests have no value but count, as in the percentiles: the curve then ends below 1.

    Thinning keeps evenly spaced ranks and always the least and the greatest value; the shares stay those of
    the whole sample. The first point has share 0, so that the steps start at the axis.
    """
    ordered = sorted(values)
    if not ordered:
        return [], []
    ranks = _thinned(len(ordered), most - 1)
    return (
        [ordered[0], *(ordered[rank] for rank in ranks)],
        [0.0, *((rank + 1) / (len(ordered) + failed) for rank in ranks)],
    )


def thinned(items: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most `most` of the items, evenly spread, the first and the last among them."""
    return [items[index] for index in _thinned(len(items), most)]


def _thinned(length: int, most: int) -> list[int]:
    if length <= most:
        return list(range(length))
    return sorted({round(step * (length - 1) / (most - 1)) for step in range(most)})
