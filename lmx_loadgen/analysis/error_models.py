"""How the calibration's errors become that of a metric, in its own unit."""

from collections.abc import Callable
from dataclasses import dataclass

from lmx_loadgen.store.calibration import CalibratedLevel, SpreadResult


@dataclass(frozen=True, slots=True)
class SegmentLoad:
    """What a level's errors hang on: text reads a second while its segments ran, mean tokens of an answer, median TTFT
    and the window in seconds; None where it has none."""

    slots: int
    chunk_rate: float | None
    tokens: float | None
    ttft_s: float | None
    window_s: float | None


Pick = Callable[[SpreadResult], float]
Error = Callable[[CalibratedLevel, SegmentLoad, float, Pick], float | None]


# ---- one for each kind of metric: level, load, the figure's value, which statistic of the errors ------


def of_ttft(level: CalibratedLevel, load: SegmentLoad, value: float, pick: Pick) -> float | None:
    return pick(level.ttft)


def of_span_to_text(level: CalibratedLevel, load: SegmentLoad, value: float, pick: Pick) -> float | None:
    """From the send to any read of text."""
    return pick(level.send) + pick(level.chunk)


def of_tpot(level: CalibratedLevel, load: SegmentLoad, value: float, pick: Pick) -> float | None:
    """The first and the last stamp are wrong by as much in a short answer as in a long one: the mean over its steps
    is wrong by their difference ÷ steps."""
    if load.tokens is None or load.tokens <= 1:
        return None
    return pick(level.tpot) * (level.tokens - 1) / (load.tokens - 1)


def of_decode_rate(level: CalibratedLevel, load: SegmentLoad, value: float, pick: Pick) -> float | None:
    error = of_tpot(level, load, value, pick)  # d(1/t) = dt / t²
    return None if error is None else error * value * value


def of_prompt_rate(level: CalibratedLevel, load: SegmentLoad, value: float, pick: Pick) -> float | None:
    return value * pick(level.ttft) / load.ttft_s if load.ttft_s else None


def of_gap(level: CalibratedLevel, load: SegmentLoad, value: float, pick: Pick) -> float | None:
    return pick(level.gap)


def of_stall(level: CalibratedLevel, load: SegmentLoad, value: float, pick: Pick) -> float | None:
    return pick(level.stall)


def of_window(level: CalibratedLevel, load: SegmentLoad, value: float, pick: Pick) -> float | None:
    """Both edges of the window cut the same stream of arrivals, each of them off by a chunk's error."""
    return value * 2 * level.chunk.p99 / load.window_s if load.window_s else None
