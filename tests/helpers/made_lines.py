"""Event-log lines made by hand: times in milliseconds, so that the arithmetic of a test fits in the head."""

from collections.abc import Sequence
from typing import Any

from lmx_loadgen.analysis.read_records import record
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.profile.load_point import Closed
from lmx_loadgen.store.eventlog import SCHEMA
from lmx_loadgen.store.log_reader import LogContents

MS = 1_000_000
PROFILE: dict[str, Any] = {"slo": {"ttft": None, "tpot": None, "e2e": None}, "reading_tok_s": 5.0}


def point(concurrency: int) -> dict[str, Any]:
    """A closed loop's load point as lines have it."""
    return Closed(concurrency=concurrency).model_dump()


PLACE = {"target": "box", "load_point": point(1), "block": 0}

Reads = list[tuple[float, list[str]]]


def request_line(reads: Reads, send: float | None = 1000, end: float | None = None, **changes: Any) -> dict[str, Any]:
    """A request that went well, sent at `send` ms. `reads` are (ms since then, events of the read).

    An event is "kind" or "kind:text"; a text with no kind is content.
    """
    arrivals = [[round(at * MS), 100 + len(events)] for at, events in reads]
    events = [[index, *_event(event)] for index, (_, in_read) in enumerate(reads) for event in in_read]
    last = reads[-1][0] if reads else 0
    line = {
        "type": "request",
        "id": 0,
        **PLACE,
        "slot": 0,
        "phase": "measured",
        "first_wave": False,
        "prompt_id": "short-00",
        "intended_ns": round((send or 0) * MS),
        "connect_ns": None,
        "send_ns": None if send is None else round(send * MS),
        "end_ns": round(((send or 0) + last if end is None else end) * MS),
        "headers_ns": 0,
        "arrivals": arrivals,
        "events": events,
        "status": 200,
        "outcome": "ok",
        "reason": None,
        "response_id": "r",
        "model": "m",
        "usage": None,
        "finish_reason": "stop",
        "server_timings": None,
        "tokenizer_tokens": None,
        "max_tokens": 200,
        "lag_ns": 0,
    }
    return line | changes


def failed_line(outcome: str = "http_error", status: int | None = 503, **changes: Any) -> dict[str, Any]:
    """A request that brought nothing."""
    return request_line([], outcome=outcome, status=status, reason="busy", finish_reason=None, model=None) | changes


def _event(event: str) -> tuple[str, str]:
    kinds = ("role", "content", "reasoning", "tool", "usage", "finish", "error", "ping", "done", "other")
    kind, sign, text = event.partition(":")
    if kind in kinds and (sign or kind in ("role", "usage", "ping", "done", "other")):
        return kind, text
    return "content", event


def steady(tokens: int = 5, first: float = 200, step: float = 20) -> Reads:
    """One token a read: the first after `first` ms, the others `step` ms apart."""
    return [(first + step * place, [f"content:w{place} "]) for place in range(tokens)]


def usage(prompt: Any, output: Any, cached: Any = None) -> dict[str, Any]:
    """A usage object as servers send it."""
    counts = {"prompt_tokens": prompt, "completion_tokens": output}
    return counts if cached is None else counts | {"prompt_tokens_details": {"cached_tokens": cached}}


def made(reads: Reads, **changes: Any) -> Record:
    """The record of such a request."""
    return record(request_line(reads, **changes))


def segment_line(ramp: float | None, drain: float | None, end: float, **changes: Any) -> dict[str, Any]:
    """The marks of a segment, in ms."""
    return {
        "type": "segment",
        **PLACE,
        "phase": "load",
        "start_ns": 0,
        "ramp_end_ns": None if ramp is None else round(ramp * MS),
        "drain_start_ns": None if drain is None else round(drain * MS),
        "end_ns": round(end * MS),
        "stopped": None,
        "client": {"cpu_share": 0.1, "lag_max_ns": 0},
    } | changes


def host_line(when: str, state: dict[str, Any], at: float = 0, **place: Any) -> dict[str, Any]:
    """A look at the machine beside a segment, in ms."""
    line = {"type": "host", "at_ns": round(at * MS), **PLACE, "phase": "load", "when": when, "state": state}
    return line | place


def header_line(dialect: str = "openai", blocks: int = 1, **changes: Any) -> dict[str, Any]:
    """The header of a run against one target, "box", with one level of `blocks` segments."""
    return {
        "type": "header",
        "schema": SCHEMA,
        "tool_version": "0.1.0",
        "run_id": "0123abcd",
        "clock": {"mono_ns": 0, "unix_ns": 1_700_000_000_000_000_000},
        "started_at": "2023-11-14T22:13:20.000Z",
        "profile": PROFILE,
        "host": {"chip": "Apple M2 Ultra", "memory_gb": 192.0},
        "instrument": {"loop": "uvloop", "stamps": "loop", "workers": 1},
        "targets": [
            {
                "name": "box",
                "dialect": dialect,
                "base_url": "http://127.0.0.1:1/v1",
                "model": "m",
                "server": {"product": dialect, "version": "1.2"},
                "notes": [],
            }
        ],
        "plan": [
            PLACE | {"block": block, "phase": "load", "requests": 5, "duration": None, "warmup": 1}
            for block in range(blocks)
        ],
        "prompt_preview": "Explain transformers",
    } | changes


def resume_line(redo: Sequence[int] = (), **changes: Any) -> dict[str, Any]:
    """The run goes on, on the clock it began with; the blocks to `redo` are of the one level there is."""
    return {
        "type": "resume",
        "clock": {"mono_ns": 0, "unix_ns": 1_700_000_000_000_000_000},
        "resumed_at": "2023-11-14T22:13:20.000Z",
        "attempt": 1,
        "redo": [PLACE | {"block": block, "phase": "load"} for block in redo],
        "cut_bytes": 0,
        "beside": None,
    } | changes


def made_log(
    requests: list[dict[str, Any]], segments: list[dict[str, Any]] | None = None, **changes: Any
) -> LogContents:
    """A log that ended well; `changes` are of its header."""
    if segments is None:
        segments = [segment_line(0, 5000, 6000)]
    return LogContents(
        header=header_line(**changes),
        requests=requests,
        segments=segments,
        end={"type": "end", "end_ns": 6000 * MS, "complete": True, "reason": None},
    )


def former(line: dict[str, Any], segment: int = 0, level: int = 0) -> dict[str, Any]:
    """The same line, or header, as versions up to 3 had it: segments by their running number."""
    if line["type"] == "header":
        plan = [former(one | {"type": "planned"}, number) for number, one in enumerate(line["plan"])]
        return line | {"plan": [{name: one[name] for name in one if name != "type"} for one in plan]}
    kept = {
        name: line[name] for name in line if name != "load_point" and (name != "phase" or line["type"] == "request")
    }
    if line["type"] == "host":
        return {name: kept[name] for name in kept if name not in ("target", "block")} | {"segment": segment}
    return kept | {"segment": segment, "level": level, "concurrency": line["load_point"]["concurrency"]}


def at_concurrency(line: dict[str, Any], concurrency: int) -> dict[str, Any]:
    """The same line, or header, at another concurrency."""
    if line["type"] != "header":
        return line | {"load_point": point(concurrency)}
    return line | {"plan": [segment | {"load_point": point(concurrency)} for segment in line["plan"]]}
