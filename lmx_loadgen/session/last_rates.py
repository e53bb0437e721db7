"""How fast targets were when they were last measured, for an estimate of how long they will take."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lmx_loadgen.errors import ResultError
from lmx_loadgen.session.plan import Segment, loaded_s
from lmx_loadgen.store.result import LevelResult, TargetResult, find_runs, read_result
from lmx_loadgen.targets.base import Target

_MOST_RUNS = 40


@dataclass(frozen=True, slots=True)
class Rate:
    """The levels of a target in its newest run that has any with figures, and that run's folder."""

    levels: tuple[LevelResult, ...]
    folder: Path

    def at(self, slots: int) -> LevelResult:
        """The level whose load is nearest to so many requests in flight, rather a heavier one."""
        return next((level for level in self.levels if level.load_point.slots >= slots), self.levels[-1])

    @property
    def words(self) -> str:
        shown = _value(self.levels[0], "decode_tok_s")
        return f"{shown:.3g} tok/s at {self.levels[0].load_point.label} ({self.folder.name})"


def last_rates(out: Path, targets: Iterable[Target]) -> dict[str, Rate]:
    """The newest rate of each target, by its name, where a run in `out` measured the same model of the same server."""
    wanted = {target.name: target for target in targets}
    found: dict[str, Rate] = {}
    for folder in reversed(find_runs(out)[-_MOST_RUNS:]):
        missing = [target for name, target in wanted.items() if name not in found]
        if not missing:
            break
        with contextlib.suppress(ResultError):  # damaged, or never finished
            result = read_result(folder)
            for target in missing:
                for one in result.targets:
                    if _is_same(one, target) and (levels := _usable(one)):
                        found[target.name] = Rate(levels, folder)
    return found


def seconds_of(segment: Segment, rate: Rate, max_tokens: int) -> float:
    """About how long a segment takes if every answer has all its tokens."""
    level = rate.at(segment.load_point.slots)
    each_s = _value(level, "ttft") + max_tokens / _value(level, "decode_tok_s")
    return segment.warmup * each_s + loaded_s(segment, each_s)


def _is_same(one: TargetResult, target: Target) -> bool:
    return (one.dialect, one.model, one.base_url) == (target.dialect.name, target.model, target.base_url)


def _usable(one: TargetResult) -> tuple[LevelResult, ...]:
    levels = [level for level in one.levels if level.token_basis != "characters" and _value(level, "decode_tok_s")]
    return tuple(sorted(levels, key=lambda level: level.load_point.order))


def _value(level: LevelResult, name: str) -> float:
    """The median of a metric; 0 where it is undefined."""
    metric = level.metrics.get(name)
    return (metric.p50 or 0.0) if metric is not None else 0.0
