"""What a run shows while it goes on: one live line a level on a terminal, one plain line a level elsewhere."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lmx_loadgen.analysis.formats import duration, milliseconds, plural, rate
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.system.clock import NS, now_ns

REFRESHES_PER_SECOND = 4
BAR_WIDTH = 18
NAME_WIDTH = 14


@dataclass(slots=True)
class _Segment:
    """Counters of the level that is being measured."""

    target: str
    load_point: LoadPoint
    total: int | None
    duration_s: float | None
    block: int | None = None
    started_ns: int = field(default_factory=now_ns)
    ok: int = 0
    failed: int = 0
    ttfts: list[float] = field(default_factory=list)
    token_rates: list[float] = field(default_factory=list)
    chunk_rates: list[float] = field(default_factory=list)

    def elapsed_s(self) -> float:
        return (now_ns() - self.started_ns) / NS

    def share(self) -> float:
        """How much of the level is done. With both a number and a time limit, the one that is nearer its end."""
        by_count = (self.ok + self.failed) / self.total if self.total else 0.0
        by_time = self.elapsed_s() / self.duration_s if self.duration_s else 0.0
        return min(max(by_count, by_time), 1.0)

    def amount(self) -> str:
        ended = self.ok + self.failed
        if self.total is not None:
            return f"{ended:,}/{self.total:,}"
        if self.duration_s is not None:
            return f"{min(self.elapsed_s(), self.duration_s):.0f}/{self.duration_s:.0f} s"
        return plural(ended, "request")

    def figures(self) -> tuple[str, str]:
        ttft = statistics.median(self.ttfts) if self.ttfts else None
        in_tokens = len(self.token_rates) >= len(self.chunk_rates)
        rates = self.token_rates if in_tokens else self.chunk_rates
        unit = "tok/s" if in_tokens else "chunks/s"
        return f"TTFT {milliseconds(ttft)} ms", f"{rate(statistics.median(rates) if rates else None)} {unit}"

    def errors(self) -> str:
        return plural(self.failed, "error")


class ProgressView:
    """A context manager that a driver feeds with counters.

    On a terminal it shows the level under way and refreshes at most four times a second; each level leaves
    one line behind. Elsewhere it prints only that line, without colour or cursor movement. With `quiet` it
    prints nothing. It keeps counters only, so feeding it costs about a microsecond. `left_unrestored` has a sentence
    for each thing that would stay changed on a server, were the process to end now.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._segment: _Segment | None = None
        self._live: Live | None = None
        self.left_unrestored: Callable[[], Sequence[str]] = tuple

    def __enter__(self) -> "ProgressView":
        if self._console.is_terminal and not self._quiet:
            self._live = Live(
                console=self._console,
                get_renderable=self._render,
                refresh_per_second=REFRESHES_PER_SECOND,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_segment()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, words: str) -> None:
        """A line for good."""
        if not self._quiet:
            self._console.print(Text(sanitize(words, 2000)), soft_wrap=True, highlight=False)

    def start_segment(
        self, target: str, load_point: LoadPoint, total: int | None, duration: float | None, block: int | None = None
    ) -> None:
        """A level begins, or a block of one: so many requests, or so many seconds, or both."""
        self.end_segment()
        self._segment = _Segment(sanitize(target, NAME_WIDTH), load_point, total, duration, block)

    def finished(self, ok: bool, ttft_s: float | None, speed: float | None, in_tokens: bool = True) -> None:
        """A measured request ended; its times count only if it succeeded. `speed` is in tok/s, else in chunks/s."""
        segment = self._segment
        if segment is None:
            return
        if not ok:
            segment.failed += 1
            return
        segment.ok += 1
        if ttft_s is not None:
            segment.ttfts.append(ttft_s)
        if speed is not None:
            (segment.token_rates if in_tokens else segment.chunk_rates).append(speed)

    def end_segment(self) -> None:
        """The level is over: its line is printed for good. Without a level under way, nothing happens."""
        segment, self._segment = self._segment, None
        if segment is not None and not self._quiet:
            self._console.print(Text(_line(segment)), soft_wrap=True, highlight=False)

    def unrestored(self, left: Callable[[], Sequence[str]]) -> None:
        """Nothing is shown of it before the process is to end at once."""
        self.left_unrestored = left

    def _render(self) -> Table | Text:
        return Text() if self._segment is None else _live_line(self._segment)


def _line(segment: _Segment) -> str:
    ended = segment.ok + segment.failed
    amount = plural(ended, "request") if segment.total in (None, ended) else f"{ended:,} of {segment.total:,} requests"
    parts = [amount, *segment.figures(), segment.errors(), duration(segment.elapsed_s())]
    if segment.block is None:
        return f"{segment.target}  {segment.load_point.label}: {', '.join(parts)}"
    return f"{segment.target} {segment.load_point.short} block {segment.block + 1}: {', '.join(parts)}"


def _live_line(segment: _Segment) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(7):
        table.add_column(no_wrap=True)
    table.add_row(
        Text(segment.target, style="bold"),
        Text(segment.load_point.short),
        ProgressBar(total=1.0, completed=segment.share(), width=BAR_WIDTH),
        Text(segment.amount()),
        *(Text(figure) for figure in segment.figures()),
        Text(segment.errors(), style="red" if segment.failed else "dim"),
    )
    return table
