"""How far a level's figures can be off by the instrument's own doing, and which are unreliable.

Errors come from two witnesses, and the larger one counts: the calibration that a run carries in its header, at a load
at least as high as the level's, and the stalls of the measuring process that this run saw itself. An error is given in
its metric's unit and applies to either side.
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from lmx_loadgen.analysis.error_models import Pick, SegmentLoad
from lmx_loadgen.analysis.metrics import METRICS, is_delayed_anywhere
from lmx_loadgen.analysis.own_errors import STATISTICS, OwnErrors, Statistic
from lmx_loadgen.analysis.records import MOST_DELAY_NS, Record
from lmx_loadgen.analysis.window import Window
from lmx_loadgen.store.calibration import CalibratedLevel, Calibration, SpreadResult
from lmx_loadgen.store.result import MetricResult, Witness
from lmx_loadgen.system.clock import NS

# A figure that the instrument may have moved by more than this share of itself is unreliable.
MOST_ERROR = 0.05
MOST_CPU = 0.80


def _of_tail(spread: SpreadResult) -> float:
    """By how much a single request may be off, 99 times in 100; so a percentile of the tail as well."""
    return spread.p99


def _of_middle(spread: SpreadResult) -> float:
    """By how much a median is moved: half of the requests are off by the median error at most, and the others, but for
    one in a hundred, by its 99th percentile."""
    return (spread.p50 + spread.p99) / 2


def _of_mean(spread: SpreadResult) -> float:
    """The same, with the hundredth request."""
    return _of_middle(spread) + spread.max / 100


_PICKS: dict[Statistic, Pick] = {"p50": _of_middle, "mean": _of_mean}


def load_of(slots: int, metrics: Mapping[str, MetricResult], measured: Sequence[Record], window: Window) -> SegmentLoad:
    """The load of a level, out of its figures and its measured requests."""
    return SegmentLoad(
        slots=slots,
        chunk_rate=_chunk_rate(measured, window),
        tokens=metrics["output_tokens"].mean,
        ttft_s=metrics["ttft"].p50,
        window_s=window.seconds or None,
    )


def _chunk_rate(measured: Sequence[Record], window: Window) -> float | None:
    """Reads of text a second while the level's segments were under full load. Pauses and the turns of another target
    between them are not the load that the instrument had to bear."""
    spans = dict(window.spans)
    without: dict[int, tuple[int, int]] = {}
    for one in measured:
        if one.block not in spans and one.send_ns is not None:
            start, end = without.get(one.block, (one.send_ns, one.end_ns))
            without[one.block] = (min(start, one.send_ns), max(end, one.end_ns))
    spans |= without
    reads = sum(_reads_inside(record, spans[record.block]) for record in measured if record.block in spans)
    seconds = sum(end - start for start, end in spans.values()) / NS
    return reads / seconds if seconds > 0 else None


def _reads_inside(record: Record, span: tuple[int, int]) -> int:
    first, last = record.first_text_ns, record.last_text_ns
    if first is None or last is None or first > span[1] or last < span[0]:
        return 0
    if span[0] <= first and last <= span[1]:
        return record.read_count
    return sum(span[0] <= at_ns <= span[1] for at_ns in record.reads.at_ns)


def with_errors(
    calibration: Calibration | None,
    load: SegmentLoad,
    metrics: Mapping[str, MetricResult],
    own: Mapping[str, OwnErrors],
) -> dict[str, MetricResult]:
    """The figures, each with the instrument's own error at this load and the statistics that it taints. Without a
    calibration no error is stated; what this run saw of itself taints all the same."""
    level = calibration.at(load.slots, load.chunk_rate)[0] if calibration is not None else None
    return {
        name: found.model_copy(
            update={
                "left_out": len(own[name].left_out) if name in own else 0,
                "instrument_error": _stated(name, level, load, found, own.get(name, OwnErrors())),
                "tainted": [
                    one for one in STATISTICS if _is_tainted(name, one, level, load, found, own.get(name, OwnErrors()))
                ],
            }
        )
        for name, found in metrics.items()
    }


def _stated(
    name: str, level: CalibratedLevel | None, load: SegmentLoad, found: MetricResult, own: OwnErrors
) -> float | None:
    """The 99th percentile over requests: the larger of the calibration's and this run's own."""
    value = shown(found)
    if level is None or (error := METRICS[name].error) is None or value is None:
        return None
    calibrated = error(level, load, value, _of_tail)
    return calibrated if calibrated is None else max(calibrated, own.p99)


def _is_tainted(
    name: str,
    statistic: Statistic,
    level: CalibratedLevel | None,
    load: SegmentLoad,
    found: MetricResult,
    own: OwnErrors,
) -> bool:
    value = getattr(found, statistic)
    if not value:
        return False
    error = METRICS[name].error
    bound = error(level, load, value, _PICKS.get(statistic, _of_tail)) if level and error is not None else None
    return bool(max(bound or 0.0, own.bounds.get(statistic, 0.0)) > MOST_ERROR * abs(value))


def shown(found: MetricResult) -> float | None:
    """What stands for a figure: its median, or the one value of a whole level."""
    return found.p50 if found.p50 is not None else found.mean


def witness(
    calibration: Calibration | None,
    load: SegmentLoad,
    measured: Sequence[Record],
    segments: Sequence[Mapping[str, Any]],
) -> Witness:
    """What was seen of the instrument itself while the level was measured. A segment that was cut off says nothing of
    how busy a whole one keeps it."""
    lags = array("q", (record.lag_ns for record in measured if record.lag_ns is not None))
    lagged = [record.id for record in measured if is_delayed_anywhere(record)]
    whole = [segment["client"] for segment in segments if segment["stopped"] is None]
    shares = [share for client in whole if (share := client.get("cpu_share")) is not None]
    at, within = calibration.at(load.slots, load.chunk_rate) if calibration else (None, None)
    return Witness(
        lag_threshold_s=MOST_DELAY_NS / NS,
        lag_max_s=max(lags) / NS if lags else None,
        lagged=lagged,
        lagged_share=len(lagged) / len(lags) if lags else None,
        cpu_share=max(shares, default=None),
        calibrated_at=at.concurrency if at else None,
        within_calibration=within,
    )


def taints(metrics: Mapping[str, MetricResult]) -> list[str]:
    """Why figures of a level are unreliable, in one sentence for all of them; none when they are reliable."""
    found = [METRICS[name].title for name, one in metrics.items() if is_tainted(one)]
    return [f"this machine may have moved {', '.join(found)} by more than {MOST_ERROR:.0%}"] if found else []


def is_tainted(found: MetricResult, percent: int | None = None) -> bool:
    """Whether a percentile is tainted, or else what stands for the figure, and not only its tail."""
    if percent is not None:
        return f"p{percent}" in found.tainted
    return ("p50" if found.p50 is not None else "mean") in found.tainted


def notes_of(seen: Witness, left_out: frozenset[int], requests: int) -> list[str]:
    """What a reader of the level should know of the instrument, beside what taints."""
    notes = []
    if left_out:
        notes.append(left_out_words(len(left_out), requests))
    if seen.cpu_share is not None and seen.cpu_share > MOST_CPU:
        notes.append(f"a measuring process used {seen.cpu_share:.0%} of a core: use more of them with --workers")
    if seen.within_calibration is False:
        notes.append("the load is higher than any that was calibrated: the instrument's error may be larger than shown")
    return notes


def left_out_words(left_out: int, requests: int) -> str:
    """The sentence that counts what a level does without."""
    return f"{left_out} of {requests} requests {'were' if left_out > 1 else 'was'} delayed by this machine and left out"
