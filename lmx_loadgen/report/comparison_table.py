"""The tables of a comparison, declared once for page, Markdown and terminal: every figure, the audit, the ranking.

A change is always B against A, in per cent of A.
"""

from collections.abc import Iterator, Sequence

from lmx_loadgen.analysis.comparison.sentences import unit_of_change
from lmx_loadgen.analysis.formats import UNDEFINED, change_interval, milliseconds, percent, rate
from lmx_loadgen.profile.load_point import LoadPoint, short_labels
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.table import Cell, Column, Row, Table, Tone, one_group
from lmx_loadgen.store.comparison import AuditLine, Comparison, LevelComparison, MetricComparison, Ranking

_NAME_WIDTH = 12
# How a verdict is shown where it is not by its own name.
_SHOWN = {"undecided": "inconclusive"}
VERDICT_TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "undecided": "warn", "refused": "warn"}
STATUS: dict[str, tuple[str, Tone]] = {
    "passed": ("passed", ""),
    "failed": ("failed", "bad"),
    "unknown": ("not known", "warn"),
}
LETTERS = "Targets with a letter in common: chance may explain their difference, over all pairs and figures together."


def comparison_table(one: Comparison) -> Table:
    """Every figure at every level: the verdict on B, both sides, the change from A to B and its interval."""
    a, b = (sanitize(side.label, 40) for side in (one.a, one.b))
    columns = [
        Column("C", number=True, grouped=True),
        Column("figure"),
        Column(f"{b} is", max_width=_NAME_WIDTH + 3),
        Column(a, number=True, max_width=_NAME_WIDTH),
        Column(b, number=True, max_width=_NAME_WIDTH),
        Column("change", number=True),
        Column("95 % interval", number=True, from_width=72),
    ]
    return Table(columns, [list(_figure_rows(level)) for level in one.levels])


def _figure_rows(level: LevelComparison) -> Iterator[Row]:
    """A reason that several figures in a row share is given once."""
    before = None
    for found in tested(level):
        reason = sanitize(found.reason, 400) if found.reason and found.verdict in ("refused", "undecided") else ""
        verdict = Cell(
            shown_verdict(found.verdict),
            tone=VERDICT_TONES.get(found.verdict, ""),
            under="as above" if reason and reason == before else reason,
            chip=True,
        )
        before = reason
        yield [level.load_point.cell, figure_name(found), verdict, *cells_of(found)]


def tested(level: LevelComparison) -> list[MetricComparison]:
    """The figures of a level worth a row: not those with too few requests to say anything of, nor a tail that is
    refused for the same reason as its median."""
    return [
        found
        for name, found in level.metrics.items()
        if not found.is_untested and not (found.verdict == "refused" and found.reason == _median_reason(level, name))
    ]


def _median_reason(level: LevelComparison, name: str) -> str | None:
    """Why the median of a percentile of the tail is refused."""
    metric, _, percentile = name.rpartition("_")
    middle = level.metrics.get(f"{metric}_p50") if percentile in ("p95", "p99") else None
    return middle.reason if middle is not None and middle.verdict == "refused" else None


def untested_words(comparison: Comparison) -> list[str]:
    """What there are too few requests for, a sentence for all percentiles, and one for each other reason."""
    untested = [
        (level.load_point, found)
        for level in comparison.levels
        for found in level.metrics.values()
        if found.is_untested and found.reason is not None
    ]
    few = [(point, found) for point, found in untested if " takes " in (found.reason or "")]
    words = []
    if few:
        needed = dict.fromkeys((found.reason or "").partition(" requests")[0] for _, found in few)
        words.append(f"{_titles(few)}: too few requests ({', '.join(needed)} of each)")
    for reason in dict.fromkeys(found.reason for _, found in untested if " takes " not in (found.reason or "")):
        words.append(f"{_titles([one for one in untested if one[1].reason == reason])}: {reason}")
    return words


def _titles(of: Sequence[tuple[LoadPoint, MetricComparison]]) -> str:
    titles = ", ".join(dict.fromkeys(found.title for _, found in of))
    return f"{titles} not compared at {short_labels(dict.fromkeys(point for point, _ in of))}"


def shown_verdict(verdict: str) -> str:
    """A verdict as people read it: `undecided` is `inconclusive`."""
    return _SHOWN.get(verdict, verdict)


def figure_name(found: MetricComparison) -> str:
    """`TTFT ms`; a rate's own name has its unit, which is not tokens where characters were counted."""
    if found.unit == "characters/s":
        return found.title.replace("tok/s", "char/s")
    if found.unit == "req/s":
        return f"{found.title} {found.unit}"
    return f"{found.title} ms" if found.unit == "s" else found.title


def cells_of(found: MetricComparison) -> list[str]:
    """A's value, B's value, the change from A to B and its interval."""
    if found.change is None:
        return [UNDEFINED] * 4
    in_unit = unit_of_change(found)
    edges = UNDEFINED if found.change95 is None else change_interval(*found.change95, in_unit)
    changed = [cell.replace(" points", " pts") for cell in (in_unit(found.change, signed=True), edges)]
    return [value_of(found, found.a), value_of(found, found.b), *changed]


def value_of(found: MetricComparison, value: float | None) -> str:
    """One side's value: a time in ms, a share in percent, or a rate."""
    if found.scale == "points":
        return UNDEFINED if value is None else percent(value)
    return milliseconds(value) if found.unit == "s" else rate(value)


# ---- same work? -------------------------------------------------------------------------------------


def audit_table(one: Comparison) -> Table:
    """Whether both did the same work, check by check."""
    a, b = (sanitize(side.label, 40) for side in (one.a, one.b))
    columns = [Column("same work?"), Column("status"), Column(a), Column(b), Column("what was found", optional=True)]
    return one_group(columns, map(_audit_row, one.audit))


def _audit_row(line: AuditLine) -> Row:
    where = f" ({short_labels(line.load_points)})" if line.load_points else ""
    words, tone = STATUS[line.status]
    status = Cell(f"{words}, accepted" if line.accepted else words, tone=tone, chip=True)
    return [f"{line.title}{where}", status, sanitize(line.a, 200), sanitize(line.b, 200), sanitize(line.sentence, 400)]


def audit_counts(lines: Sequence[AuditLine]) -> str:
    """`audit 18 passed, 1 not known`."""
    numbers = {words: sum(line.status == status for line in lines) for status, (words, _) in STATUS.items()}
    return f"audit {', '.join(f'{number} {words}' for words, number in numbers.items() if number) or 'not made'}"


# ---- more than two targets --------------------------------------------------------------------------


def ranking_table(rankings: Sequence[Ranking]) -> Table:
    """How a run's targets rank in each figure, the best first."""
    columns = [Column("C", number=True, grouped=True), Column("figure"), Column("best first")]
    points = list(dict.fromkeys(one.load_point for one in rankings))
    groups = [
        [[point.cell, ranked_name(one), ranked_words(one)] for one in rankings if one.load_point == point]
        for point in points
    ]
    return Table(columns, groups, footnotes=[LETTERS] if rankings else [])


def ranked_name(one: Ranking) -> str:
    """The figure's name; characters where those were counted."""
    return one.title.replace("tok/s", "char/s") if one.unit == "characters/s" else one.title


def ranked_words(one: Ranking) -> str:
    """`lmx 180 ms a, vllm 185 ms a, ollama 240 ms b`."""
    return ", ".join(
        f"{sanitize(target.target, 40)} {_ranked(target.value, one)} {target.letters}" for target in one.targets
    )


def _ranked(value: float, one: Ranking) -> str:
    if one.unit == "s":
        return f"{milliseconds(value)} ms"
    return percent(value) if one.unit == "1" else f"{rate(value)} {one.unit.replace('characters', 'char')}"
