"""A stored run as reports and baselines look at it: its result, and what was measured where its log is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from lmx_loadgen.analysis.asked import Asked, prompts_hash_of
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.result import LevelResult, RunResult, TargetResult
from lmx_loadgen.system.clock import EARLIEST, moment

Viewed = TypeVar("Viewed", bound="TargetView")


@dataclass(frozen=True, slots=True)
class RunView:
    """One stored run. `label` tells it from others on the same page, for instance its date."""

    result: RunResult
    measured: MeasuredRun | None
    label: str

    @property
    def asked(self) -> Asked:
        """What it asked for, to tell whether another asked for the same."""
        return Asked(self.result.profile, None if self.measured is None else prompts_hash_of(self.measured.header))

    @property
    def machine(self) -> str:
        """The chip and memory of its machine in a few words, as far as the host facts tell."""
        chip, memory = self.result.host.get("chip"), self.result.host.get("memory_gb")
        parts = [str(chip)[:60] if chip else "", f"{memory:g} GB" if isinstance(memory, int | float) else ""]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target of one run, under a name that no other on the page has."""

    name: str
    run: RunView
    target: TargetResult

    @property
    def levels(self) -> list[LevelResult]:
        """The levels, the lightest load first."""
        return in_order(self.target.levels)

    def level_at(self, point: LoadPoint) -> LevelResult | None:
        """The level at this load point, if it was run."""
        return next((level for level in self.levels if level.load_point == point), None)

    def requests_of(self, level: LevelResult) -> Sequence[Record]:
        """The requests of a level, warm-ups included."""
        measured = self.run.measured
        return [] if measured is None else measured.requests(self.target.name, level.load_point)


def in_order(levels: Sequence[LevelResult]) -> list[LevelResult]:
    """Levels from the lightest load to the heaviest."""
    return sorted(levels, key=lambda level: level.load_point.order)


def newest_first(views: Sequence[Viewed]) -> list[Viewed]:
    """The targets by when their runs began."""
    return sorted(views, key=lambda one: moment(one.run.result.started_at) or EARLIEST, reverse=True)


def same_work(one: TargetView, other: TargetView) -> bool:
    """Whether both runs asked for the same: endpoint, prompts and request settings."""
    return not any(one.run.asked.differences(other.run.asked))


# ---- one level of one target ------------------------------------------------------------------------


def stat(level: LevelResult, metric: str, key: str) -> float | None:
    """One statistic of a metric at a level, `None` where it is undefined or was not computed."""
    found = level.metrics.get(metric)
    value = None if found is None else getattr(found, key)
    return None if value is None else float(value)


def mean_interval(level: LevelResult, metric: str) -> tuple[float, float] | None:
    """The 95 % interval of a metric's mean, `None` where it has none."""
    found = level.metrics.get(metric)
    return None if found is None else found.ci95


def prompt_tokens(level: LevelResult) -> float | None:
    """Mean tokens of a prompt, by the count that the level's rates rest on."""
    counts = {"usage": level.tokens.usage, "events": level.tokens.events, "tokenizer": level.tokens.tokenizer}
    found, answers = counts.get(level.token_basis), stat(level, "ttft", "n")
    return found.prompt / answers if found is not None and found.prompt is not None and answers else None


def system_rate(level: LevelResult) -> float | None:
    """Output tok/s of the whole system at a level; undefined where not one token arrived."""
    return stat(level, "output_tok_s", "mean") if stat(level, "output_tok_s", "n") else None
