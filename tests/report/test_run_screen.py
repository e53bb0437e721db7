"""What `run` prints: the answer, one table, a few notes, and the next command."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.profile.load_point import Closed
from lmx_loadgen.report.headline import timing_error
from lmx_loadgen.report.run_notes import MOST_NOTES, run_notes
from lmx_loadgen.report.run_screen import print_run
from lmx_loadgen.store.result import RunResult, read_result
from tests.helpers.levels import a_level
from tests.helpers.made_sessions import Made, session
from tests.helpers.paths import RUNS
from tests.helpers.snapshots import check_snapshot

STYLING = re.compile(r"\x1b\[[0-9;]*m")
FOLDER = Path("reports/20260101T000000Z-lmx-0123abcd")


def made(*targets: str, **times: float) -> RunResult:
    """A run of targets that are ever slower by a tenth."""
    found = {name: Made(ttft=200 * 1.1**place, step=20 * 1.1**place) for place, name in enumerate(targets)}
    return summarize(MeasuredRun(session(found, **times)))  # type: ignore[arg-type]


def sample(name: str) -> RunResult:
    return read_result(RUNS / name)


SCREENS = {
    "one": lambda: made("lmx", blocks=1),
    "clean": lambda: made("lmx", "ollama"),
    "refused": lambda: sample("head-to-head"),
    "three": lambda: made("lmx", "vllm", "ollama"),
    "failed": lambda: sample("failed"),
    "interrupted": lambda: sample("interrupted"),
}


def printed(
    result: RunResult, *, terminal: bool = False, width: int = 80, all_notes: bool = False, folder: Path = FOLDER
) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system="standard" if terminal else None
    )
    print_run(result, folder, console, all_notes=all_notes)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", SCREENS)
def test_snapshot_of_the_screen(name: str, width: int) -> None:
    text = printed(SCREENS[name](), width=width)
    lines = text.splitlines()

    assert max(len(line) for line in lines if FOLDER.name not in line) <= width
    check_snapshot(f"run-{name}-{width}.txt", text)


@pytest.mark.parametrize("name", SCREENS)
def test_the_answer_is_in_the_first_three_lines_and_the_next_command_in_the_last(name: str) -> None:
    lines = printed(SCREENS[name](), width=60).splitlines()
    heading = next(place for place, line in enumerate(lines) if "───" in line)

    assert any(line.rstrip().endswith((".", ")")) or re.search(r"\d", line) for line in lines[:3])
    assert heading <= 8
    assert lines[-2] == f"stored in {FOLDER}"
    assert lines[-1].startswith("next: lmx-loadgen ")
    assert lines[-1].endswith(str(FOLDER))


def test_a_folder_is_quoted_as_a_shell_needs_it_and_stays_on_its_line() -> None:
    folder = Path("/Users/me/My results/" + "long-" * 30)
    lines = printed(made("lmx", blocks=1), width=60, folder=folder).splitlines()

    assert lines[-1] == f"next: lmx-loadgen plot '{folder}'"


def test_what_is_not_complete_is_resumed_next() -> None:
    assert f"next: lmx-loadgen run --resume {FOLDER}" in printed(sample("interrupted"))


def test_at_most_five_notes_and_all_of_them_on_request() -> None:
    result = sample("head-to-head")
    few, every = printed(result), printed(result, all_notes=True)
    notes = run_notes(result)

    assert len(notes) > MOST_NOTES
    assert sum(line.startswith("- ") for line in few.splitlines()) == MOST_NOTES
    assert f"({len(notes) - MOST_NOTES} more with -v)" in few
    assert sum(line.startswith("- ") for line in every.splitlines()) == len(notes)
    assert "more with -v" not in every
    assert len(every) > len(few)


def test_what_failed_comes_before_what_is_doubtful() -> None:
    weights = [note.weight for note in run_notes(sample("head-to-head"))]

    assert weights == sorted(weights, key=["bad", "warn", "plain"].index)
    assert weights[0] == "bad"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (5e-6, "under 0.01 ms"),
        (0.04, "under 50 ms"),
        (1.0, "under 1000 ms"),
        (2.44, "up to 2.4 s"),
        (None, "not known"),
    ],
)
def test_the_timing_error_is_never_understated(error: float | None, words: str) -> None:
    (target,) = made("lmx", blocks=1).targets
    for level in target.levels:
        level.metrics["ttft"].instrument_error = error

    assert words in timing_error(target.levels)


def test_undefined_figures_are_dashes_and_failures_have_their_words() -> None:
    text = printed(sample("failed"))

    assert text.startswith("No request to ollama completed: HTTP error 503")
    assert ["ollama", "1", *"————", "0", "/", "4"] in [line.split() for line in text.splitlines()]
    assert "10 requests failed" in text


def test_large_figures_and_long_names_fit() -> None:
    result = sample("hostile")
    for target in result.targets:
        target.name = "a-very-long-target-name-" * 4
        for level in target.levels:
            level.load_point = Closed(concurrency=256)
            level.requests.ok, level.requests.failed = 123_456, 12_345
            for metrics in (level.metrics, *(one.metrics for one in level.by_prompt_class.values())):
                metrics["ttft"].p50 = 123.456
                metrics["decode_tok_s"].p50 = 12_345.6
    text = printed(result)

    assert max(len(line) for line in text.splitlines() if FOLDER.name not in line) <= 80
    assert {"123,456", "12,345.6"} <= set(re.findall(r"[\d,.]+", text))


@pytest.mark.parametrize("terminal", [False, True])
def test_neither_escapes_nor_markup_of_a_server_reach_the_terminal(terminal: bool) -> None:
    text = printed(sample("hostile"), terminal=terminal, width=200, all_notes=True)

    assert "[bold red]model[/]" in text
    assert "[red]no[/red]" in text
    assert not set(STYLING.sub("", text)) & set("\x1b\x07\u202e")


def test_no_color_codes_where_there_is_no_terminal() -> None:
    assert "\x1b" not in printed(sample("failed"))
    assert "\x1b[" in printed(sample("failed"), terminal=True)


def test_a_run_of_chats_shows_what_each_turn_costs() -> None:
    result = made("lmx", blocks=1)
    turns = [{"turn": 1, "answers": 3, "failed": 0, "context_tokens": 1234.0, "ttft_sec": 0.25}]
    (target,) = result.targets
    target.levels = [a_level({"kind": "sessions", "users": 2}, turns=turns)]

    assert re.search(r"lmx +2 users +1 +1,234 +— +250 +— +3\b", printed(result))
