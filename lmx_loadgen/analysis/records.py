"""Requests of an event log as typed records: absolute times in ns, None where something did not happen."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from lmx_loadgen.analysis.text_shape import TextShape
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.segment_key import SegmentKey, SegmentPhase

# A request that was delayed by more than this is left out of the figures that it falsifies.
MOST_DELAY_NS = 10_000_000


class Stall(NamedTuple):
    """A time in which the measuring process did something else, in ns; what happened in it is stamped up to `lag_ns`
    late."""

    start_ns: int
    end_ns: int
    lag_ns: int


@dataclass(frozen=True, slots=True)
class Reads:
    """The socket reads that brought text of one answer, from the first that brought more than white space; white space
    before it counts to that one. Events of one read share its time; a gap is between reads, never 0.

    Each list has an entry for each read: its time (absolute ns), the text events and the characters in it, and the
    server's count of tokens until then (empty where its chunks carry none).
    """

    at_ns: "array[int]"
    events: "array[int]"
    characters: "array[int]"
    running: "array[int]"

    @property
    def gaps_ns(self) -> list[int]:
        """Between consecutive reads."""
        return [after - before for before, after in pairwise(self.at_ns)]


class RecordSource(Protocol):
    """Has what is too large to be in every record, by the record's number."""

    def reads(self, number: int) -> Reads: ...

    def line(self, number: int) -> Mapping[str, Any]: ...


class Record(NamedTuple):
    """One request that ended. Times are monotonic ns; token counts are None when unknown.

    `reads` are counted in `read_count`, those with several text events in `shared_reads`; `first_events` and
    `first_characters` are of the first of them, `read_characters_sum` of all, `characters` of all text. `running_first`
    and `running_last` are the server's running counts at the first and the last read, `running_own` what the first read
    brought by them. `usage_after_first` and `tokenizer_after_first` are the tokens of all later reads, by either count.
    `fewest_tokens` and `most_tokens` are what the text can be; `most_reasoning` is the latter of the reasoning alone.
    `stalls` overlap its send or a read stamped by the event loop; `late_ns` is by how much later than intended it was
    sent, opening a connection apart. `prompt_class` is short, medium, long, or what the user's prompts are called.
    `notes` are codes of what is to be known about how it came. `source` has its reads and its line by its `number`.
    """

    id: int
    slot: int
    phase: str
    first_wave: bool
    outcome: str
    reason: str | None
    status: int | None
    intended_ns: int
    send_ns: int | None
    end_ns: int
    connect_start_ns: int | None
    first_text_ns: int | None
    last_text_ns: int | None
    first_visible_ns: int | None
    longest_gap_ns: int | None
    read_count: int
    shared_reads: int
    text_events: int
    first_events: int
    characters: int
    read_characters_sum: int
    first_characters: int
    running_first: int | None
    running_last: int | None
    running_own: float | None
    finish_reason: str | None
    model: str | None
    usage_prompt: int | None
    usage_output: int | None
    usage_cached: int | None
    usage_reasoning: int | None
    tokenizer_prompt: int | None
    tokenizer_output: int | None
    usage_after_first: float | None
    tokenizer_after_first: float | None
    fewest_tokens: int
    most_tokens: int | None
    most_reasoning: int | None
    max_tokens: int | None
    lag_ns: int | None
    late_ns: int
    reconnected: bool
    has_reasoning: bool
    prompt_class: str
    prompt_id: str
    notes: tuple[str, ...]
    server_timings: Mapping[str, Any] | None
    key: SegmentKey
    stalls: tuple[Stall, ...]
    shape: TextShape
    number: int = 0
    source: RecordSource | None = None

    @property
    def reads(self) -> Reads:
        """Its reads of text."""
        assert self.source is not None
        return self.source.reads(self.number)

    @property
    def line(self) -> Mapping[str, Any]:
        """The line that it was read from, which has the text of its answer."""
        assert self.source is not None
        return self.source.line(self.number)

    @property
    def text_reads(self) -> tuple[tuple[int, int], ...]:
        """Of each read of text: its time in ns, and the text events in it."""
        reads = self.reads
        return tuple(zip(reads.at_ns, reads.events, strict=True))

    @property
    def read_characters(self) -> tuple[int, ...]:
        """The characters that each read of text brought."""
        return tuple(self.reads.characters)

    @property
    def running(self) -> tuple[int, ...]:
        """The server's count of tokens at each read of text; empty where its chunks carry none."""
        return tuple(self.reads.running) if self.running_last is not None else ()

    @property
    def target(self) -> str:
        return self.key.target

    @property
    def load_point(self) -> LoadPoint:
        return self.key.load_point

    @property
    def block(self) -> int:
        return self.key.block

    @property
    def segment_phase(self) -> SegmentPhase:
        """Which kind of segment it belongs to."""
        return self.key.phase

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"

    @property
    def failed(self) -> bool:
        """Whether it counts as worse than any answer. One that the client dropped does: its user got none."""
        return self.outcome not in ("ok", "cancelled")

    @property
    def own_late_ns(self) -> int | None:
        """How late this tool began to send it, on a connection that was open or by opening one; None where it never
        did, or had to send it again."""
        began = self.send_ns if self.connect_start_ns is None else self.connect_start_ns
        return None if began is None or self.reconnected else max(0, began - self.intended_ns)

    @property
    def measured(self) -> bool:
        return self.phase == "measured"

    @property
    def ttft_ns(self) -> int | None:
        """Time to first token: what TTFT is, wherever it is shown."""
        return None if self.first_text_ns is None or self.send_ns is None else self.first_text_ns - self.send_ns


def in_steady_or_all(one: Record, sample: str) -> bool:
    """Whether a level's latencies, whose `sample` is `steady` or `all`, are taken from a request of this kind.

    Where one request is in flight at a time there is no ramp, and the first is as good as any other.
    """
    return sample != "steady" or one.load_point.slots == 1 or not one.first_wave
