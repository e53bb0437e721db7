"""The samples that a level's figures are made of: whose values count, and which this machine delayed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.analysis.delays import gap_lags, lag_at
from lmx_loadgen.analysis.metrics import METRICS, Metric, chunk_gaps
from lmx_loadgen.analysis.records import MOST_DELAY_NS, Record
from lmx_loadgen.analysis.tokens import Basis, tokens_after_first
from lmx_loadgen.system.clock import NS

# Where fewer are left than this share of the answers, those that were delayed are kept, and taint what is made of them.
_LEAST_LEFT = 0.5


@dataclass(frozen=True)
class Value:
    """One value of one answer, and by how much this machine may have moved it, in the metric's unit."""

    value: float
    error: float


@dataclass(frozen=True)
class Sample:
    """What a figure is made of.

    `blocks` hold the values of each answer, in the order they were sent. `left_out` are the ids of the answers that the
    sample does without, since this machine delayed them, and `undefined` counts those that have no value by the reason.
    """

    blocks: Sequence[Sequence[Sequence[Value]]]
    left_out: frozenset[int] = frozenset()
    undefined: Counter[str] = field(default_factory=Counter)

    @property
    def values(self) -> list[float]:
        return [one.value for block in self.blocks for answer in block for one in answer]

    @property
    def errors(self) -> list[float]:
        return [one.error for block in self.blocks for answer in block for one in answer]

    @property
    def bare(self) -> list[list[list[float]]]:
        """The values alone, as `interval_within_run` takes them."""
        return [[[one.value for one in answer] for answer in block] for block in self.blocks]


def samples_of(chosen: Sequence[Record], basis: Basis, profile: Mapping[str, Any]) -> dict[str, Sample]:
    """The samples of all metrics of requests and of gaps, out of a level's answers."""
    in_order = sorted(chosen, key=lambda record: (record.block, record.send_ns or 0))
    found = {}
    for name, metric in METRICS.items():
        if metric.scope == "request":
            found[name] = _of_requests(metric, in_order, basis, profile)
        elif metric.scope == "gap":
            found[name] = _of_gaps(metric, in_order)
    return found


def _of_requests(metric: Metric, chosen: Sequence[Record], basis: Basis, profile: Mapping[str, Any]) -> Sample:
    assert metric.raw is not None
    raw = [(record, metric.raw(record, basis, profile)) for record in chosen]
    defined = [(record, value) for record, value in raw if value is not None]
    kept = [(record, value) for record, value in defined if not metric.is_delayed(record)]
    if len(kept) < _LEAST_LEFT * len(defined):
        kept = defined
    blocks: dict[int, list[list[Value]]] = {}
    for record, value in kept:
        blocks.setdefault(record.block, []).append([Value(value, _error(metric, record, value, basis))])
    left_out = frozenset(record.id for record, _ in defined) - frozenset(record.id for record, _ in kept)
    undefined = Counter(metric.reason(record, basis) for record, value in raw if value is None)
    return Sample(list(blocks.values()), left_out, undefined)


def _error(metric: Metric, record: Record, value: float, basis: Basis) -> float:
    """A request's delay, in the metric's unit."""
    seconds = metric.delay_ns(record) / NS
    if not seconds:
        return 0.0
    if metric.name in ("tpot", "decode_tok_s"):
        each = seconds / max(1.0, _steps(record, basis))
        return each if metric.name == "tpot" else each * value * value
    if metric.name == "prompt_tok_s":
        wait = record.ttft_ns or 0
        return value * seconds * NS / wait if wait > 0 else 0.0
    if metric.name == "below_reading_share":
        span = (record.last_text_ns or 0) - (record.first_text_ns or 0)
        return min(1.0, seconds * NS / span) if span > 0 else 0.0
    return seconds


def _steps(record: Record, basis: Basis) -> float:
    """Tokens after the first read of text."""
    return tokens_after_first(record, basis) or 0.0


def _of_gaps(metric: Metric, chosen: Sequence[Record]) -> Sample:
    """All gaps of all answers; of an answer that was delayed, those that the delay did not touch."""
    blocks: dict[int, list[list[Value]]] = {}
    left_out: set[int] = set()
    undefined: Counter[str] = Counter()
    for record in chosen:
        gaps = chunk_gaps(record)
        if not gaps:
            undefined[metric.undefined] += 1
        lags = gap_lags(record) if record.stalls else [0] * len(gaps)
        kept = [Value(gap, lag / NS) for gap, lag in zip(gaps, lags, strict=True) if lag <= MOST_DELAY_NS]
        if len(kept) < len(gaps):
            left_out.add(record.id)
        blocks.setdefault(record.block, []).append(kept)
    return Sample(list(blocks.values()), frozenset(left_out), undefined)


def of_window(measured: Sequence[Record], value: float | None, seconds: float) -> Sample:
    """A level's one value. What the machine held up at either edge of the window belongs to its other side."""
    if value is None or seconds <= 0:
        return Sample([])
    worst = max((lag_at(record, record.last_text_ns) for record in measured), default=0) / NS
    return Sample([[[Value(value, 2 * worst / seconds * value)]]])
