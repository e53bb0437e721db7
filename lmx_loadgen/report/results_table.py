"""Stored results in the terminal: the list of them, and one in full. Both fit 80 columns."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from lmx_loadgen.analysis.formats import UNDEFINED, count, milliseconds, plural, rate
from lmx_loadgen.analysis.stored_results import StoredResult
from lmx_loadgen.report.findings import skill_finding, tool_call_finding
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.report.table import Column, Table, one_group, rich_table
from lmx_loadgen.store.imported import origin_note
from lmx_loadgen.store.result import BenchmarkResult, BenchmarkRunStats

_WIDTH = 80
_INDENT = 5
_SHOWN_TEXT = 2000
_SHOWN_SKILLS = 20
# Heading, width, and whether it stands to the right.
_COLUMNS = (
    ("#", 3, True),
    ("when", 16, False),
    ("backend", 12, False),
    ("tok/s", 7, True),
    ("TTFT ms", 7, True),
    ("quality", 10, False),
    ("tools", 5, False),
)
_TOO_FEW = "few*"


def print_results(found: Sequence[StoredResult], console: Console) -> None:
    """Print the list: figures in columns, and below each row its model and where it is from."""
    console.print(_line([heading for heading, _, _ in _COLUMNS], "status", "dim"), highlight=False)
    for one in found:
        console.print(_line(_cells(one), _status(one.result), ""), highlight=False)
        for line in _names(one):
            console.print(line, highlight=False, no_wrap=True, overflow="ellipsis", crop=True)
    if any(one.result.status != "ok" for one in found):
        console.print(Text("* fewer than two runs were completed: insufficient_data", style="dim"), highlight=False)


def _line(cells: Sequence[str], status: str, style: str) -> Text:
    fitted = []
    for cell, (_, width, is_right) in zip(cells, _COLUMNS, strict=True):
        left = " " * max(0, width - cell_len(cell)) if is_right else ""
        fitted.append(left + cell if is_right else set_cell_size(cell, width))
    return Text("  ".join([*fitted, status]), style=style)


def _cells(one: StoredResult) -> list[str]:
    result, stats = one.result, one.result.stats
    return [
        str(one.number),
        _when(result.timestamp),
        _or_dash(result.backend, 12),
        rate(stats.toks_per_sec_mean if stats else None),
        milliseconds(stats.ttft_mean_sec if stats else None),
        (stats.coherence_flag if stats else None) or UNDEFINED,
        _tools(stats),
    ]


def _status(result: BenchmarkResult) -> str:
    return "ok" if result.status == "ok" else _TOO_FEW


def _tools(stats: BenchmarkRunStats | None) -> str:
    if stats is None or stats.tool_call is None:
        return UNDEFINED
    return "pass" if stats.tool_call.passed else "fail"


def _names(one: StoredResult) -> Iterator[Text]:
    """Model and origin on one line where they fit, else on two."""
    model, place = sanitize(one.result.model_id, _WIDTH - _INDENT), sanitize(one.place, _WIDTH - _INDENT)
    line = Text(" " * _INDENT).append(model, style="bold")
    if _INDENT + cell_len(model) + 2 + cell_len(place) <= _WIDTH:
        yield line.append("  ").append(place, style="dim")
        return
    yield line
    yield Text(" " * _INDENT).append(place, style="dim")


def _when(timestamp: str) -> str:
    """`2026-11-23 09:41` of a time in ISO 8601, and the same part of any other text."""
    return _or_dash(timestamp[:16].replace("T", " "), 16)


def _or_dash(text: str, limit: int) -> str:
    return sanitize(text, limit) if text.strip() else UNDEFINED


def print_result(found: StoredResult, console: Console) -> None:
    """Print a result in full, its answer cut to 2,000 characters."""
    result = found.result
    console.print(Text(sanitize(result.model_id, 300), style="bold"), highlight=False)
    about = RichTable(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    about.add_column(no_wrap=True, style="dim")
    about.add_column(overflow="fold")
    for name, words in _about(found):
        about.add_row(name, Text(words))
    console.print(about)
    if result.stats is None:
        return
    console.print(rich_table(_figures(result.stats), console.width))
    text = result.stats.output_text
    if text:
        console.print(Text("answer", style="dim"), highlight=False)
        shown = Text(sanitize(text, _SHOWN_TEXT, keep_lines=True), overflow="fold")
        console.print(Padding(shown, (0, 0, 0, 2)), highlight=False)
        if len(text) > _SHOWN_TEXT:
            cut = f"cut: the answer has {plural(len(text), 'character')}; --json gives all"
            console.print(Text(cut, style="dim"), highlight=False)


def _about(found: StoredResult) -> Iterator[tuple[str, str]]:
    result, stats = found.result, found.result.stats
    yield "backend", _or_dash(result.backend, 100)
    yield "when", _or_dash(result.timestamp, 60)
    yield "status", result.status
    yield "hardware", _or_dash(result.hardware, 200)
    yield "LMX version", _or_dash(result.lmx_version or "", 60)
    yield "from", sanitize(found.place if found.place != "imported" else found.path, 300)
    yield "prompt", _or_dash(result.prompt_preview, 100)
    if stats is not None:
        yield from _about_runs(stats)
    if (note := origin_note(result)) is not None:
        yield "note", note


def _about_runs(stats: BenchmarkRunStats) -> Iterator[tuple[str, str]]:
    yield (
        "runs",
        f"{count(stats.runs_completed)} completed, warm-ups left out: {count(stats.warmup_runs_discarded)}",
    )
    yield "tokens", f"{count(stats.prompt_tokens)} prompt, {count(stats.output_tokens)} answer (means)"
    ended = {True: "by itself", False: "at the limit", None: UNDEFINED}[stats.completed_naturally]
    yield "first answer", f"{count(stats.output_token_count)} tokens, ended: {ended}"
    repeated = UNDEFINED if stats.repetition_ratio is None else f"{stats.repetition_ratio:.2f}"
    yield "quality", f"{stats.coherence_flag or UNDEFINED}, repetition {repeated}"
    call = stats.tool_call
    yield "tool call", UNDEFINED if call is None else tool_call_finding(call)[0].removeprefix("tool call ")
    skills = "; ".join(skill_finding(skill)[0].removeprefix("skill ") for skill in stats.skills[:_SHOWN_SKILLS])
    more = f"; {len(stats.skills) - _SHOWN_SKILLS} more" if len(stats.skills) > _SHOWN_SKILLS else ""
    yield "skills", skills + more if stats.skills else UNDEFINED


def _figures(stats: BenchmarkRunStats) -> Table:
    columns = [Column(""), *(Column(name, number=True) for name in ("p50", "p95", "mean"))]
    ttft = (stats.ttft_p50_sec, stats.ttft_p95_sec, stats.ttft_mean_sec)
    rates = (stats.toks_per_sec_p50, stats.toks_per_sec_p95, stats.toks_per_sec_mean)
    return one_group(columns, [["TTFT ms", *map(milliseconds, ttft)], ["tok/s", *map(rate, rates)]])
