"""The samples that a level's figures are made of: whose values count, and which this machine delayed."""

import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmx_loadgen.analysis.delays import gap_lags, lag_at
from lmx_loadgen.analysis.metrics import Metric, chunk_gaps
from lmx_loadgen.analysis.record_store import by_time, grouped
from lmx_loadgen.analysis.records import MOST_DELAY_NS, Record
from lmx_loadgen.analysis.stats import Answers
from lmx_loadgen.analysis.tokens import Basis, tokens_after_first
from lmx_loadgen.analysis.values import Values, chained
from lmx_loadgen.system.clock import NS

# Where fewer are left than this share of the answers, those that were delayed are kept, and taint what is made of them.
_LEAST_LEFT = 0.5
_AT_ONCE = 4


@dataclass(frozen=True)
class Sample:
    """What a figure is made of.

    `errors` say by how much this machine may have moved each value, in the metric's unit; empty where it moved none, or
    where values are so many that only `most_error` of the `moved` ones is known. `answers` have the sums and numbers of
    the values of each answer, by block, in the order they were sent. `left_out` are the ids of the answers that the
    sample does without, since this machine delayed them, and `undefined` counts those that have no value by the reason.
    """

    values: Values
    errors: Sequence[float] = ()
    answers: Sequence[Answers] = ()
    left_out: frozenset[int] = frozenset()
    undefined: Counter[str] = field(default_factory=Counter)
    moved: int = 0
    most_error: float = 0.0


def in_order_sent(chosen: Sequence[Record]) -> dict[int, Sequence[Record]]:
    """A level's answers by block, in the order they were sent."""
    blocks = sorted(grouped(chosen, lambda one: one.block).items())
    return {block: by_time(mine, lambda one: one.send_ns or 0) for block, mine in blocks}


def samples_of(
    metrics: Sequence[Metric], blocks: Mapping[int, Sequence[Record]], basis: Basis, profile: Mapping[str, Any]
) -> Iterator[tuple[Metric, Sample]]:
    """The samples of metrics of requests or of gaps, out of a level's answers as `in_order_sent` has them. A few at a
    time are made in one pass: samples may be large."""
    for metric in metrics:
        if metric.scope == "gap":
            yield metric, _of_gaps(metric, blocks)
    of_requests = [metric for metric in metrics if metric.scope == "request"]
    for start in range(0, len(of_requests), _AT_ONCE):
        made = [_Making(metric) for metric in of_requests[start : start + _AT_ONCE]]
        _take_all(made, blocks, basis, profile)
        if again := [_Making(one.metric, with_delayed=True) for one in made if one.has_too_few]:
            _take_all(again, blocks, basis, profile)
        by_name = {one.metric.name: one for one in [*made, *again]}
        while by_name:
            one = by_name.pop(next(iter(by_name)))
            yield one.metric, one.sample()


def _take_all(
    made: Sequence["_Making"], blocks: Mapping[int, Sequence[Record]], basis: Basis, profile: Mapping[str, Any]
) -> None:
    for records in blocks.values():
        for one in made:
            one.of_blocks.append(array("d"))
        for record in records:
            for one in made:
                one.take(record, basis, profile)


class _Making:
    """A sample of a metric of requests that is being made."""

    def __init__(self, metric: Metric, *, with_delayed: bool = False) -> None:
        assert metric.raw is not None
        self.metric = metric
        self._raw = metric.raw
        self._with_delayed = with_delayed
        self.of_blocks: list[array[float]] = []
        self._errors = array("d")
        self._left_out: set[int] = set()
        self._undefined: Counter[str] = Counter()

    def take(self, record: Record, basis: Basis, profile: Mapping[str, Any]) -> None:
        value = self._raw(record, basis, profile)
        if value is None:
            self._undefined[self.metric.reason(record, basis)] += 1
        elif not self._with_delayed and self.metric.is_delayed(record):
            self._left_out.add(record.id)
        else:
            self.of_blocks[-1].append(value)
            if record.stalls or record.late_ns:
                self._add_error(_error(self.metric, record, value, basis))

    def _add_error(self, error: float) -> None:
        if error:  # those of the values before it are zero
            at = sum(map(len, self.of_blocks)) - 1
            self._errors.extend([0.0] * (at - len(self._errors)))
            self._errors.append(error)

    @property
    def has_too_few(self) -> bool:
        """Whether so many answers were delayed that they have to be kept."""
        kept = sum(map(len, self.of_blocks))
        return kept < _LEAST_LEFT * (kept + len(self._left_out))

    def sample(self) -> Sample:
        values = chained(self.of_blocks)
        if self._errors:
            self._errors.extend([0.0] * (len(values) - len(self._errors)))
        return Sample(
            Values(values, most_exact=len(values)),
            self._errors,
            [Answers(of_block) for of_block in self.of_blocks if of_block],
            frozenset(self._left_out),
            self._undefined,
            sum(map(bool, self._errors)),
            max(self._errors, default=0.0),
        )


def _error(metric: Metric, record: Record, value: float, basis: Basis) -> float:
    """A request's delay, in the metric's unit."""
    seconds = metric.delay_ns(record) / NS
    if not seconds:
        return 0.0
    if metric.name in ("tpot", "decode_tok_s"):
        each = seconds / max(1.0, tokens_after_first(record, basis) or 0.0)
        return each if metric.name == "tpot" else each * value * value
    if metric.name == "prompt_tok_s":
        wait = record.ttft_ns or 0
        return value * seconds * NS / wait if wait > 0 else 0.0
    if metric.name == "below_reading_share":
        span = (record.last_text_ns or 0) - (record.first_text_ns or 0)
        return min(1.0, seconds * NS / span) if span > 0 else 0.0
    return seconds


def _of_gaps(metric: Metric, blocks: Mapping[int, Sequence[Record]]) -> Sample:
    """All gaps of all answers; of an answer that was delayed, those that the delay did not touch."""
    values, errors, answers = Values(), array("d"), list[Answers]()
    left_out, undefined = set[int](), Counter[str]()
    moved, most_error = 0, 0.0
    for records in blocks.values():
        of_block = Answers(array("d"), array("I"))
        for record in records:
            gaps = chunk_gaps(record) if record.read_count > 1 else []
            if not gaps:
                undefined[metric.undefined] += 1
            lags = gap_lags(record) if record.stalls and gaps else []
            kept = [gap for gap, lag in zip(gaps, lags, strict=True) if lag <= MOST_DELAY_NS] if lags else gaps
            if any(lags):
                off = [lag / NS for lag in lags if lag <= MOST_DELAY_NS]
                moved += sum(map(bool, off))
                most_error = max([most_error, *off])
                errors.extend([0.0] * (len(values) - len(errors)))  # those before it were not moved
                errors.extend(off)
            if len(kept) < len(gaps):
                left_out.add(record.id)
            values.extend(kept)
            if not values.is_exact:
                errors = array("d")
            if kept:
                of_block.add(math.fsum(kept), len(kept))
        if len(of_block):
            answers.append(of_block)
    if moved and values.is_exact:
        errors.extend([0.0] * (len(values) - len(errors)))
    return Sample(
        values,
        errors if moved and values.is_exact else (),
        answers,
        frozenset(left_out),
        undefined,
        moved,
        most_error,
    )


def of_window(measured: Sequence[Record], value: float | None, seconds: float) -> Sample:
    """A level's one value. What the machine held up at either edge of the window belongs to its other side."""
    if value is None or seconds <= 0:
        return Sample(Values())
    worst = max((lag_at(record, record.last_text_ns) for record in measured if record.stalls), default=0) / NS
    error = 2 * worst / seconds * value
    return Sample(Values([value]), [error] if error else (), moved=int(error > 0), most_error=error)
