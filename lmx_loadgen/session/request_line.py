"""What a request left on the wire, decoded into the line the event log keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmx_loadgen.analysis.metrics import decode_tok_s, ttft
from lmx_loadgen.analysis.read_records import record
from lmx_loadgen.analysis.tokens import choose_basis
from lmx_loadgen.decode.chat import TEXT_KINDS, RawAnswer, StreamRules, read_answer
from lmx_loadgen.load.messages import Ended, FinishedRequest
from lmx_loadgen.session.plan import Segment
from lmx_loadgen.session.token_counter import TokenCounter
from lmx_loadgen.store.segment_key import LOAD
from lmx_loadgen.system.api_keys import Keys


def request_line(
    sent: FinishedRequest,
    segment: Segment,
    *,
    id: int,
    prompt_id: str,
    endpoint: str,
    rules: StreamRules,
    max_tokens: int,
    count: TokenCounter | None = None,
    prompt_text: str = "",
) -> dict[str, Any]:
    """The event log's `request` line for one request that has ended; with `count`, its tokens are counted too."""
    timing = sent.timing
    arrivals = _arrivals(sent)
    answer = read_answer(_raw(sent, arrivals), endpoint, rules)
    notes = [*timing.notes, *answer.notes]
    return {
        "type": "request",
        "id": id,
        **segment.key.as_dict(),
        # A request of a level tells whether it was a warm-up.
        "phase": sent.phase if segment.key.phase == LOAD else segment.key.phase,
        "slot": sent.slot,
        "first_wave": sent.first_wave,
        "number": sent.number,
        "prompt_id": prompt_id,
        "nonce": sent.nonce,
        "intended_ns": sent.intended_ns,
        "connect_ns": _span(timing.connect_start_ns, timing.connect_end_ns),
        "reconnected": timing.reconnected,
        "send_ns": timing.send_ns,
        "end_ns": timing.end_ns,
        "headers_ns": _since(timing.send_ns, timing.headers_ns),
        "arrivals": [list(arrival) for arrival in answer.arrivals],
        "events": [list(event) for event in answer.events],
        "status": timing.status,
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
        "stalls": [[start - (timing.send_ns or 0), length] for start, length in sent.stalls],
        **({"notes": notes} if notes else {}),
        **({"node": sent.node} if sent.node is not None else {}),
    }


@dataclass(frozen=True)
class RequestLook:
    """What is to be known of a request of a segment where it was measured. It masks the keys in what came back."""

    segment: Segment
    endpoint: str
    rules: StreamRules
    keys: Keys

    def __call__(self, sent: FinishedRequest) -> Ended:
        redact_response(sent, self.keys)
        about = {"id": 0, "prompt_id": "", "max_tokens": 0}
        line = request_line(sent, self.segment, endpoint=self.endpoint, rules=self.rules, **about)  # type: ignore[arg-type]
        return ended_of(line, self.rules)


def ended_of(line: Mapping[str, Any], rules: StreamRules) -> Ended:
    """What stop rules and the live display need of a request line."""
    is_shown = line["phase"] == "measured" and line["outcome"] not in ("cancelled", "dropped")
    _, ttft_s, rate, is_exact = quick_look(line, rules) if is_shown else (False, None, None, False)
    whole = {name: line[name] for name in ("number", "phase", "intended_ns", "end_ns", "outcome", "reason")}
    return Ended(**whole, ttft_s=ttft_s, decode_rate=rate, is_of_tokens=is_exact)


def redact_response(sent: FinishedRequest, keys: Keys) -> None:
    """Mask the keys in what came back, before anything of it is read or cut."""
    if not keys:
        return
    timing = sent.timing
    timing.body = bytearray(keys.redact_bytes(bytes(timing.body)))
    timing.headers = [(name, keys.redact_bytes(value)) for name, value in timing.headers]


def quick_look(line: Mapping[str, Any], rules: StreamRules) -> tuple[bool, float | None, float | None, bool]:
    """(went well, TTFT in s, decode rate, whether that is of tokens and not of text events) of a request line, by the
    definitions of the result, for the live display; nothing is judged by it."""
    one = record(line)
    if not one.ok:
        return False, None, None, False
    basis = choose_basis(
        [one], usage_output_exact=rules.usage_output_exact, usage_prompt_exact=rules.usage_prompt_exact
    )
    return True, ttft(one, basis, {}), decode_tok_s(one, basis, {}), basis.exact


def _raw(sent: FinishedRequest, arrivals: list[tuple[int, int]]) -> RawAnswer:
    timing = sent.timing
    return RawAnswer(
        status=timing.status,
        headers=[(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in timing.headers],
        body=bytes(timing.body),
        arrivals=arrivals,
        failure=timing.failure,
    )


def _arrivals(sent: FinishedRequest) -> list[tuple[int, int]]:
    start = sent.timing.send_ns or 0
    return [
        (at_ns - start, size) for at_ns, size in zip(sent.timing.arrival_ns, sent.timing.arrival_bytes, strict=True)
    ]


def _counted(count: TokenCounter, prompt: str, events: Sequence[tuple[int, str, str]]) -> dict[str, int | None]:
    """Tokens of the prompt and of the whole answer; of the text put together, since chunks cut words apart."""
    output = "".join(text for _, kind, text in events if kind in TEXT_KINDS)
    return {"prompt": count(prompt), "output": count(output) or None}


def _span(start: int | None, end: int | None) -> list[int] | None:
    return None if start is None or end is None else [start, end]


def _since(start: int | None, at: int | None) -> int | None:
    return None if start is None or at is None else at - start
