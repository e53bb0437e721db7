"""The figures of every level, declared once for page, Markdown and terminal: by prompt class, medians and p95.

A figure over prompts of several lengths is one that no request had, so that each class of prompts has a row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lmx_loadgen.analysis.formats import UNDEFINED, count
from lmx_loadgen.analysis.metrics import headline
from lmx_loadgen.analysis.run_view import in_order, system_rate
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.table import Cell, Column, Table, Value, cell_of
from lmx_loadgen.report.view import as_shown, heading
from lmx_loadgen.store.result import LevelResult, MetricResult, TargetResult

WEAK, TAINTED = "*", "‡"
NOTES = {
    WEAK: f"{WEAK} fewer than five samples lie beyond this percentile",
    TAINTED: f"{TAINTED} this machine may have moved the figure by more than 5 %",
}
FROM_SCHEDULED = "TTFT of an open loop counts from the scheduled time of a request."
_NAME_WIDTH = 14


@dataclass(frozen=True, slots=True)
class ShownTarget:
    """A target as a table names it; `look` is the index of its series on the page."""

    name: str
    target: TargetResult
    look: int | None = None


@dataclass(frozen=True, slots=True)
class Statistic:
    """One statistic of a metric, as a column shows it."""

    metric: str
    key: str
    from_width: int = 0

    @property
    def title(self) -> str:
        """`TTFT`, `decode`."""
        name = heading(self.metric)[0]
        return name if name.isupper() else name.lower()


STATISTICS = (
    Statistic("ttft", "p50"),
    Statistic("ttft", "p95", 100),
    Statistic("prompt_tok_s", "p50", 80),
    Statistic("decode_tok_s", "p50"),
)


def level_table(targets: Sequence[ShownTarget]) -> Table:
    """A group for each target's level, a row for each class of its prompts."""
    levels = [level for one in targets for level in one.target.levels]
    unit = common_unit(levels)
    columns = [
        Column("target", grouped=True, max_width=_NAME_WIDTH),
        Column("load" if any(level.concurrency is None for level in levels) else "C", number=True, grouped=True),
        Column("prompts", optional=True),
        *(_column(one, unit) for one in STATISTICS),
        Column("system", unit=unit or "", number=True, grouped=True, from_width=72),
        Column("ok", "/ failed", number=True, grouped=True, from_width=80),
    ]
    is_told = sum(len(level.by_prompt_class) for level in levels) > len(levels)
    groups = [
        [
            _row(one, level, name, metrics, place, unit, is_told)
            for place, (name, metrics) in enumerate(classes_of(level))
        ]
        for one in targets
        for level in in_order(one.target.levels)
    ]
    return Table(columns, groups, footnotes=footnotes(levels))


def _row(
    one: ShownTarget,
    level: LevelResult,
    prompts: str,
    metrics: Mapping[str, MetricResult],
    place: int,
    unit: str | None,
    is_told: bool,
) -> list[Cell]:
    return [
        Cell(sanitize(one.name, 60), tone="strong", look=one.look, under=sanitize(one.target.model, 120)),
        load_cell(level),
        Cell(prompts if is_told else ""),
        *(figure(level, metrics, statistic, unit) for statistic in STATISTICS),
        system_figure(level, unit),
        ok_failed(level),
    ]


def side_by_side(a: ShownTarget, b: ShownTarget) -> Table:
    """Two targets beside each other, a row for each figure of each class of prompts, wherever both or one has it."""
    levels = [level for one in (a, b) for level in one.target.levels]
    unit = common_unit(levels)
    names = [Column(sanitize(one.name, 40), number=True, look=one.look) for one in (a, b)]
    columns = [Column("C", number=True, grouped=True), Column("prompts", optional=True), Column("figure"), *names]
    points = sorted({level.load_point for level in levels}, key=lambda point: point.order)
    groups = []
    for point in points:
        pair = [next((level for level in one.target.levels if level.load_point == point), None) for one in (a, b)]
        groups.append([[point.cell, *row] for row in _rows_beside(pair, unit)])
    return Table(columns, groups, footnotes=footnotes(levels))


def _rows_beside(pair: Sequence[LevelResult | None], unit: str | None) -> Iterator[list[Value]]:
    classes = [dict(classes_of(level)) if level else {} for level in pair]
    names = list(dict.fromkeys(name for of_level in classes for name in of_level))
    for name in names:
        for one in STATISTICS:
            cells: list[Value] = [
                figure(level, of_level[name], one, unit) if level and name in of_level else UNDEFINED
                for level, of_level in zip(pair, classes, strict=True)
            ]
            if any(cell_of(cell).text != UNDEFINED for cell in cells):
                shown = _column(one, unit)
                yield [name if len(names) > 1 else "", f"{shown.title} {shown.beside}".replace(",", ""), *cells]
    whole = f"system {unit or ''}".strip()
    yield ["", whole, *(system_figure(level, unit) if level else UNDEFINED for level in pair)]
    yield ["", "ok / failed", *(ok_failed(level) if level else UNDEFINED for level in pair)]


def classes_of(level: LevelResult) -> Iterator[tuple[str, Mapping[str, MetricResult]]]:
    """The figures of each class of prompts; of a result of an earlier version, those of all together."""
    if not level.by_prompt_class:
        yield "all", level.metrics
    for name, found in level.by_prompt_class.items():
        yield sanitize(name, 20), found.metrics


# ---- cells ------------------------------------------------------------------------------------------


def rate_unit(level: LevelResult) -> str:
    """What a level's rates count: `tok/s`, or `chunks/s` where its server's counts cannot be relied on."""
    return "tok/s" if level.token_basis_exact else "chunks/s"


def common_unit(levels: Sequence[LevelResult]) -> str | None:
    """The unit of all rates, None where they have several: each figure then has its own."""
    units = {rate_unit(level) for level in levels}
    return units.pop() if len(units) == 1 else None


def _column(one: Statistic, unit: str | None) -> Column:
    """Where rates have several units, each needs room for its own."""
    shown = (unit or "") if one.metric == "decode_tok_s" else heading(one.metric)[1]
    width = one.from_width and one.from_width + (0 if unit else 20)
    return Column(one.title, one.key, shown, number=True, from_width=width)


def figure(level: LevelResult, metrics: Mapping[str, MetricResult], one: Statistic, unit: str | None) -> Cell:
    """One statistic with its marks, or a dash and why."""
    found = metrics.get(headline(one.metric, level.load_point))
    value = None if found is None else getattr(found, one.key)
    if found is None or value is None:
        return Cell(UNDEFINED, why=sanitize(found.reason or "", 200) if found else "")
    text = as_shown(one.metric)(value)
    if one.metric == "decode_tok_s" and unit is None:
        text = f"{text} {rate_unit(level)}"
    return Cell(text, mark=marks(level, found, one.key))


def system_figure(level: LevelResult, unit: str | None) -> Cell:
    """Output of the whole system."""
    value, found = system_rate(level), level.metrics.get("output_tok_s")
    if value is None or found is None:
        return Cell(UNDEFINED, why=sanitize(found.reason or "", 200) if found else "")
    text = as_shown("output_tok_s")(value)
    return Cell(text if unit else f"{text} {rate_unit(level)}", mark=marks(level, found, "mean"))


def marks(level: LevelResult, found: MetricResult, key: str) -> str:
    """`*` for a percentile that too few samples carry, `‡` for a figure that this machine disturbed."""
    named = any(metric.tainted for metric in level.metrics.values())
    is_tainted = key in found.tainted or bool(level.tainted and not named)
    return (WEAK if key in found.unsupported else "") + (TAINTED if is_tainted else "")


def load_cell(level: LevelResult) -> Cell:
    """`4`, `2 req/s`; an open loop that its server could not keep up with says so."""
    is_overloaded = level.open_loop is not None and level.open_loop.overloaded
    return Cell(level.load_point.cell, tone="bad" if is_overloaded else "", under="overloaded" if is_overloaded else "")


def ok_failed(level: LevelResult) -> Cell:
    """`20 / 0`."""
    failed = level.requests.failed
    return Cell(f"{count(level.requests.ok)} / {count(failed)}", tone="bad" if failed else "")


def footnotes(levels: Sequence[LevelResult]) -> list[str]:
    """What the marks in a table of these levels mean."""
    used = {
        mark
        for level in levels
        for _, metrics in classes_of(level)
        for one in STATISTICS
        for mark in figure(level, metrics, one, "").mark
    } | {mark for level in levels for mark in system_figure(level, "").mark}
    scheduled = [FROM_SCHEDULED] if any(level.load_point.IS_OPEN for level in levels) else []
    return [words for mark, words in NOTES.items() if mark in used] + scheduled
