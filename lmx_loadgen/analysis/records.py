"""Request lines of an event log as typed records: absolute times in ns, None where something did not happen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lmx_loadgen.analysis.text_events import text_seen
from lmx_loadgen.decode.chat import usage_counts
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.segment_key import SegmentKey, SegmentPhase, segment_key

# A request that was delayed by more than this is left out of the figures that it falsifies.
MOST_DELAY_NS = 10_000_000


class Stall(NamedTuple):
    """A time in which the measuring process did something else, in ns; what happened in it is stamped up to `lag_ns`
    late."""

    start_ns: int
    end_ns: int
    lag_ns: int


@dataclass(frozen=True, slots=True)
class Record:
    """One request that ended.

    `text_reads` has an entry for each socket read that brought text: (absolute ns, text events in it), from the first
    that brought more than white space; white space before it counts to that one. Events of one read share its time; a
    gap is between reads, never 0. `read_characters` are the characters each of them brought, `characters` those of all
    text, and `running` the server's count of tokens until then (empty where its chunks carry none). `fewest_tokens` and
    `most_tokens` are what the text can be; `most_reasoning` is the latter of the reasoning alone. Times are monotonic
    ns; token counts are None when unknown. `stalls` overlap its send or a read stamped by the event loop; `late_ns` is
    by how much later than intended it was sent, opening a connection apart. `prompt_class` is short, medium, long, or
    what the user's prompts are called. `notes` are codes of what is to be known about how it came. `line` is the line
    that it was read from, which has the text of its answer.
    """

    id: int
    key: SegmentKey
    slot: int
    phase: str
    first_wave: bool
    outcome: str
    reason: str | None
    status: int | None
    intended_ns: int
    send_ns: int | None
    end_ns: int
    text_reads: tuple[tuple[int, int], ...]
    characters: int
    first_visible_ns: int | None
    finish_reason: str | None
    model: str | None
    usage_prompt: int | None
    usage_output: int | None
    usage_cached: int | None
    tokenizer_prompt: int | None
    tokenizer_output: int | None
    lag_ns: int | None
    reconnected: bool = False
    read_characters: tuple[int, ...] = ()
    running: tuple[int, ...] = ()
    fewest_tokens: int = 0
    most_tokens: int | None = None
    most_reasoning: int | None = None
    usage_reasoning: int | None = None
    max_tokens: int | None = None
    stalls: tuple[Stall, ...] = ()
    late_ns: int = 0
    prompt_class: str = ""
    prompt_id: str = ""
    notes: tuple[str, ...] = ()
    line: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

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
        connecting = self.line.get("connect_ns")
        began = connecting[0] if connecting else self.send_ns
        return None if began is None or self.reconnected else max(0, began - self.intended_ns)

    @property
    def measured(self) -> bool:
        return self.phase == "measured"

    @property
    def text_events(self) -> int:
        return sum(events for _, events in self.text_reads)

    @property
    def first_text_ns(self) -> int | None:
        return self.text_reads[0][0] if self.text_reads else None

    @property
    def ttft_ns(self) -> int | None:
        """Time to first token: what TTFT is, wherever it is shown."""
        first = self.first_text_ns
        return None if first is None or self.send_ns is None else first - self.send_ns

    @property
    def last_text_ns(self) -> int | None:
        return self.text_reads[-1][0] if self.text_reads else None


# What a record has from its line as it is.
_COPIED = ("id", "slot", "phase", "first_wave", "outcome", "intended_ns", "end_ns", "prompt_id")
_COPIED_WHERE_KNOWN = ("reason", "status", "finish_reason", "model", "lag_ns")


def record(line: Mapping[str, Any], by_loop: bool = False) -> Record:
    """The record of one request line. `by_loop` says that the event loop stamped its reads, which only a line that does
    not name its stalls depends on."""
    send = line["send_ns"]
    seen = text_seen(line["events"], line["arrivals"], send)
    prompt, output, cached = usage_counts(line.get("usage"))
    tokenizer = line.get("tokenizer_tokens") or {}
    copied: dict[str, Any] = {name: line[name] for name in _COPIED}
    return Record(
        **copied | {name: line.get(name) for name in _COPIED_WHERE_KNOWN},
        key=segment_key(line),
        send_ns=send,
        text_reads=tuple(zip(seen.at_ns, seen.events, strict=True)),
        characters=seen.all_characters,
        first_visible_ns=seen.visible_ns,
        usage_prompt=prompt,
        usage_output=output,
        usage_cached=cached,
        tokenizer_prompt=tokenizer.get("prompt"),
        tokenizer_output=tokenizer.get("output"),
        reconnected=bool(line.get("reconnected")),
        read_characters=tuple(seen.characters),
        running=seen.running_counts(),
        fewest_tokens=seen.chunks,
        most_tokens=seen.most_tokens,
        most_reasoning=seen.most_reasoning,
        usage_reasoning=_reasoning_tokens(line.get("usage"), output),
        max_tokens=line.get("max_tokens"),
        stalls=_stalls(line, by_loop),
        late_ns=_late_ns(line),
        prompt_class=str(line["prompt_id"]).rpartition("-")[0],
        notes=_notes(line.get("notes"), seen.leading_white),
        line=line,
    )


def records(lines: Iterable[Mapping[str, Any]], by_loop: bool = False) -> list[Record]:
    """The records of all request lines, in the order the requests ended; `by_loop` as in `record`."""
    return [record(line, by_loop) for line in lines]


def stamped_by_loop(header: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
    """Whether a target's arrivals were stamped by the event loop, and not by the kernel."""
    return header["instrument"].get("stamps") != "kernel" or str(target["base_url"]).startswith("https:")


def _stalls(line: Mapping[str, Any], by_loop: bool) -> tuple[Stall, ...]:
    """The line's stalls. An older line only knows its worst lag, which may have met any of its reads."""
    send = line["send_ns"]
    if send is None:
        return ()
    if "stalls" in line:
        return tuple(Stall(send + start, send + start + lag, lag) for start, lag in line["stalls"])
    lag = line.get("lag_ns") or 0
    return (Stall(send, line["end_ns"], lag),) if by_loop and lag > MOST_DELAY_NS else ()


def _late_ns(line: Mapping[str, Any]) -> int:
    """How late the request was sent. A connection that had to be opened is the server's time as well as ours; and a
    line without stalls only counts as late where its lag says so too."""
    if line["send_ns"] is None or line.get("connect_ns") is not None or line.get("reconnected"):
        return 0
    late: int = max(0, line["send_ns"] - line["intended_ns"])
    return late if "stalls" in line else min(late, line.get("lag_ns") or 0)


def _notes(codes: Any, leading_white: bool) -> tuple[str, ...]:
    """The line's codes; what the events show themselves is noted of older logs too."""
    told = [code for code in codes if isinstance(code, str)] if isinstance(codes, list) else []
    return tuple(dict.fromkeys([*told, *(["leading_white_space"] if leading_white else [])]))


def _reasoning_tokens(usage: Any, output: int | None) -> int | None:
    """How many of the output tokens are reasoning by the server's own word, None where that is no sane count."""
    if not isinstance(usage, dict) or output is None:
        return None
    details = usage.get("completion_tokens_details")
    found = (details if isinstance(details, dict) else usage).get("reasoning_tokens")
    return found if type(found) is int and 0 <= found <= output else None


def answer_text(line: Mapping[str, Any]) -> str:
    """The whole text of an answer, reasoning included, as the user would have seen it arrive."""
    return "".join(text for _, kind, text in line["events"] if kind in ("content", "reasoning"))


def in_steady_or_all(one: Record, sample: str) -> bool:
    """Whether a level's latencies, whose `sample` is `steady` or `all`, are taken from a request of this kind.

    Where one request is in flight at a time there is no ramp, and the first is as good as any other.
    """
    return sample != "steady" or one.load_point.slots == 1 or not one.first_wave
