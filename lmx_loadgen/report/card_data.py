"""What a report card is made of: every model on every backend, with its newest run and those before it.

A card is of one model on one backend on one machine. Results that were imported have the plan's statistics and no
request behind them: they stand on cards of their own, and nothing is compared with them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lmx_loadgen.analysis.formats import short_time
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.published import matching
from lmx_loadgen.profile.load_point import ALONE
from lmx_loadgen.report.baselines import Baseline, all_baselines
from lmx_loadgen.report.view import Level, Series, newest_first, same_work, stat
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.reference import SERVER_OF, PublishedFigure, Reference, Server
from lmx_loadgen.store.result import BenchmarkResult
from lmx_loadgen.system.clock import EARLIEST, moment


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """One run of a card's model. `level` is its lowest level; `same_work` whether it asked for what the newest run
    asked for, at the same load and by the same count of tokens: only then may a line join them."""

    label: str
    started_at: str
    level: Level | None
    same_work: bool


@dataclass(frozen=True, slots=True)
class Card:
    """One model on one backend. `levels` are those of the newest run, lightest load first; `runs` are all, newest
    first; `series` is None where the result was imported. `published` are figures of the same weights."""

    origin: Literal["measured", "imported"]
    model: str
    backend: str
    machine: str
    series: Series | None
    levels: list[Level]
    target: dict[str, Any]
    runs: list[EarlierRun]
    baseline: list[Baseline] = field(default_factory=list)
    published: list[PublishedFigure] = field(default_factory=list)

    @property
    def first(self) -> Level | None:
        """The lowest level: what one user sees, where one request at a time was measured."""
        return self.levels[0] if self.levels else None

    @property
    def server(self) -> Server | None:
        """Which of the servers that figures are published of it is; None where it was imported, or is another."""
        return SERVER_OF.get(str(self.target.get("dialect")))

    @property
    def benchmark(self) -> dict[str, Any]:
        return self.target.get("benchmark") or {}

    @property
    def stats(self) -> dict[str, Any]:
        return self.benchmark.get("stats") or {}

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        asked = self.target.get("tool_calls") or []
        one = self.stats.get("tool_call")
        return asked or ([one] if one else [])

    @property
    def skills(self) -> list[dict[str, Any]]:
        return self.target.get("skills") or self.stats.get("skills") or []

    @property
    def has_figures(self) -> bool:
        """Whether anything was measured at the lowest level."""
        return self.first is not None and any(
            stat(self.first, name, "mean") is not None for name in ("ttft", "decode_tok_s")
        )


def cards_of(
    series: Sequence[Series],
    comparisons: Sequence[Comparison],
    reference: Reference | None = None,
    imported: Sequence[BenchmarkResult] = (),
) -> list[Card]:
    """All cards: those of one model beside each other, the imported ones last."""
    groups: dict[tuple[str, str, str, str], list[Series]] = defaultdict(list)
    for one in series:
        groups[_key(one)].append(one)
    found = [_measured(newest_first(group), series, comparisons, reference) for group in groups.values()]
    return [*found, *_imported(imported)]


def _key(one: Series) -> tuple[str, str, str, str]:
    target = one.target
    return str(target.get("model")), str(target.get("dialect")), str(target["name"]), one.run.machine


def _measured(
    group: Sequence[Series],
    series: Sequence[Series],
    comparisons: Sequence[Comparison],
    reference: Reference | None,
) -> Card:
    newest = group[0]
    target = newest.target
    host = newest.run.result.get("host") or {}
    published = _published(reference, target, host.get("chip"))
    return Card(
        origin="measured",
        model=str(target.get("model") or "unknown model"),
        backend=str(target["name"]),
        machine=newest.run.machine,
        series=newest,
        levels=newest.levels(),
        target=target,
        runs=[_earlier_run(one, newest) for one in group],
        baseline=all_baselines(group, series, comparisons, published, reference),
        published=published,
    )


def _published(reference: Reference | None, target: dict[str, Any], chip: str | None) -> list[PublishedFigure]:
    if reference is None or not target.get("model"):
        return []
    quantization = (target.get("server") or {}).get("quantization")
    server = SERVER_OF.get(str(target.get("dialect")))
    return matching(reference, str(target["model"]), quantization=quantization, chip=chip, server=server)


def _earlier_run(one: Series, newest: Series) -> EarlierRun:
    first, shown = (next(iter(series.levels()), None) for series in (one, newest))
    conditions = [(level or {}).get(key) for level in (first, shown) for key in ("load_point", "token_basis")]
    same = same_work(one, newest) and conditions[:2] == conditions[2:]
    return EarlierRun(one.run.label, str(one.run.result.get("started_at")), first, same)


# ---- imported results -------------------------------------------------------------------------------


def _imported(results: Sequence[BenchmarkResult]) -> list[Card]:
    groups: dict[tuple[str, str, str], list[BenchmarkResult]] = defaultdict(list)
    for result in results:
        groups[result.model_id, result.backend, result.hardware].append(result)
    return [
        _imported_card(sorted(group, key=lambda one: moment(one.timestamp) or EARLIEST, reverse=True))
        for group in groups.values()
    ]


def _imported_card(group: Sequence[BenchmarkResult]) -> Card:
    newest = group[0]
    levels = imported_levels(newest)
    return Card(
        origin="imported",
        model=newest.model_id,
        backend=newest.backend,
        machine=newest.hardware,
        series=None,
        levels=levels,
        target={"benchmark": newest.model_dump(mode="json")},
        runs=[
            EarlierRun(
                short_time(one.timestamp),
                one.timestamp,
                next(iter(imported_levels(one)), None),
                one.prompt_preview == newest.prompt_preview,
            )
            for one in group
        ],
    )


def imported_levels(result: BenchmarkResult) -> list[Level]:
    """The plan's statistics as the one level they are of: one request at a time."""
    stats = result.stats
    if stats is None:
        return []
    figures = {
        "ttft": (stats.ttft_mean_sec, stats.ttft_p50_sec, stats.ttft_p95_sec),
        "decode_tok_s": (stats.toks_per_sec_mean, stats.toks_per_sec_p50, stats.toks_per_sec_p95),
        "output_tokens": (stats.output_tokens, None, None),
    }
    return [
        {
            "load_point": ALONE.model_dump(),
            "concurrency": 1,
            "requests": {"ok": stats.runs_completed, "failed": None},
            "metrics": {
                name: {"unit": METRICS[name].unit, "better": METRICS[name].better, "n": stats.runs_completed}
                | {"mean": mean, "p50": p50, "p95": p95}
                for name, (mean, p50, p95) in figures.items()
            },
            "token_basis": "usage",  # by the plan; by what others really counted, `store.imported` tells
            "tokens": {"usage": {"prompt": _times(stats.prompt_tokens, stats.runs_completed)}},
            "token_basis_exact": True,
        }
    ]


def _times(mean: int | None, number: int | None) -> int | None:
    return None if mean is None or number is None else mean * number


# ---- figures of a level -----------------------------------------------------------------------------


def output_tokens(level: Level) -> float | None:
    """Mean tokens of an answer, by the same count."""
    return stat(level, "output_tokens", "mean")
