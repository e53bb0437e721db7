"""What a run shows while it goes on."""

import io
import re

import pytest
from rich.console import Console

from lmx_loadgen.profile.load_point import ALONE, Closed
from lmx_loadgen.report import progress
from lmx_loadgen.report.how_far import HowFar
from lmx_loadgen.report.progress import ProgressView
from lmx_loadgen.session.view import PlannedSegment
from lmx_loadgen.system.clock import NS
from tests.helpers.snapshots import check_snapshot, numbers_in

FOUR = Closed(concurrency=4)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def progress_of(*, terminal: bool, quiet: bool = False, block: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal)
    with ProgressView(console, quiet=quiet) as view:
        view.start_segment("lmx\x1b[31m[red]", FOUR, 4, None, block)
        view.finished(True, 0.1, 40.0)
        view.finished(True, 0.3, 60.0)
        view.finished(True, 0.2, None)
        view.finished(False, None, None)
        view.end_segment()
        view.start_segment("ollama", Closed(concurrency=8), None, 30.0, block)
        view.finished(True, None, None)
    return written(console)


def test_without_a_terminal_each_level_is_one_plain_line() -> None:
    lines = progress_of(terminal=False).splitlines()

    assert len(lines) == 2
    assert lines[0].startswith("lmx�[31m[red] ")
    # slots, requests, TTFT, rate, errors
    assert numbers_in(lines[0].removeprefix("lmx�[31m"))[:5] == [4, 4, 200, 50, 1]
    assert lines[1].startswith("ollama ")
    assert numbers_in(lines[1])[:3] == [8, 1, 0]
    assert lines[1].count("—") == 2  # neither figure is known
    assert not set("".join(lines)) & set("\x1b\r")


def test_on_a_terminal_a_level_of_one_target_leaves_its_line_too() -> None:
    text = progress_of(terminal=True)

    assert "concurrency 4: 4 requests, TTFT 200 ms, 50.0 tok/s, 1 error" in text
    assert "\x1b[31m[red]" not in text


def test_blocks_are_lines_only_where_there_is_no_terminal() -> None:
    assert "4 requests, TTFT 200 ms" in progress_of(terminal=False, block=0)
    assert "4 requests, TTFT 200 ms" not in progress_of(terminal=True, block=0)


def test_quiet_prints_nothing() -> None:
    assert progress_of(terminal=False, quiet=True) == ""
    assert progress_of(terminal=True, quiet=True) == ""


def test_a_level_cut_short_says_how_far_it_came() -> None:
    console = Console(file=io.StringIO(), width=100)
    with ProgressView(console) as view:
        view.start_segment("sim", ALONE, 20, None)
        view.finished(True, 0.2, 50.0)

    assert "1 of 20 requests" in written(console)


# The live display


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * NS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "now_ns", clock)
    return clock


def shown(view: ProgressView, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(view._render())
    return re.sub("[━╸╺]", " ", written(console))  # versions of rich draw a bar's end differently


def halfway(clock: Clock) -> ProgressView:
    """Block 5 of 8 of two targets, half of its requests done; each of the four before took ten seconds."""
    view = ProgressView(Console(file=io.StringIO()), quiet=True)
    names = ["lmx", "a-target-with-a-long-name"]
    view.planned([PlannedSegment(name, FOUR, block, 5.0) for block in range(4) for name in names])
    for block in range(3):
        for name in names[: 1 if block == 2 else 2]:
            view.warming_up(name, FOUR, block)
            clock.wait(2)
            view.start_segment(name, FOUR, 4, None, block)
            for _ in range(2 if block == 2 else 4):
                view.finished(True, 0.182 if name == "lmx" else 1.236, 80.4)
            clock.wait(3 if block == 2 else 8)
            if block < 2:
                view.end_segment()
    return view


@pytest.mark.parametrize("width", [60, 80, 120])
def test_snapshot_of_the_live_display(clock: Clock, width: int) -> None:
    text = shown(halfway(clock), width)

    assert max(map(len, text.splitlines())) <= width
    check_snapshot(f"progress-{width}.txt", text)


def test_it_says_where_the_run_is_and_how_long_it_will_take(clock: Clock) -> None:
    lines = shown(halfway(clock), 60).splitlines()

    assert "block 5 of 8" in lines[0]
    assert "lmx at C=4" in lines[0]
    assert numbers_in(lines[0])[-1] == 35  # half of this block, and three more of ten seconds
    assert numbers_in(lines[1])[-1] == round(100 * 4.5 / 8)
    (row,) = [line for line in lines if line.startswith("lmx ")]
    assert numbers_in(row) == [182, 80.4, 10, 0]


def test_what_takes_long_counts_its_seconds(clock: Clock) -> None:
    view = ProgressView(Console(file=io.StringIO()), quiet=True)
    view.phase("calibrating")
    clock.wait(12)
    assert numbers_in(shown(view, 60)) == [12]

    view.warming_up("sim", ALONE, 0)
    clock.wait(3)
    assert "warming up 3 s" in shown(view, 60)


@pytest.mark.parametrize(("seconds", "words"), [(None, None), (0.0, None), (35.4, "35"), (99.6, "2"), (540.0, "9")])
def test_the_time_left_is_whole_seconds_or_minutes(seconds: float | None, words: str | None) -> None:
    said = progress._left(seconds)

    assert (said and str(round(numbers_in(said)[0]))) == words


def test_medians_are_of_the_load_under_way(clock: Clock) -> None:
    view = halfway(clock)
    view.end_segment()
    view.warming_up("lmx", Closed(concurrency=8), 0)

    assert "182 ms" not in shown(view, 80)


# How far it is


def test_without_a_measurement_nobody_knows_how_long_it_takes() -> None:
    far = HowFar()
    far.plan([PlannedSegment("a", ALONE, 0, 5.0)])
    far.begin("a", ALONE, 0)

    assert far.left_s(0.5) is None
    assert far.share(0.5) == 0.5


def test_what_was_not_measured_yet_takes_as_much_longer_as_the_rest_did() -> None:
    far = HowFar()
    far.plan([PlannedSegment("a", ALONE, 0, 5.0), PlannedSegment("a", FOUR, 0, 20.0)])
    far.begin("a", ALONE, 0)
    far.end(10.0)

    assert far.left_s(0.0) == 40.0


def test_a_segment_that_nobody_planned_makes_the_run_longer() -> None:
    far = HowFar()
    far.plan([PlannedSegment("a", ALONE, 0, 5.0)])
    for block in range(2):
        far.begin("a", ALONE, block)
        far.end(6.0)
    far.begin("a", ALONE, 0)  # measured again

    assert (far.number, far.total) == (3, 3)
    assert far.left_s(0.5) == 3.0
    assert far.share(1.0) == 1.0


def test_a_segment_without_an_end_does_not_count() -> None:
    far = HowFar()
    far.end(3.0)
    far.plan([PlannedSegment("a", ALONE, block, 5.0) for block in range(2)])
    far.begin("a", ALONE, 0)
    far.begin("a", ALONE, 1)

    assert (far.number, far.total, far.ended) == (1, 1, 0)
