"""Power, energy and heat beside the load in one sentence, for the terminal and the page."""

from collections.abc import Iterator

from lmx_loadgen.analysis.formats import percent
from lmx_loadgen.analysis.observed import POWERS
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.report.level_table import rate_unit
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.store.result import LevelResult, ObservedResult, TargetResult

_THROTTLED = 0.9


def power_words(target: TargetResult) -> tuple[str, bool] | None:
    """What was observed of all levels of a target, and whether the GPU kept its clock; None where nothing was."""
    seen = [(level, level.observed) for level in target.levels if level.observed is not None]
    parts = [f"{level.load_point.short} {', '.join(words)}" for level, one in seen if (words := list(_of(level, one)))]
    if hottest := known(one.gpu_temp_max_c for _, one in seen):
        parts.append(f"GPU up to {max(hottest):.0f} °C")
    shares = known(one.gpu_clock_share for _, one in seen)
    if shares:
        parts.append(f"GPU clock at least {percent(min(shares))} of its first minute")
    if not parts:
        return None
    return f"{'; '.join(parts)} ({sanitize(seen[0][1].source, 40)})", not shares or min(shares) >= _THROTTLED


def _of(level: LevelResult, observed: ObservedResult) -> Iterator[str]:
    for name, what in POWERS.items():
        if (power := getattr(observed, name)) is not None:
            yield f"{what} {power:.1f} W"
    if observed.tokens_per_joule is not None:
        yield f"{observed.tokens_per_joule:.3g} {rate_unit(level).removesuffix('/s')}/J"
