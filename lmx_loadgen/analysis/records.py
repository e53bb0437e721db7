"""Request lines of an event log as typed records: absolute times in ns, None where something did not happen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.decode.chat import TEXT_KINDS, usage_counts


@dataclass(frozen=True, slots=True)
class Record:
    """One request that ended.

    `text_reads` has an entry for each socket read that brought text: (absolute ns, text events in it). Events of one
    read share its time; a gap is between reads, never 0. `characters` are those of all text. Times are monotonic ns;
    token counts are None when unknown. `prompt_class` is short, medium, long, or what the user's prompts are called.
    """

    id: int
    target: str
    level: int
    segment: int
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
    prompt_class: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome == "ok"

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
    def last_text_ns(self) -> int | None:
        return self.text_reads[-1][0] if self.text_reads else None


# What a record has from its line as it is.
_COPIED = ("id", "target", "level", "segment", "phase", "first_wave", "outcome", "intended_ns", "end_ns")
_COPIED_WHERE_KNOWN = ("reason", "status", "finish_reason", "model", "lag_ns")


def record(line: dict[str, Any]) -> Record:
    """The record of one request line."""
    send = line["send_ns"]
    arrivals = line["arrivals"]
    reads: list[tuple[int, int]] = []
    visible: int | None = None
    characters = 0
    for index, kind, text in line["events"]:
        if kind not in TEXT_KINDS or send is None or index >= len(arrivals):
            continue
        at_ns = send + arrivals[index][0]
        characters += len(text)
        if visible is None and kind != "reasoning":
            visible = at_ns
        if reads and reads[-1][0] >= at_ns:
            reads[-1] = (reads[-1][0], reads[-1][1] + 1)
        else:
            reads.append((at_ns, 1))
    prompt, output, cached = usage_counts(line.get("usage"))
    tokenizer = line.get("tokenizer_tokens") or {}
    copied: dict[str, Any] = {name: line[name] for name in _COPIED}
    return Record(
        **copied | {name: line.get(name) for name in _COPIED_WHERE_KNOWN},
        send_ns=send,
        text_reads=tuple(reads),
        characters=characters,
        first_visible_ns=visible,
        usage_prompt=prompt,
        usage_output=output,
        usage_cached=cached,
        tokenizer_prompt=tokenizer.get("prompt"),
        tokenizer_output=tokenizer.get("output"),
        reconnected=bool(line.get("reconnected")),
        prompt_class=str(line.get("prompt_id", "")).rpartition("-")[0],
    )


def records(lines: Iterable[dict[str, Any]]) -> list[Record]:
    """The records of all request lines, in the order the requests ended."""
    return [record(line) for line in lines]


def answer_text(line: Mapping[str, Any]) -> str:
    """The whole text of an answer, reasoning included, as the user would have seen it arrive."""
    return "".join(text for _, kind, text in line["events"] if kind in ("content", "reasoning"))


def in_steady_or_all(concurrency: int, first_wave: bool, sample: str) -> bool:
    """Whether a level's latencies, whose `sample` is `steady` or `all`, are taken from a request of this kind.

    At concurrency 1 there is no ramp, and the first request is as good as any other.
    """
    return sample != "steady" or concurrency == 1 or not first_wave
