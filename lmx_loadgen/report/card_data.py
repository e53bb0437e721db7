"""What a report card is made of: every model on every backend, with its newest run and those before it.

A card is of one model on one backend on one machine. Results that were imported, or lie about as the plan's files, have
its statistics and no request behind them: they stand on cards of their own, beside what is published, and no other run
is compared with them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lmx_loadgen.analysis.baselines import Baseline, all_baselines, published_baselines
from lmx_loadgen.analysis.formats import short_time
from lmx_loadgen.analysis.imported_levels import imported_levels
from lmx_loadgen.analysis.published import apple_chip, matching
from lmx_loadgen.analysis.run_view import newest_first, same_work, stat
from lmx_loadgen.report.view import Series
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.imported import OURS
from lmx_loadgen.store.reference import SERVER_OF, PublishedFigure, Reference, Server
from lmx_loadgen.store.result import (
    FEWEST_RUNS,
    BenchmarkResult,
    LevelResult,
    SkillsBenchmark,
    TargetResult,
    ToolCallBenchmark,
)
from lmx_loadgen.system.clock import EARLIEST, moment


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """One run of a card's model. `level` is its lowest level; `same_work` whether it asked for what the newest run
    asked for, at the same load and by the same count of tokens: only then may a line join them."""

    label: str
    started_at: str
    level: LevelResult | None
    same_work: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One model on one backend. `levels` are those of the newest run, lightest load first; `runs` are all, newest
    first; `series` and `target` are None where the result was imported."""

    model: str
    backend: str
    machine: str
    server: Server | None
    series: Series | None
    levels: list[LevelResult]
    benchmark: BenchmarkResult | None
    runs: list[EarlierRun]
    baseline: list[Baseline] = field(default_factory=list)

    @property
    def origin(self) -> Literal["measured", "imported"]:
        return "imported" if self.series is None else "measured"

    @property
    def target(self) -> TargetResult | None:
        return None if self.series is None else self.series.target

    @property
    def first(self) -> LevelResult | None:
        """The lowest level: what one user sees, where one request at a time was measured."""
        return self.levels[0] if self.levels else None

    @property
    def tool_calls(self) -> list[ToolCallBenchmark]:
        asked = self.target.tool_calls if self.target else []
        one = self.benchmark.stats.tool_call if self.benchmark and self.benchmark.stats else None
        return asked or ([one] if one else [])

    @property
    def skills(self) -> list[SkillsBenchmark]:
        ran = self.target.skills if self.target else []
        return ran or (self.benchmark.stats.skills if self.benchmark and self.benchmark.stats else [])

    @property
    def has_figures(self) -> bool:
        """Whether anything was measured at the lowest level."""
        return self.first is not None and any(
            stat(self.first, name, "mean") is not None for name in ("ttft", "decode_tok_s")
        )

    def mean(self, metric: str) -> float | None:
        """The plan's mean, at the lowest level; None for fewer than two answers, which are no data."""
        if self.first is None or (self.series is not None and self.first.requests.ok < FEWEST_RUNS):
            return None
        return stat(self.first, metric, "mean")


def cards_of(
    series: Sequence[Series],
    comparisons: Sequence[Comparison],
    reference: Reference | None = None,
    imported: Sequence[BenchmarkResult] = (),
) -> list[Card]:
    """All cards: those of one model beside each other, the imported ones last."""
    groups: dict[tuple[str, str, str, str], list[Series]] = defaultdict(list)
    for one in series:
        groups[one.target.model, one.target.dialect, one.target.name, one.run.machine].append(one)
    found = [_measured(newest_first(group), series, comparisons, reference) for group in groups.values()]
    return [*found, *_imported(imported, reference)]


def _measured(
    group: Sequence[Series],
    series: Sequence[Series],
    comparisons: Sequence[Comparison],
    reference: Reference | None,
) -> Card:
    newest = group[0]
    target, server = newest.target, SERVER_OF.get(newest.target.dialect)
    chip, quantization = newest.run.result.host.get("chip"), target.server.get("quantization")
    published = _published(reference, target.model, quantization, chip, server)
    return Card(
        model=target.model or "unknown model",
        backend=target.name,
        machine=newest.run.machine,
        server=server,
        series=newest,
        levels=newest.levels,
        benchmark=target.benchmark,
        runs=[_earlier_run(one, newest) for one in group],
        baseline=all_baselines(group, series, comparisons, published, reference),
    )


def _published(
    reference: Reference | None, model: str, quantization: str | None, chip: str | None, server: Server | None
) -> list[PublishedFigure]:
    if reference is None or not model:
        return []
    return matching(reference, model, quantization=quantization, chip=chip, server=server)


def _earlier_run(one: Series, newest: Series) -> EarlierRun:
    first, shown = (next(iter(series.levels), None) for series in (one, newest))
    conditions = [(level.load_point, level.token_basis) if level else None for level in (first, shown)]
    same = same_work(one, newest) and conditions[0] == conditions[1]
    return EarlierRun(one.run.label, one.run.result.started_at, first, same)


# ---- imported results -------------------------------------------------------------------------------


def _imported(results: Sequence[BenchmarkResult], reference: Reference | None) -> list[Card]:
    groups: dict[tuple[str, str, str], list[BenchmarkResult]] = defaultdict(list)
    for result in results:
        groups[result.model_id, result.backend, result.hardware].append(result)
    return [
        _imported_card(sorted(group, key=lambda one: moment(one.timestamp) or EARLIEST, reverse=True), reference)
        for group in groups.values()
    ]


def _imported_card(group: Sequence[BenchmarkResult], reference: Reference | None) -> Card:
    newest = group[0]
    levels = imported_levels(newest)
    is_ours = newest.origin == OURS
    chip = newest.hardware if apple_chip(newest.hardware) else None
    server = SERVER_OF.get(newest.backend if is_ours else "lmx")
    published = _published(reference, newest.model_id, None, chip, server)
    why = "" if is_ours else "the server measured itself"
    return Card(
        model=newest.model_id,
        backend=newest.backend,
        machine=newest.hardware,
        server=server if is_ours else None,
        series=None,
        levels=levels,
        benchmark=newest,
        runs=[
            EarlierRun(
                short_time(one.timestamp),
                one.timestamp,
                next(iter(imported_levels(one)), None),
                one.prompt_preview == newest.prompt_preview,
            )
            for one in group
        ],
        baseline=published_baselines(levels[0] if levels else None, published, why),
    )
