"""A calibration in the terminal, and a run's figures as JSON.

Everything is printed as `rich.text.Text`, never as markup, and every word that came from a server is sanitised
first: neither `[red]` nor an ANSI escape in a model's name does anything.
"""

from typing import Any

from rich.console import Console
from rich.text import Text

from lmx_loadgen.analysis.formats import plural
from lmx_loadgen.analysis.run_view import mean_interval, stat, system_rate
from lmx_loadgen.report.table import Column, one_group, rich_table
from lmx_loadgen.report.view import level_notes
from lmx_loadgen.store.calibration import Calibration
from lmx_loadgen.store.comparison import Comparison
from lmx_loadgen.store.result import LevelResult, RunResult


def print_calibration(calibration: Calibration, console: Console) -> None:
    """Print the table of errors, which fits 80 columns, and what it was made with."""
    titles = ("C", "TTFT p50", "TTFT p99", "TTFT max", "send p99", "rcv p99", "chunk p99", "TPOT p99", "peak MB")
    columns = [Column(*title.partition(" ")[::2], number=True) for title in titles]
    columns.insert(-1, Column("CPU ms per", "1000 chunks", number=True))
    rows = []
    for level in calibration.levels:
        errors = (level.ttft.p50, level.ttft.p99, level.ttft.max, level.send.p99, level.receive.p99)
        cells = [f"{error * 1e3:.2f}" for error in (*errors, level.chunk.p99)]
        cells += [f"{level.tpot.p99 * 1e3:.3f}", f"{level.cpu_s_per_1000_chunks * 1e3:.1f}", f"{level.peak_rss_mb:.0f}"]
        rows.append([str(level.concurrency), *cells])
    console.print(rich_table(one_group(columns, rows), console.width))
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
        late = f"{sends.late.p50 * 1e3:.2g} ms at the median, {sends.late.p99 * 1e3:.2g} ms at p99"
        lines.append(f"open loop at {sends.rate:g} requests/s, send − due: {late}")
    if failed:
        lines.append(f"{plural(failed, 'request')} failed")
    if calibration.busy:
        lines += [f"This machine was busy ({calibration.busy_reason}): the errors may be overstated."]
        lines += ["Runs use a calibration of the quiet machine where there is one, or make it."]
    for line in lines:
        console.print(Text(line), highlight=False)


def summary_json(result: RunResult) -> dict[str, Any]:
    """The figures of the table as plain data: times in seconds, rates in tok/s, `None` where undefined.

    Words from servers are kept as they are; JSON escapes them.
    """
    return {
        "run_id": result.run_id,
        "complete": result.complete,
        "reason": result.reason,
        "targets": [
            {
                "name": target.name,
                "model": target.model,
                "levels": [_level_json(level) for level in target.levels],
                **target.model_dump(mode="json", include={"tool_calls", "skills", "hypothesis"}),
            }
            for target in result.targets
        ],
        "comparisons": [_comparison_json(comparison) for comparison in result.comparisons],
        "rankings": [one.model_dump(mode="json") for one in result.rankings],
    }


def _comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Sentences, and each figure's verdict on B, by the concurrency of a closed loop or the label of another load."""
    return {
        "a": comparison.a.label,
        "b": comparison.b.label,
        "sentences": comparison.sentences,
        "verdicts": {
            str(level.concurrency or level.load_point.label): {
                name: found.verdict for name, found in level.metrics.items()
            }
            for level in comparison.levels
        },
    }


_AS_STORED = (
    "load_point", "concurrency", "token_basis", "token_basis_exact", "complete", "tainted", "errors", "quality",
    "server_word", "observed", "by_prompt_class", "open_loop", "steadiness",
)  # fmt: skip


def _level_json(level: LevelResult) -> dict[str, Any]:
    return {
        **level.model_dump(mode="json", include=set(_AS_STORED)),
        "ok": level.requests.ok,
        "failed": level.requests.failed,
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
        "slo_share_ci95": mean_interval(level, "slo_share"),
        "goodput_req_s": stat(level, "goodput", "mean"),
        "notes": level_notes(level),
    }
