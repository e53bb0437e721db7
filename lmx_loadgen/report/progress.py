"""What a run shows while it goes on: on a terminal a live display of all of it, elsewhere a plain line a block."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from lmx_loadgen.analysis.formats import duration, milliseconds, plural, rate
from lmx_loadgen.analysis.values import Values
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.report.how_far import HowFar
from lmx_loadgen.report.live import LiveRow, display
from lmx_loadgen.report.sanitize import sanitize
from lmx_loadgen.session.view import PlannedSegment
from lmx_loadgen.system.clock import NS, now_ns

REFRESHES_PER_SECOND = 4
NAME_WIDTH = 14


def _few() -> Values:
    """They are looked at four times a second."""
    return Values(most_exact=5_000)


@dataclass(slots=True)
class _Figures:
    """Counters of one target at one load, or of a part of that."""

    ok: int = 0
    failed: int = 0
    ttfts: Values = field(default_factory=_few)
    token_rates: Values = field(default_factory=_few)
    chunk_rates: Values = field(default_factory=_few)

    def add(self, ok: bool, ttft_s: float | None, speed: float | None, in_tokens: bool) -> None:
        if not ok:
            self.failed += 1
            return
        self.ok += 1
        if ttft_s is not None:
            self.ttfts.extend([ttft_s])
        if speed is not None:
            (self.token_rates if in_tokens else self.chunk_rates).extend([speed])

    @property
    def ended(self) -> int:
        return self.ok + self.failed

    def medians(self) -> tuple[str, str]:
        """`182 ms`, `80.4 tok/s`."""
        in_tokens = len(self.token_rates) >= len(self.chunk_rates)
        rates = self.token_rates if in_tokens else self.chunk_rates
        unit = "tok/s" if in_tokens else "chunks/s"
        return f"{milliseconds(self.ttfts.median)} ms", f"{rate(rates.median)} {unit}"


@dataclass(slots=True)
class _Segment:
    """The stretch of load that is measured now."""

    target: str
    load_point: LoadPoint
    total: int | None
    duration_s: float | None
    block: int | None
    started_ns: int
    figures: _Figures = field(default_factory=_Figures)

    def elapsed_s(self) -> float:
        return (now_ns() - self.started_ns) / NS

    def share(self) -> float:
        """How much of it is done. With both a number and a time limit, the one that is nearer its end."""
        by_count = self.figures.ended / self.total if self.total else 0.0
        by_time = self.elapsed_s() / self.duration_s if self.duration_s else 0.0
        return min(max(by_count, by_time), 1.0)


class ProgressView:
    """A context manager that a driver feeds with counters.

    On a terminal it shows what the run does, how far it is, the time that is left, and the running medians of each
    target at the load under way. It refreshes four times a second, and a level of one target leaves a line behind.
    Elsewhere each block is a plain line, without color or cursor movement. With `quiet` it prints nothing. It keeps
    counters only, so feeding it costs about a microsecond. `left_unrestored` has a sentence for each thing that would
    stay changed on a server, were the process to end now.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._segment: _Segment | None = None
        self._live: Live | None = None
        self._far = HowFar()
        self._phase, self._since_ns = "", now_ns()
        self._ended_ns: int | None = None
        self._level: LoadPoint | None = None
        self._medians: dict[str, _Figures] = {}
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

    def phase(self, words: str) -> None:
        self._phase, self._since_ns = sanitize(words, 60), now_ns()

    def planned(self, segments: Sequence[PlannedSegment]) -> None:
        self._far.plan(segments)
        self._medians = {name: _Figures() for name in dict.fromkeys(one.target for one in segments)}

    def warming_up(self, target: str, load_point: LoadPoint, block: int) -> None:
        self.end_segment()
        if load_point != self._level:
            self._level = load_point
            self._medians = {name: _Figures() for name in self._medians}
        self._far.begin(target, load_point, block)
        self._ended_ns = now_ns() if self._ended_ns is None else self._ended_ns
        self.phase("warming up")

    def start_segment(
        self, target: str, load_point: LoadPoint, total: int | None, duration: float | None, block: int | None = None
    ) -> None:
        """A level begins to be measured, or a block of one: so many requests, or so many seconds, or both."""
        self.end_segment()
        if self._far.current is None:
            self.warming_up(target, load_point, block or 0)
        self._segment = _Segment(target, load_point, total, duration, block, now_ns())

    def finished(self, ok: bool, ttft_s: float | None, speed: float | None, in_tokens: bool = True) -> None:
        """A measured request ended; its times count only if it succeeded. `speed` is in tok/s, else in chunks/s."""
        segment = self._segment
        if segment is not None:
            segment.figures.add(ok, ttft_s, speed, in_tokens)
            self._medians.setdefault(segment.target, _Figures()).add(ok, ttft_s, speed, in_tokens)

    def end_segment(self) -> None:
        """It is over. Without a stretch of load under way, nothing happens."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        now = now_ns()
        number, total = self._far.number, self._far.total
        began = segment.started_ns if self._ended_ns is None else self._ended_ns
        self._far.end((now - began) / NS)
        self._ended_ns = now
        self.phase("")
        # On a terminal the blocks of several targets are in the live display.
        if not self._quiet and (self._live is None or segment.block is None):
            self._console.print(Text(_line(segment, number, total)), soft_wrap=True, highlight=False)

    def unrestored(self, left: Callable[[], Sequence[str]]) -> None:
        """Nothing is shown of it before the process is to end at once."""
        self.left_unrestored = left

    def _render(self) -> RenderableType:
        of_segment = self._segment.share() if self._segment is not None else 0.0
        rows = [
            LiveRow(sanitize(name, NAME_WIDTH), *figures.medians(), figures.ended, figures.failed)
            for name, figures in list(self._medians.items())
            if figures.ended
        ]
        share = self._far.share(of_segment) if self._far.total else None
        return display(self._words(), share=share, left=_left(self._far.left_s(of_segment)), rows=rows)

    def _words(self) -> str:
        """`block 5 of 24, lmx at C=4: warming up`, or what else the run does, and for how long."""
        current = self._far.current
        seconds = f"{(now_ns() - self._since_ns) // NS} s"
        if current is None:
            return f"{self._phase} {seconds}" if self._phase else ""
        kind = "level" if len(self._medians) < 2 else "block"
        place = f"{kind} {self._far.number} of {self._far.total}"
        doing = "" if self._segment is not None else f": {self._phase} {seconds}"
        return f"{place}, {sanitize(current.target, NAME_WIDTH)} at {current.load_point.short}{doing}"


def _left(seconds: float | None) -> str | None:
    """`35 s left`, `about 4 min left`; nothing where all is done or nobody knows."""
    if not seconds:
        return None
    return f"{seconds:.0f} s left" if seconds < 99.5 else f"about {seconds / 60:.0f} min left"


def _line(segment: _Segment, number: int, total: int) -> str:
    figures = segment.figures
    ended = figures.ended
    amount = plural(ended, "request") if segment.total in (None, ended) else f"{ended:,} of {segment.total:,} requests"
    ttft, speed = figures.medians()
    parts = [amount, f"TTFT {ttft}", speed, plural(figures.failed, "error"), duration(segment.elapsed_s())]
    name = sanitize(segment.target, NAME_WIDTH)
    if segment.block is None:
        return f"{name}  {segment.load_point.label}: {', '.join(parts)}"
    return f"block {number} of {total}, {name} {segment.load_point.short}: {', '.join(parts)}"
