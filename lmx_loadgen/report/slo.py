"""What the SLO says of a target, in words, wherever one is set."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmx_loadgen.analysis import slo
from lmx_loadgen.analysis.formats import percent, rate
from lmx_loadgen.analysis.run_view import mean_interval, stat
from lmx_loadgen.store.result import LevelResult


def slo_words(levels: Sequence[LevelResult], profile: Mapping[str, Any]) -> str | None:
    """`Within SLO (TTFT within 500 ms): 98 % at concurrency 1 (95 % interval 91–100 %, goodput 0.52 req/s), …`.

    None where no SLO is set, or nothing was measured.
    """
    if not profile.get("slo") or not slo.is_set(profile):
        return None
    parts = [words for level in levels if (words := _of_level(level)) is not None]
    return f"Within SLO ({slo.words(profile)}): {', '.join(parts)}" if parts else None


def _of_level(level: LevelResult) -> str | None:
    share, goodput = stat(level, "slo_share", "mean"), stat(level, "goodput", "mean")
    if share is None:
        return None
    within = []
    if (edges := mean_interval(level, "slo_share")) is not None:
        low, high = (percent(edge) for edge in edges)
        within.append(f"95 % interval {low.removesuffix(' %')}–{high}")
    if goodput is not None:
        within.append(f"goodput {rate(goodput)} req/s")
    beside = f" ({', '.join(within)})" if within else ""
    return f"{percent(share)} at {level.load_point.label}{beside}"
