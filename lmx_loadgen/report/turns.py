"""Chats by turn: what the tenth turn costs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lmx_loadgen.analysis.formats import UNDEFINED, count, milliseconds, percent
from lmx_loadgen.analysis.run_view import in_order
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.report.level_table import rate_unit, with_unit
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.table import Cell, Column, Table
from lmx_loadgen.store.result import LevelResult, TurnResult

_COLUMNS = (
    Column("target", grouped=True, max_width=14),
    Column("load", grouped=True),
    Column("turn", number=True),
    Column("context", unit="tokens", number=True),
    Column("cached", number=True),
    Column("TTFT", statistic="p50", unit="ms", number=True),
    Column("decode", statistic="p50", unit="tok/s", number=True),
    Column("answers", number=True, from_width=80),
)


@dataclass(frozen=True, slots=True)
class ChatLevel:
    """One level of chats, of a target by its name; `unit` is what its decode rates count."""

    target: str
    load_point: LoadPoint
    turns: Sequence[TurnResult]
    unit: str


def chat_levels(name: str, levels: Iterable[LevelResult]) -> list[ChatLevel]:
    """Those of a target's levels that are of chats, the fewest users first."""
    found = [level for level in in_order(list(levels)) if level.turns]
    return [ChatLevel(name, level.load_point, level.turns, rate_unit(level)) for level in found]


def turn_table(levels: Sequence[ChatLevel]) -> Table | None:
    """A row for each turn of each level; None where no level is of chats."""
    if not levels:
        return None
    return Table(
        _COLUMNS,
        [[_row(level, turn) for turn in level.turns] for level in levels],
        "Medians over all chats. Context: tokens that the server read; cached: the share of them from its cache.",
    )


def _row(level: ChatLevel, turn: TurnResult) -> list[str | Cell]:
    return [
        Cell(sanitize(level.target, 40)),
        level.load_point.cell,
        str(turn.turn),
        UNDEFINED if turn.context_tokens is None else count(round(turn.context_tokens)),
        UNDEFINED if turn.cached_share is None else percent(turn.cached_share),
        milliseconds(turn.ttft_sec),
        with_unit(turn.decode_tok_s, level.unit),
        f"{turn.answers}" + (f" ({turn.failed} failed)" if turn.failed else ""),
    ]
