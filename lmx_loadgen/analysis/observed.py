"""What the machine spent and how hot it was while a level was measured, from the samples taken beside the load.

Only for servers on this machine: the power of the client says nothing of a server elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.analysis.window import Window, window_of
from lmx_loadgen.store.log_reader import LogContents
from lmx_loadgen.store.result import LevelResult, ObservedResult
from lmx_loadgen.system.clock import NS
from lmx_loadgen.targets.address import is_loopback

# macOS updates its energy counters in batches: over a shorter time a mean is chance.
_FEWEST_S = 5.0
_LEAST_SHARE = 0.5  # of the window that samples must cover
_LEAST_KNOWN = 0.9  # of the samples that must have a figure
_FEWEST, _FIRST = 5, 60  # samples of the GPU's clock, and those of the first minute
_BUSY = 0.25  # an idle GPU is clocked down, which is no throttling
# What powers are of, in words.
POWERS = {"system_power_w": "machine", "gpu_power_w": "GPU", "cpu_power_w": "CPU"}

SampleDict = Mapping[str, Any]


def with_observed(levels: Sequence[LevelResult], run: MeasuredRun, target: str) -> list[LevelResult]:
    """A target's levels, each with what was observed beside it."""
    samples = [line for line in run.log.samples if "interval_s" in line]
    if not samples or not is_loopback(run.targets[target]["base_url"]):
        return list(levels)
    mine = [window_of([line]) for line in run.log.segments if line["target"] == target]
    reference, source = _first_mhz(_inside(mine, samples)), samples[0]["source"]
    found = []
    for level in levels:
        window = window_of(run.segments(target, level.load_point))
        observed = _observed(level, window, _inside([window], samples), reference, source)
        found.append(level.model_copy(update={"observed": observed}))
    return found


def observer_notes(log: LogContents) -> list[str]:
    """A sentence for each way in which what runs beside the load failed."""
    errors = [f"{line['source']}: {line['error']}" for line in log.samples if "error" in line]
    return [f"power and heat are not known for the whole run: {error}" for error in dict.fromkeys(errors)]


def _observed(
    level: LevelResult, window: Window, samples: Sequence[SampleDict], reference: float | None, source: str
) -> ObservedResult:
    seconds = sum(sample["interval_s"] for sample in samples)
    if seconds < max(_FEWEST_S, _LEAST_SHARE * window.seconds):
        reason = f"samples cover {seconds:.0f} s of the window; at least {_FEWEST_S:.0f} s and half of it are needed"
        return ObservedResult(source=source, seconds=seconds, reason=reason)
    powers: dict[str, Any] = {name: _mean(samples, name) for name in POWERS}
    missing = [words for name, words in POWERS.items() if powers[name] is None]
    lowest, watts, tok_s = _lowest_mhz(samples), powers["system_power_w"], level.metrics["output_tok_s"].mean
    return ObservedResult(
        source=source,
        seconds=seconds,
        **powers,
        tokens_per_joule=None if watts is None or tok_s is None else tok_s / watts,
        gpu_temp_max_c=max(_known(samples, "gpu_temp_c"), default=None),
        gpu_clock_share=lowest / reference if lowest is not None and reference is not None else None,
        reason=f"not reported: power of {', '.join(missing)}" if missing else None,
    )


def _inside(windows: Sequence[Window], samples: Iterable[SampleDict]) -> list[SampleDict]:
    """The samples whose whole time lies inside one of the windows."""
    return [
        sample
        for sample in samples
        for window in windows
        for start, end in window.spans.values()
        if start <= sample["at_ns"] - sample["interval_s"] * NS and sample["at_ns"] <= end
    ]


def _mean(samples: Sequence[SampleDict], name: str) -> float | None:
    values = _known(samples, name)
    return fmean(values) if len(values) >= _LEAST_KNOWN * len(samples) else None


def _first_mhz(samples: Sequence[SampleDict]) -> float | None:
    """The GPU's clock in the first minute of a target's load: of its own, since servers may keep the GPU busy in
    different ways."""
    clocks = _busy_mhz(samples[:_FIRST])
    return median(clocks) if len(clocks) >= _FEWEST else None


def _lowest_mhz(samples: Sequence[SampleDict]) -> float | None:
    """The lowest mean clock of five busy samples in a row; a single one may have met a pause."""
    clocks = _busy_mhz(samples)
    rows = [clocks[place : place + _FEWEST] for place in range(len(clocks) - _FEWEST + 1)]
    return min(map(fmean, rows), default=None)


def _busy_mhz(samples: Sequence[SampleDict]) -> list[float]:
    return _known([one for one in samples if (one.get("gpu_busy") or 0) >= _BUSY], "gpu_mhz")


def _known(samples: Sequence[SampleDict], name: str) -> list[float]:
    return known([sample.get(name) for sample in samples])
