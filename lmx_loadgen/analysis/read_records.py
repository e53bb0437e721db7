"""Request lines of an event log made into records."""

import math
from array import array
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from lmx_loadgen.analysis.records import MOST_DELAY_NS, Reads, Record, Stall
from lmx_loadgen.analysis.text_events import TextSeen, text_seen
from lmx_loadgen.analysis.text_shape import shape_of_line
from lmx_loadgen.analysis.tokens import Basis, own_tokens, read_tokens
from lmx_loadgen.decode.chat import usage_counts
from lmx_loadgen.store.segment_key import segment_key

# What a record has from its line as it is.
_COPIED = ("id", "slot", "phase", "first_wave", "outcome", "intended_ns", "send_ns", "end_ns", "prompt_id")
_COPIED_WHERE_KNOWN = ("reason", "status", "finish_reason", "model", "lag_ns", "max_tokens", "server_timings")
_BY_USAGE = Basis("usage", True, False)
_BY_TOKENIZER = Basis("tokenizer", True, False)


class _OneLine:
    """The source of a single record."""

    def __init__(self, line: Mapping[str, Any], reads: Reads) -> None:
        self._line = line
        self._reads = reads

    def reads(self, number: int) -> Reads:
        return self._reads

    def line(self, number: int) -> Mapping[str, Any]:
        return self._line


def record(line: Mapping[str, Any], by_loop: bool = False) -> Record:
    """The record of one request line. `by_loop` says that the event loop stamped its reads, which only a line that does
    not name its stalls depends on."""
    seen = text_seen(line["events"], line["arrivals"], line["send_ns"])
    prompt, output, cached = usage_counts(line.get("usage"))
    tokenizer = line.get("tokenizer_tokens") or {}
    connecting = line.get("connect_ns")
    copied: dict[str, Any] = {name: line[name] for name in _COPIED}
    found = Record(
        **copied | {name: line.get(name) for name in _COPIED_WHERE_KNOWN} | _read_figures(seen),
        key=segment_key(line),
        connect_start_ns=connecting[0] if connecting else None,
        first_visible_ns=seen.visible_ns,
        characters=seen.all_characters,
        usage_prompt=prompt,
        usage_output=output,
        usage_cached=cached,
        usage_reasoning=_reasoning_tokens(line.get("usage"), output),
        tokenizer_prompt=tokenizer.get("prompt"),
        tokenizer_output=tokenizer.get("output"),
        usage_after_first=None,
        tokenizer_after_first=None,
        fewest_tokens=seen.chunks,
        most_tokens=seen.most_tokens,
        most_reasoning=seen.most_reasoning,
        late_ns=_late_ns(line),
        reconnected=bool(line.get("reconnected")),
        has_reasoning=any(kind == "reasoning" for _, kind, _ in line["events"]),
        stalls=_stalls(line, by_loop),
        prompt_class=str(line["prompt_id"]).rpartition("-")[0],
        notes=_notes(line.get("notes"), seen.leading_white),
        shape=shape_of_line(line),
        source=_OneLine(line, _reads(seen)),
    )
    return _with_after_first(found)


def records(lines: Iterable[Mapping[str, Any]], by_loop: bool = False) -> list[Record]:
    """The records of these request lines, in their order; `by_loop` as in `record`."""
    return [record(line, by_loop) for line in lines]


def counted(found: Record, tokenizer_prompt: int | None, tokenizer_output: int | None) -> Record:
    """The record with these counts of a tokenizer."""
    return _with_after_first(found._replace(tokenizer_prompt=tokenizer_prompt, tokenizer_output=tokenizer_output))


def _with_after_first(found: Record) -> Record:
    return found._replace(
        usage_after_first=None if found.usage_output is None else _after_first(found, _BY_USAGE),
        tokenizer_after_first=None if found.tokenizer_output is None else _after_first(found, _BY_TOKENIZER),
    )


def _after_first(found: Record, basis: Basis) -> float | None:
    """The tokens of all reads of text but the first; None where there is no count of them."""
    tokens = read_tokens(found, basis)
    return None if tokens is None else math.fsum(tokens[1:])


def _reads(seen: TextSeen) -> Reads:
    counts = seen.running_counts()
    return Reads(array("q", seen.at_ns), array("I", seen.events), array("I", seen.characters), array("q", counts))


def _read_figures(seen: TextSeen) -> dict[str, Any]:
    """What a record has of its reads."""
    counts = seen.running_counts()
    return {
        "first_text_ns": seen.at_ns[0] if seen.at_ns else None,
        "last_text_ns": seen.at_ns[-1] if seen.at_ns else None,
        "longest_gap_ns": max((after - before for before, after in pairwise(seen.at_ns)), default=None),
        "read_count": len(seen.at_ns),
        "shared_reads": sum(events > 1 for events in seen.events),
        "text_events": sum(seen.events),
        "first_events": seen.events[0] if seen.events else 0,
        "read_characters_sum": sum(seen.characters),
        "first_characters": seen.characters[0] if seen.characters else 0,
        "running_first": counts[0] if counts else None,
        "running_last": counts[-1] if counts else None,
        "running_own": own_tokens(counts, seen.characters, seen.events) if counts else None,
    }


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
