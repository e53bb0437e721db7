"""Single observations out of requests, for charts that draw each of them."""

from array import array
from collections.abc import Iterable, Sequence
from typing import TypeVar

from lmx_loadgen.analysis.metrics import chunk_gaps
from lmx_loadgen.analysis.record_store import where
from lmx_loadgen.analysis.records import Record, in_steady_or_all
from lmx_loadgen.system.clock import NS

Item = TypeVar("Item")
MOST_POOLED = 5_000


def in_sample(one: Record, sample: str) -> bool:
    """Whether an answer belongs to the latencies of its level, whose `sample` is `steady` or `all`."""
    return one.ok and _counts(one, sample)


def failed_in_sample(requests: Iterable[Record], sample: str) -> int:
    """How many requests failed where a level's latencies are taken from."""
    return sum(one.failed and _counts(one, sample) for one in requests)


def _counts(one: Record, sample: str) -> bool:
    return one.measured and in_steady_or_all(one, sample)


def ttft_s(requests: Sequence[Record], sample: str) -> Sequence[float]:
    """Times to first token in seconds; in an open loop from when a request was due."""
    waits = (_ttft_ns(one) for one in requests if in_sample(one, sample))
    return array("d", (found / NS for found in waits if found is not None))


def _ttft_ns(one: Record) -> int | None:
    if one.first_text_ns is None or not one.load_point.IS_OPEN:
        return one.ttft_ns
    return one.first_text_ns - one.intended_ns


def chunk_gaps_s(requests: Sequence[Record], sample: str) -> Sequence[float]:
    """Times in seconds between reads that brought text, pooled over at most `MOST_POOLED` answers, evenly chosen."""
    answers = where(requests, lambda one: in_sample(one, sample))
    return array("d", (gap for one in thinned(answers, MOST_POOLED) for gap in chunk_gaps(one)))


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


def thinned(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, evenly spread, the first and the last among them."""
    return [items[index] for index in _thinned(len(items), most)]


def _thinned(length: int, most: int) -> list[int]:
    if length <= most:
        return list(range(length))
    return sorted({round(step * (length - 1) / (most - 1)) for step in range(most)})
