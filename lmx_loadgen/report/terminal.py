"""The summary in the terminal, and the same as JSON.

Everything is printed as `rich.text.Text`, never as markup, and every word that came from a server is sanitised
first: neither `[red]` nor an ANSI escape in a model's name does anything.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lmx_loadgen.analysis.formats import count, plural, rate
from lmx_loadgen.analysis.metrics import METRICS, headline
from lmx_loadgen.analysis.stats import known
from lmx_loadgen.profile.load_point import short_labels
from lmx_loadgen.report import ranking
from lmx_loadgen.report.findings import findings
from lmx_loadgen.report.sanitize import sanitize, unbroken
from lmx_loadgen.report.slo import slo_words
from lmx_loadgen.report.table import rich_table
from lmx_loadgen.report.view import (
    Level,
    as_shown,
    failures_of,
    in_order,
    is_weak,
    level_notes,
    point_of,
    stat,
    system_rate,
    target_notes,
)
from lmx_loadgen.report.workloads import workload_tables
from lmx_loadgen.store.calibration import Calibration
from lmx_loadgen.store.comparison import Ranking

NAME_WIDTH = 14
MARK = "*"
_PERCENTILES = (("ttft", "p50"), ("ttft", "p95"), ("decode_tok_s", "p50"))


def print_summary(result: dict[str, Any], console: Console) -> None:
    """Print the table of all targets and levels, which fits 80 columns, and below it what to know about it."""
    console.print(_table(result["targets"]))
    for _, title, table in workload_tables([(one["name"], one["levels"]) for one in result["targets"]]):
        console.print(Text(title, style="bold"), rich_table(table, console.width))
        for words in (table.caption, *table.footnotes):
            console.print(Text(words, style="dim"), highlight=False)
    for place, sentence in enumerate(_verdicts(result)):
        words = unbroken(sanitize(sentence, 600))
        console.print(Text(words, style="bold" if place == 0 else ""), highlight=False)
    if result.get("comparisons"):
        console.print(Text("All figures: lmx-loadgen compare", style="dim"), highlight=False)
    for line in _lines_below(result):
        console.print(line, highlight=False)


def _verdicts(result: dict[str, Any]) -> list[str]:
    """The comparison's sentences; of more than two targets their ranking."""
    rankings = [Ranking.model_validate(one) for one in result.get("rankings") or []]
    if rankings:
        return [*ranking.lines(rankings, ranking.FIRST), ranking.LEGEND]
    return [sentence for comparison in result.get("comparisons") or [] for sentence in comparison["sentences"]]


def _table(targets: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="")
    # The only column that may wrap, and so the one that gives way where figures need the room.
    table.add_column("target\n", max_width=NAME_WIDTH, overflow="ellipsis", style="bold")
    for heading in ("C\n", "TTFT p50\nms", "TTFT p95\nms", "decode p50\ntok/s", "system\ntok/s", "ok / failed\n"):
        table.add_column(heading, justify="right", no_wrap=True)
    for target in targets:
        levels = in_order(target["levels"])
        for place, level in enumerate(levels):
            name = sanitize(target["name"], NAME_WIDTH) if place == 0 else ""
            table.add_row(Text(name), *_cells(level), end_section=place == len(levels) - 1)
    return table


def _cells(level: Level) -> list[Text]:
    requests = level["requests"]
    ok_failed = Text(f"{count(requests['ok'])} / ")
    ok_failed.append(count(requests["failed"]), style="red" if requests["failed"] else "")
    return [
        Text(point_of(level).cell),
        *(Text(_marked(level, headline(metric, point_of(level)), key)) for metric, key in _PERCENTILES),
        Text(rate(system_rate(level))),
        ok_failed,
    ]


def _marked(level: Level, metric: str, key: str) -> str:
    """The figure with a place for the mark of a weak percentile, so that digits stay under each other."""
    return as_shown(metric)(stat(level, metric, key)) + (MARK if is_weak(level, metric, key) else " ")


def _lines_below(result: dict[str, Any]) -> Iterable[Text | Padding]:
    if not result.get("complete", False):
        yield Text(f"Incomplete: {sanitize(result.get('reason') or 'no reason was stored', 200)}.", style="yellow")
    for note in result.get("notes") or []:
        yield Text(sanitize(note, 300), style="yellow")
    for target in result["targets"]:
        name = sanitize(target["name"], NAME_WIDTH)
        yield Text(f"{name}: {sanitize(target.get('model') or 'unknown model', 100)}", style="dim")
        if (cache := target.get("cache")) is not None:
            yield _indented(sanitize(cache["sentence"], 200), "dim")
        if (errors := _instrument_errors(target)) is not None:
            yield _indented(errors, "dim")
        if (within := slo_words(target["levels"], result.get("profile") or {})) is not None:
            yield _indented(within, "")
        for words, is_good in findings(target):
            yield _indented(words, "dim" if is_good else "yellow")
        for note in target_notes(target, short_labels):
            yield _indented(note, "yellow")
        for failures in failures_of(target):
            words = f": {sanitize(failures.reason, 200)}" if failures.reason else ""
            yield _indented(f"{plural(failures.number, 'request')} failed, {failures.name}{words}", "red")
    levels = [level for target in result["targets"] for level in target["levels"]]
    if any(point_of(level).IS_OPEN for level in levels):
        yield Text("TTFT of an open loop counts from when a request was due.", style="dim")
    if any(is_weak(level, headline(metric, point_of(level)), key) for level in levels for metric, key in _PERCENTILES):
        yield Text(f"{MARK} fewer than five samples lie beyond this percentile", style="dim")


def _instrument_errors(target: dict[str, Any]) -> str | None:
    """By how much the instrument itself may be wrong, at the worst of the target's levels."""
    shown = (("ttft", _fine_ms, "ms"), ("decode_tok_s", _fine, "tok/s"), ("output_tok_s", _fine, "tok/s"))
    parts = []
    for metric, formatted, unit in shown:
        errors = [stat(level, metric, "instrument_error") for level in target["levels"]]
        if defined := known(errors):
            parts.append(f"{METRICS[metric].title} ±{formatted(max(defined))} {unit}")
    return f"instrument's error, 99th percentile over requests: {', '.join(parts)}" if parts else None


def _fine_ms(seconds: float) -> str:
    return _fine(seconds * 1e3)


def _fine(value: float) -> str:
    return f"{value:.2g}"


def _indented(words: str, style: str) -> Padding:
    return Padding(Text(words, style=style), (0, 0, 0, 2), expand=False)


def print_calibration(calibration: Calibration, console: Console) -> None:
    """Print the table of errors, which fits 80 columns, and what it was made with."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="")
    headings = ("C\n", "TTFT\np50", "TTFT\np99", "TTFT\nmax", "send\np99", "rcv\np99", "chunk\np99", "TPOT\np99")
    for heading in (*headings, "CPU ms per\n1000 chunks", "peak\nMB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for level in calibration.levels:
        errors = (level.ttft.p50, level.ttft.p99, level.ttft.max, level.send.p99, level.receive.p99)
        cells = [f"{error * 1e3:.2f}" for error in (*errors, level.chunk.p99)]
        cells += [f"{level.tpot.p99 * 1e3:.3f}", f"{level.cpu_s_per_1000_chunks * 1e3:.1f}", f"{level.peak_rss_mb:.0f}"]
        table.add_row(str(level.concurrency), *cells)
    console.print(table)
    failed = sum(level.failed for level in calibration.levels)
    how = [f"made with {calibration.loop}", f"{calibration.stamps} stamps"]
    how += [plural(calibration.workers, "process", "processes")] + (["quick"] if calibration.quick else [])
    lines = [
        "Errors in ms: what was seen minus what truly was (TTFT = send + receive).",
        ", ".join(how),
        f"as fast as a server can send: {calibration.burst_chunks_per_s:,.0f} chunks/s taken in, none lost",
    ]
    if calibration.sustained_chunks_per_s is not None:
        lines.append(f"paced, with chunk errors within 5 ms: {calibration.sustained_chunks_per_s:,.0f} chunks/s")
    if (sends := calibration.sends) is not None:
        late = f"{_fine_ms(sends.late.p50)} ms at the median, {_fine_ms(sends.late.p99)} ms at p99"
        lines.append(f"open loop at {sends.rate:g} requests/s, sent later than due: {late}")
    if failed:
        lines.append(f"{plural(failed, 'request')} failed")
    if calibration.busy:
        lines += [f"This machine was busy ({calibration.busy_reason}): the errors may be overstated."]
        lines += ["Runs use a calibration of the quiet machine where there is one, or make it."]
    for line in lines:
        console.print(Text(line), highlight=False)


def summary_json(result: dict[str, Any]) -> dict[str, Any]:
    """The figures of the table as plain data: times in seconds, rates in tok/s, `None` where undefined.

    Words from servers are kept as they are; JSON escapes them.
    """
    return {
        "run_id": result["run_id"],
        "complete": result["complete"],
        "reason": result["reason"],
        "targets": [
            {
                "name": target["name"],
                "model": target["model"],
                "levels": [_level_json(level) for level in target["levels"]],
                "tool_calls": target.get("tool_calls") or [],
                "skills": target.get("skills") or [],
                "hypothesis": target.get("hypothesis"),
            }
            for target in result["targets"]
        ],
        "comparisons": [_comparison_json(comparison) for comparison in result.get("comparisons") or []],
        "rankings": result.get("rankings") or [],
    }


def _comparison_json(comparison: dict[str, Any]) -> dict[str, Any]:
    """Sentences, and each figure's verdict on B, by the concurrency of a closed loop or the label of another load."""
    return {
        "a": comparison["a"]["label"],
        "b": comparison["b"]["label"],
        "sentences": comparison["sentences"],
        "verdicts": {
            str(level["concurrency"] or point_of(level).label): {
                name: found["verdict"] for name, found in level["metrics"].items()
            }
            for level in comparison["levels"]
        },
    }


def _level_json(level: Level) -> dict[str, Any]:
    return {
        "load_point": level["load_point"],
        "concurrency": level["concurrency"],
        "ok": level["requests"]["ok"],
        "failed": level["requests"]["failed"],
        "open_loop": level.get("open_loop"),
        "ttft_response_p50_s": stat(level, "ttft_response", "p50"),
        "ttft_response_p95_s": stat(level, "ttft_response", "p95"),
        "ttft_p50_s": stat(level, "ttft", "p50"),
        "ttft_p95_s": stat(level, "ttft", "p95"),
        "ttft_instrument_error_s": stat(level, "ttft", "instrument_error"),
        "decode_tok_s_p50": stat(level, "decode_tok_s", "p50"),
        "decode_tok_s_instrument_error": stat(level, "decode_tok_s", "instrument_error"),
        "output_tok_s": system_rate(level),
        "output_tok_s_instrument_error": stat(level, "output_tok_s", "instrument_error"),
        "slo_share": stat(level, "slo_share", "mean"),
        "slo_share_ci95": (level["metrics"].get("slo_share") or {}).get("ci95"),
        "goodput_req_s": stat(level, "goodput", "mean"),
        "token_basis": level["token_basis"],
        "token_basis_exact": level["token_basis_exact"],
        "complete": level["complete"],
        "tainted": level.get("tainted") or [],
        "notes": level_notes(level),
        "errors": level["errors"],
        "quality": level.get("quality"),
        "server_word": level.get("server_word"),
        "observed": level.get("observed"),
    }
