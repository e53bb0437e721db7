"""Stored results in the terminal: the list of them, and one in full. Both fit 80 columns."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lmx_loadgen.analysis.formats import UNDEFINED, count, duration, milliseconds, plural, rate
from lmx_loadgen.analysis.stored_results import StoredResult
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.store.imported import origin_note
from lmx_loadgen.store.result import (
    NOT_SUPPORTED,
    BenchmarkResult,
    BenchmarkRunStats,
    SkillsBenchmark,
    ToolCallBenchmark,
)

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
    about = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    about.add_column(no_wrap=True, style="dim")
    about.add_column(overflow="fold")
    for name, words in _about(found):
        about.add_row(name, Text(words))
    console.print(about)
    if result.stats is None:
        return
    console.print(_figures(result.stats))
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
    yield "tool call", UNDEFINED if stats.tool_call is None else _tool_words(stats.tool_call)
    skills = "; ".join(_skill_words(skill) for skill in stats.skills[:_SHOWN_SKILLS])
    more = f"; {len(stats.skills) - _SHOWN_SKILLS} more" if len(stats.skills) > _SHOWN_SKILLS else ""
    yield "skills", skills + more if stats.skills else UNDEFINED


def _tool_words(call: ToolCallBenchmark) -> str:
    name = sanitize(call.expected_tool_name, 60)
    verdict = "pass" if call.passed else f"fail, {_why_failed(call)}"
    return f"{name}: {verdict} ({duration(call.latency_sec)})"


def _why_failed(call: ToolCallBenchmark) -> str:
    if call.error:
        return sanitize(call.error, 200)
    if not call.call_produced:
        return "no call was made"
    if not call.tool_name_correct:
        return "another tool was called"
    return "its arguments are no JSON" if not call.params_valid_json else "its arguments do not fit the tool"


def _skill_words(skill: SkillsBenchmark) -> str:
    if skill.error == NOT_SUPPORTED:
        return f"{sanitize(skill.skill_name, 60)}: {NOT_SUPPORTED}"
    outcome = "ok" if skill.skill_invoked_successfully else f"failed, {sanitize(skill.error or 'no reason given', 200)}"
    return f"{sanitize(skill.skill_name, 60)}: {outcome} ({duration(skill.skill_latency_sec)})"


def _figures(stats: BenchmarkRunStats) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="")
    table.add_column("", no_wrap=True)
    for heading in ("p50", "p95", "mean"):
        table.add_column(heading, justify="right", no_wrap=True)
    ttft = (stats.ttft_p50_sec, stats.ttft_p95_sec, stats.ttft_mean_sec)
    rates = (stats.toks_per_sec_p50, stats.toks_per_sec_p95, stats.toks_per_sec_mean)
    table.add_row("TTFT ms", *(milliseconds(value) for value in ttft))
    table.add_row("tok/s", *(rate(value) for value in rates))
    return table
