"""A comparison in the terminal and as Markdown: a sentence first, then the figures, then what to know about them."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmx_loadgen.analysis.comparison.sentences import unit_of_change
from lmx_loadgen.analysis.formats import UNDEFINED, change_interval, milliseconds, percent, rate
from lmx_loadgen.profile.load_point import LoadPoint, short_labels
from lmx_loadgen.report import ranking
from lmx_loadgen.report.sanitize import markdown_text as _cell
from lmx_loadgen.report.sanitize import sanitize, unbroken
from lmx_loadgen.store.comparison import AuditLine, Comparison, LevelComparison, MetricComparison, Ranking

_NAME_WIDTH = 12
# How a verdict is shown where it is not by its own name.
_SHOWN = {"undecided": "inconclusive"}
_STYLES = {"better": "green", "worse": "red", "undecided": "yellow", "refused": "yellow", "equivalent": ""}
STATUS = {"passed": "passed", "failed": "failed", "unknown": "not known"}


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print it within 80 columns."""
    for place, sentence in enumerate(comparison.sentences):
        console.print(Text(unbroken(sanitize(sentence, 600)), style="bold" if place == 0 else ""), highlight=False)
    console.print(_table(comparison))
    for line, style in _below(comparison):
        console.print(Text(line, style=style), highlight=False)


def print_comparisons(comparisons: Sequence[Comparison], ranked: Sequence[Ranking], console: Console) -> None:
    """One comparison; of several how their targets rank, and then each under its title."""
    for line in ranking.lines(ranked):
        console.print(Text(unbroken(line)), highlight=False)
    if ranked:
        console.print(Text(ranking.LEGEND, style="dim"), highlight=False)
    for one in comparisons:
        if len(comparisons) > 1:
            title = f"{sanitize(one.b.label, 60)} against {sanitize(one.a.label, 60)}"
            console.print(Text(f"\n{title}", style="bold"), highlight=False)
        print_comparison(one, console)


def _table(comparison: Comparison) -> Table:
    a, b = (sanitize(side.label, _NAME_WIDTH) for side in (comparison.a, comparison.b))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="")
    table.add_column("C", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for heading in (a, b, "change", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column(f"{b} is", max_width=_NAME_WIDTH + 3, no_wrap=True)
    for level in comparison.levels:
        rows = tested(level)
        for place, found in enumerate(rows):
            where = Text(level.load_point.cell if place == 0 else "")
            cells = [Text(cell) for cell in cells_of(found)]
            verdict = Text(shown_verdict(found.verdict), style=_STYLES[found.verdict])
            table.add_row(where, Text(figure_name(found)), *cells, verdict, end_section=place == len(rows) - 1)
    return table


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


def _below(comparison: Comparison) -> Iterator[tuple[str, str]]:
    if comparison.mode == "sequential":
        yield "sequential: the two were measured in separate runs", "yellow"
    if comparison.until_conclusive:
        yield "measured until conclusive: the intervals allow for the looks at the results meanwhile", "dim"
    yield f"practical margin ±{percent(comparison.margin)}; intervals and verdicts hold for all figures together", "dim"
    yield from ((words, "dim") for words in untested_words(comparison))
    if comparison.accepted is not None:
        yield f"failed checks accepted: {sanitize(comparison.accepted, 300)}", "yellow"
    yield _audit_summary(comparison.audit), "dim"
    for line in comparison.audit:
        if line.sentence:
            yield f"  {audit_words(line)}", "red" if line.status == "failed" else "dim"
    for note in comparison.notes:
        yield sanitize(note, 400), "yellow"


def audit_words(line: AuditLine) -> str:
    """One check in words: `Output length failed at C=4: …`."""
    where = f" at {short_labels(line.load_points)}" if line.load_points else ""
    accepted = " (accepted)" if line.accepted else ""
    return f"{line.title} {STATUS[line.status]}{where}{accepted}: {sanitize(line.sentence, 400)}"


def _audit_summary(lines: list[AuditLine]) -> str:
    open_ones = {line.key for line in lines if line.status != "passed"}
    passed = [line.title.lower() for line in lines if line.key not in open_ones]
    return f"same work, checked: {', '.join(dict.fromkeys(passed)) or 'nothing passed'}"


def markdown(comparison: Comparison) -> str:
    """The same as Markdown, for a pull request's comment."""
    a, b = (_cell(side.label) for side in (comparison.a, comparison.b))
    head, *others = comparison.sentences or ["Nothing was compared."]
    lines = [f"**{_cell(head)}**", "", *(f"- {_cell(sentence)}" for sentence in others), ""]
    lines += [f"| C | figure | {a} | {b} | change | 95 % interval | {b} is |", "|--:|---|--:|--:|--:|--:|---|"]
    for level in comparison.levels:
        for found in tested(level):
            cells = " | ".join([figure_name(found), *cells_of(found), shown_verdict(found.verdict)])
            lines.append(f"| {level.load_point.cell} | {cells} |")
    lines += ["", f"| same work? | | {a} | {b} | |", "|---|---|---|---|---|"]
    for line in comparison.audit:
        where = f" ({short_labels(line.load_points)})" if line.load_points else ""
        status = STATUS[line.status] + (", accepted" if line.accepted else "")
        lines.append(f"| {line.title}{where} | {status} | {_cell(line.a)} | {_cell(line.b)} | {_cell(line.sentence)} |")
    lines += [
        "",
        *(f"- {_cell(words)}" for words, _ in _below(comparison) if not words.startswith(("  ", "same work"))),
    ]
    return "\n".join(lines).rstrip() + "\n"
