"""Levels of a shape, in the form of llama-bench: how fast prompts were read and answers written, by length."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lmx_loadgen.analysis.formats import UNDEFINED, count, rate
from lmx_loadgen.analysis.run_view import in_order, stat
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.report.level_table import rate_unit, with_unit
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.table import Cell, Column, Table
from lmx_loadgen.store.result import LevelResult, ShapeResult

_CUT, _INEXACT = "†", "≈"
_NOTES = {
    _CUT: f"{_CUT} the server cut the prompt: it read fewer tokens than it was sent",
    _INEXACT: f"{_INEXACT} prompts are not exactly of this length by the server's count, or it gives none",
}
_COLUMNS = (
    Column("target", grouped=True, max_width=14),
    Column("test", grouped=False),
    Column("C", number=True),
    Column("rate", unit="tok/s", number=True),
    Column("prompt", unit="tokens", number=True),
    Column("answer", unit="tokens", number=True),
    Column("requests", number=True, from_width=90),
)


@dataclass(frozen=True, slots=True)
class ShapeLevel:
    """One level of a shape, of a target by its name, with as many answers; `ttft_s` is the median, `unit` what its
    decode rate counts."""

    target: str
    load_point: LoadPoint
    shape: ShapeResult
    answers: int
    ttft_s: float | None
    unit: str


def shape_levels(name: str, levels: Iterable[LevelResult]) -> list[ShapeLevel]:
    """Those of a target's levels that have a shape, the shortest prompts first."""
    return [
        ShapeLevel(name, level.load_point, level.shape, level.requests.ok, stat(level, "ttft", "p50"), rate_unit(level))
        for level in in_order(list(levels))
        if level.shape is not None
    ]


def shape_table(levels: Sequence[ShapeLevel]) -> Table | None:
    """A row for the prompts and one for the answers of each level; None where no level has a shape."""
    if not levels:
        return None
    marks = [mark for mark in _NOTES if any(_mark(one.shape) == mark for one in levels)]
    return Table(
        _COLUMNS,
        [_rows(one) for one in levels],
        "Medians. pp: prompt tokens that came from no cache ÷ TTFT. tg: decode tok/s behind a prompt of d tokens.",
        [_NOTES[mark] for mark in marks],
    )


def _rows(one: ShapeLevel) -> list[list[str | Cell]]:
    shape = one.shape
    beside = [_span(shape.prompt_tokens), _span(shape.output_tokens), count(one.answers)]
    at_once = str(one.load_point.slots)
    name = Cell(sanitize(one.target, 40))
    return [
        [name, Cell(f"pp{shape.prompt}", mark=_mark(shape)), at_once, rate(shape.prompt_tok_s), *beside],
        [name, f"tg{shape.answer} @ d{shape.prompt}", at_once, with_unit(shape.decode_tok_s, one.unit), *beside],
    ]


def _mark(shape: ShapeResult) -> str:
    if shape.status == "failed":
        return _CUT
    return "" if shape.exact else _INEXACT


def _span(tokens: tuple[int, int] | None) -> str:
    if tokens is None:
        return UNDEFINED
    fewest, most = tokens
    return count(fewest) if fewest == most else f"{count(fewest)}–{count(most)}"
