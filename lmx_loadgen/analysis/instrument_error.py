"""How far a level's figures can be off by the instrument's own doing, and when they must not be believed.

Errors come from the calibration that a run carries in its header: 99th percentiles of client − truth, at a load at
least as high as the level's. An error is given in its metric's unit and applies to either side.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.store.calibration import CalibratedLevel, Calibration
from lmx_loadgen.store.result import MetricResult, Witness
from lmx_loadgen.system.clock import NS

# A figure that the instrument may have moved by more than this share of itself is not to be believed.
MOST_ERROR = 0.05
LAG_NS = 10_000_000
MOST_LAGGED = 0.01
MOST_CPU = 0.80
_NAMED = 10


@dataclass(frozen=True, slots=True)
class SegmentLoad:
    """What a level's errors hang on: text reads a second, mean tokens of an answer, median TTFT and the window in
    seconds; None where it has none."""

    concurrency: int
    chunk_rate: float | None
    tokens: float | None
    ttft_s: float | None
    window_s: float | None


Error = Callable[[CalibratedLevel, SegmentLoad, float], float | None]


def _tpot(level: CalibratedLevel, load: SegmentLoad) -> float | None:
    """The first and the last stamp are wrong by as much in a short answer as in a long one: the mean over its steps
    is wrong by their difference ÷ steps."""
    if load.tokens is None or load.tokens <= 1:
        return None
    return level.tpot.p99 * (level.tokens - 1) / (load.tokens - 1)


def _decode(level: CalibratedLevel, load: SegmentLoad, value: float) -> float | None:
    error = _tpot(level, load)  # d(1/t) = dt / t²
    return None if error is None else error * value * value


def _of_window(level: CalibratedLevel, load: SegmentLoad, value: float) -> float | None:
    """Both edges of the window cut the same stream of arrivals, each of them off by a chunk's error."""
    return value * 2 * level.chunk.p99 / load.window_s if load.window_s else None


def _prompt_rate(level: CalibratedLevel, load: SegmentLoad, value: float) -> float | None:
    return value * level.ttft.p99 / load.ttft_s if load.ttft_s else None


ERRORS: dict[str, Error] = {
    "ttft": lambda level, load, value: level.ttft.p99,
    "ttft_response": lambda level, load, value: level.ttft.p99,
    "ttfo": lambda level, load, value: level.send.p99 + level.chunk.p99,
    "e2e": lambda level, load, value: level.send.p99 + level.chunk.p99,
    "tpot": lambda level, load, value: _tpot(level, load),
    "decode_tok_s": _decode,
    "prompt_tok_s": _prompt_rate,
    "chunk_gap": lambda level, load, value: level.gap.p99,
    "longest_stall": lambda level, load, value: level.stall.p99,
    "output_tok_s": _of_window,
    "request_rate": _of_window,
    "goodput": _of_window,
    "occupancy": _of_window,
}


def load_of(
    concurrency: int, metrics: Mapping[str, MetricResult], measured: Sequence[Record], window_s: float
) -> SegmentLoad:
    """The load of a level, out of its figures and its measured requests. Its chunk rate is that while its segments ran:
    pauses between them, and the other target's turns, are no time of its own."""
    spans: dict[int, tuple[int, int]] = {}
    for record in measured:
        if record.send_ns is not None:
            first, last = spans.get(record.segment, (record.send_ns, record.end_ns))
            spans[record.segment] = (min(first, record.send_ns), max(last, record.end_ns))
    seconds = sum(last - first for first, last in spans.values()) / NS
    reads = sum(len(record.text_reads) for record in measured)
    return SegmentLoad(
        concurrency=concurrency,
        chunk_rate=reads / seconds if seconds > 0 else None,
        tokens=metrics["output_tokens"].mean,
        ttft_s=metrics["ttft"].p50,
        window_s=window_s or None,
    )


def with_errors(
    calibration: Calibration | None, load: SegmentLoad, metrics: Mapping[str, MetricResult]
) -> dict[str, MetricResult]:
    """The figures, each with the instrument's own error at this load; without a calibration, as they are."""
    if calibration is None:
        return dict(metrics)
    level, _ = calibration.at(load.concurrency, load.chunk_rate)
    return {
        name: found.model_copy(update={"instrument_error": _error(name, level, load, found)})
        for name, found in metrics.items()
    }


def _error(name: str, level: CalibratedLevel, load: SegmentLoad, found: MetricResult) -> float | None:
    value = _middle(found)
    return ERRORS[name](level, load, value) if name in ERRORS and value is not None else None


def _middle(found: MetricResult) -> float | None:
    return found.p50 if found.p50 is not None else found.mean


def witness(
    calibration: Calibration | None,
    load: SegmentLoad,
    measured: Sequence[Record],
    segments: Sequence[Mapping[str, Any]],
) -> Witness:
    """What was seen of the instrument itself while the level was measured."""
    sent = [record for record in measured if record.lag_ns is not None]
    lagged = _lagged(measured)
    shares = [share for segment in segments if (share := segment["client"].get("cpu_share")) is not None]
    at, within = calibration.at(load.concurrency, load.chunk_rate) if calibration else (None, None)
    return Witness(
        lag_threshold_s=LAG_NS / NS,
        lag_max_s=max((record.lag_ns or 0 for record in sent), default=0) / NS if sent else None,
        lagged=[record.id for record in lagged],
        lagged_share=len(lagged) / len(sent) if sent else None,
        cpu_share=max(shares, default=None),
        calibrated_at=at.concurrency if at else None,
        within_calibration=within,
    )


def _lagged(measured: Sequence[Record]) -> list[Record]:
    return [record for record in measured if record.lag_ns is not None and record.lag_ns > LAG_NS]


def taints(metrics: Mapping[str, MetricResult], seen: Witness) -> list[str]:
    """Why a level's figures are not to be believed, a sentence each; none when they are."""
    reasons = []
    if too_wrong := [words for name, found in metrics.items() if (words := _too_wrong(name, found))]:
        reasons.append(f"the instrument's own error is over {MOST_ERROR:.0%} of {', '.join(too_wrong)}")
    if seen.lagged_share is not None and seen.lagged_share > MOST_LAGGED:
        named = ", ".join(map(str, seen.lagged[:_NAMED])) + (", …" if len(seen.lagged) > _NAMED else "")
        reasons.append(
            f"{seen.lagged_share:.1%} of the requests met an event-loop lag of over {LAG_NS / 1e6:g} ms "
            f"(up to {(seen.lag_max_s or 0) * 1e3:.0f} ms; requests {named}): something else kept this machine busy"
        )
    if seen.cpu_share is not None and seen.cpu_share > MOST_CPU:
        reasons.append(f"a measuring process used {seen.cpu_share:.0%} of a core: use more of them with --workers")
    return reasons


def _too_wrong(name: str, found: MetricResult) -> str | None:
    value = _middle(found)
    if not value or found.instrument_error is None or found.instrument_error <= MOST_ERROR * abs(value):
        return None
    return f"{METRICS[name].title} (±{found.instrument_error / abs(value):.0%})"
