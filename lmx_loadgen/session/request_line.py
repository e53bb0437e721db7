"""What a request left on the wire, decoded into the line the event log keeps."""

from collections.abc import Sequence
from typing import Any

from lmx_loadgen.decode.chat import TEXT_KINDS, RawAnswer, StreamRules, read_answer
from lmx_loadgen.load.messages import Sent
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.token_counter import Count
from lmx_loadgen.system.clock import NS


def request_line(
    sent: Sent,
    segment: Segment,
    *,
    id: int,
    prompt_id: str,
    endpoint: str,
    rules: StreamRules,
    max_tokens: int,
    phase: str | None = None,
    count: Count | None = None,
    prompt_text: str = "",
) -> dict[str, Any]:
    """The event log's `request` line for one request that has ended; with `count`, its tokens are counted too.

    `phase` stands in for the one it was sent in.
    """
    trace = sent.trace
    arrivals = _arrivals(sent)
    answer = read_answer(_raw(sent, arrivals), endpoint, rules)
    return {
        "type": "request",
        "id": id,
        "segment": segment.segment,
        "target": segment.target,
        "level": segment.level,
        "concurrency": segment.concurrency,
        "block": segment.block,
        "slot": sent.slot,
        "phase": phase or sent.phase,
        "first_wave": sent.first_wave,
        "number": sent.number,
        "prompt_id": prompt_id,
        "nonce": sent.nonce,
        "intended_ns": sent.intended_ns,
        "connect_ns": _span(trace.connect_start_ns, trace.connect_end_ns),
        "reconnected": trace.reconnected,
        "send_ns": trace.send_ns,
        "end_ns": trace.end_ns,
        "headers_ns": _since(trace.send_ns, trace.headers_ns),
        "arrivals": [list(arrival) for arrival in answer.arrivals],
        "events": [list(event) for event in answer.events],
        "status": trace.status,
        "outcome": answer.outcome,
        "reason": answer.reason,
        "response_id": answer.response_id,
        "model": answer.model,
        "usage": answer.usage,
        "finish_reason": answer.finish_reason,
        "server_timings": answer.server_timings,
        "tokenizer_tokens": _counted(count, prompt_text, answer.events) if count is not None else None,
        "max_tokens": max_tokens,
        "lag_ns": sent.lag_ns,
    }


def quick_look(sent: Sent, line: dict[str, Any]) -> tuple[bool, float | None, float | None]:
    """(went well, TTFT in s, text events per s after the first) for the live display; nothing is judged by it."""
    trace, ok = sent.trace, line["outcome"] == "ok"
    if not ok or trace.first_text_ns is None or trace.send_ns is None:
        return ok, None, None
    texts = sum(1 for event in line["events"] if event[1] in ("content", "reasoning", "tool"))
    span = trace.arrival_ns[-1] - trace.first_text_ns
    rate = (texts - 1) * NS / span if span > 0 and texts > 1 else None
    return ok, (trace.first_text_ns - trace.send_ns) / NS, rate


def _raw(sent: Sent, arrivals: list[tuple[int, int]]) -> RawAnswer:
    trace = sent.trace
    return RawAnswer(
        status=trace.status,
        headers=[(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in trace.headers],
        body=bytes(trace.body),
        arrivals=arrivals,
        failure=trace.failure,
    )


def _arrivals(sent: Sent) -> list[tuple[int, int]]:
    start = sent.trace.send_ns or 0
    return [(at_ns - start, size) for at_ns, size in zip(sent.trace.arrival_ns, sent.trace.arrival_bytes, strict=True)]


def _counted(count: Count, prompt: str, events: Sequence[tuple[int, str, str]]) -> dict[str, int | None]:
    """Tokens of the prompt and of the whole answer; of the text put together, since chunks cut words apart."""
    output = "".join(text for _, kind, text in events if kind in TEXT_KINDS)
    return {"prompt": count(prompt), "output": count(output) or None}


def _span(start: int | None, end: int | None) -> list[int] | None:
    return None if start is None or end is None else [start, end]


def _since(start: int | None, at: int | None) -> int | None:
    return None if start is None or at is None else at - start
