import io
import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from rich.console import Console

from lmx_loadgen.analysis.run_view import RunView
from lmx_loadgen.profile.load_point import ALONE, Closed
from lmx_loadgen.report.progress import ProgressView
from lmx_loadgen.report.terminal import print_summary, summary_json
from lmx_loadgen.store.result import RunResult
from tests.helpers.snapshots import check_snapshot, numbers_in

Loader = Callable[..., RunView]

STYLING = re.compile(r"\x1b\[[0-9;]*m")


def printed(result: RunResult, *, terminal: bool = False, width: int = 80) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system="standard" if terminal else None
    )
    print_summary(result, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_a_row_a_level(load_run: Loader) -> None:
    rows = [line.split() for line in printed(load_run("head-to-head").result).splitlines()]

    assert ["lmx", "1", "182", "80.4", "chunks/s", "47.4", "chunks/s", "20", "/", "0"] in rows
    assert ["16", "1,183", "14.7", "tok/s", "121.8", "tok/s", "100", "/", "28"] in rows


@pytest.mark.parametrize("name", ["head-to-head", "interrupted", "failed"])
def test_snapshot_of_the_terminal(load_run: Loader, name: str) -> None:
    check_snapshot(f"terminal-{name}.txt", printed(load_run(name).result))


def test_the_table_fits_80_columns_with_large_figures_and_long_names(load_run: Loader) -> None:
    result = load_run("hostile").result
    for target in result.targets:
        target.name = "a-very-long-target-name-" * 4
        for level in target.levels:
            level.load_point = Closed(concurrency=256)
            level.requests.ok, level.requests.failed = 123_456, 12_345
            level.metrics["output_tok_s"].mean = 123_456.7
            for found in level.by_prompt_class.values():
                found.metrics["ttft"].p50 = 123.456
                found.metrics["decode_tok_s"].p50 = 12_345.6

    text = printed(result)

    assert max(map(len, text.splitlines())) <= 80
    for figure in ("123,456 ", "12,345.6", "123,456.7", "123,456 / 12,345"):
        assert figure in text


def test_undefined_figures_are_dashes_and_failures_have_their_words(load_run: Loader) -> None:
    text = printed(load_run("failed").result)

    assert ["ollama", "1", "—", "—", "—", "—", "0", "/", "4"] in [line.split() for line in text.splitlines()]
    assert "503: server busy, please try again" in text
    assert "10 requests" in text


def test_notes_stand_under_the_table(load_run: Loader) -> None:
    text = printed(load_run("interrupted").result)
    assert text.index("interrupted") > text.index("TTFT")
    assert "C=4: " in text


@pytest.mark.parametrize("terminal", [False, True])
def test_neither_escapes_nor_markup_of_a_server_reach_the_terminal(load_run: Loader, terminal: bool) -> None:
    text = printed(load_run("hostile").result, terminal=terminal, width=200)

    assert "[bold red]model[/]" in text
    assert "[red]no[/red]" in text
    assert not set(STYLING.sub("", text)) & set("\x1b\x07\u202e")


def test_no_colour_codes_where_there_is_no_terminal(load_run: Loader) -> None:
    assert "\x1b" not in printed(load_run("failed").result)
    assert "\x1b[" in printed(load_run("failed").result, terminal=True)


def test_the_json_summary_has_the_tables_figures_in_base_units(load_run: Loader) -> None:
    result = load_run("head-to-head").result

    summary = json.loads(json.dumps(summary_json(result), allow_nan=False))

    level = summary["targets"][1]["levels"][2]
    assert level["ttft_p50_s"] == result.targets[1].levels[2].metrics["ttft"].p50
    assert (level["ok"], level["failed"], level["concurrency"]) == (100, 28, 16)
    (comparison,) = summary["comparisons"]
    assert comparison["sentences"][0].startswith("lmx ")
    assert numbers_in(comparison["sentences"][0])[:2] == [1, 31]
    assert comparison["verdicts"]["1"]["ttft_p50"] == "worse"
    assert summary["complete"] is True


def test_the_json_summary_of_failures_has_nulls_and_no_zeros(load_run: Loader) -> None:
    level = summary_json(load_run("failed").result)["targets"][0]["levels"][0]

    assert [level[name] for name in ("ttft_p50_s", "ttft_p95_s", "decode_tok_s_p50", "output_tok_s")] == [None] * 4


def test_the_terminal_needs_neither_plotly_nor_numpy() -> None:
    code = (
        "import sys, lmx_loadgen.report.terminal, lmx_loadgen.report.progress;"
        "print(*{'plotly', 'numpy', 'scipy'} & set(sys.modules))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == ""


# ---- progress ---------------------------------------------------------------------------------------


def progress_of(*, terminal: bool, quiet: bool = False) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal)
    with ProgressView(console, quiet=quiet) as view:
        view.start_segment("lmx\x1b[31m[red]", Closed(concurrency=4), 4, None)
        view.finished(True, 0.1, 40.0)
        view.finished(True, 0.3, 60.0)
        view.finished(True, 0.2, None)
        view.finished(False, None, None)
        view.end_segment()
        view.start_segment("ollama", Closed(concurrency=8), None, 30.0)
        view.finished(True, None, None)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_terminal_each_level_is_one_plain_line() -> None:
    lines = progress_of(terminal=False).splitlines()

    assert len(lines) == 2
    assert lines[0].startswith("lmx�[31m[red] ")
    assert numbers_in(lines[0].removeprefix("lmx�[31m"))[:5] == [
        4,
        4,
        200,
        50,
        1,
    ]  # slots, requests, TTFT, rate, errors
    assert lines[1].startswith("ollama ")
    assert numbers_in(lines[1])[:3] == [8, 1, 0]
    assert lines[1].count("—") == 2  # neither figure is known
    assert not set("".join(lines)) & set("\x1b\r")


def test_on_a_terminal_each_level_leaves_its_line_too() -> None:
    text = progress_of(terminal=True)

    assert "concurrency 4: 4 requests, TTFT 200 ms, 50.0 tok/s, 1 error" in text
    assert "\x1b[31m" not in text.replace("\x1b[31m1 error", "")


def test_quiet_prints_nothing() -> None:
    assert progress_of(terminal=False, quiet=True) == ""
    assert progress_of(terminal=True, quiet=True) == ""


def test_a_level_cut_short_says_how_far_it_came() -> None:
    console = Console(file=io.StringIO(), width=100)
    with ProgressView(console) as view:
        view.start_segment("sim", ALONE, 20, None)
        view.finished(True, 0.2, 50.0)

    assert isinstance(console.file, io.StringIO)
    assert "1 of 20 requests" in console.file.getvalue()
