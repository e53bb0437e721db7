"""Power, energy and heat beside the load in one sentence, for the terminal and the page."""

from collections.abc import Iterator, Mapping
from typing import Any

from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.observed import POWERS
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.view import Level, point_of

_THROTTLED = 0.9


def power_words(target: Mapping[str, Any]) -> tuple[str, bool] | None:
    """What was observed of all levels of a target, and whether the GPU kept its clock; None where nothing was."""
    levels = [level for level in target["levels"] if level.get("observed")]
    parts = [f"{point_of(level).short} {', '.join(words)}" for level in levels if (words := list(_of(level)))]
    observed = [level["observed"] for level in levels]
    if hottest := known(one["gpu_temp_max_c"] for one in observed):
        parts.append(f"GPU up to {max(hottest):.0f} °C")
    shares = known(one["gpu_clock_share"] for one in observed)
    if shares:
        parts.append(f"GPU clock at least {percent(min(shares))} of its first minute")
    if not parts:
        return None
    return f"{'; '.join(parts)} ({sanitize(observed[0]['source'], 40)})", not shares or min(shares) >= _THROTTLED


def _of(level: Level) -> Iterator[str]:
    observed = level["observed"]
    for name, what in POWERS.items():
        if observed[name] is not None:
            yield f"{what} {observed[name]:.1f} W"
    if observed["tokens_per_joule"] is not None:
        yield f"{observed['tokens_per_joule']:.3g} {'tok' if level['token_basis_exact'] else 'chunks'}/J"
