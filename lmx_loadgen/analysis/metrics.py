"""Every metric, declared once: the table here feeds results, tables, charts and documentation.

The values of single requests are computed here; those of a whole level, which need a window of time, in `window`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from lmx_loadgen.analysis import delays, error_models
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.stats import Better
from lmx_loadgen.analysis.tokens import (
    Basis,
    hidden_tokens,
    output_tokens,
    prompt_tokens,
    read_tokens,
    tokens_after_first,
    usage_state,
)
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.system.clock import NS

VERSION = 2

Scope = Literal["request", "gap", "level"]
PerRequest = Callable[[Record, Basis, Mapping[str, Any]], float | None]


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is called, in which unit, which way is better, what it means and how it is computed.

    `of` gives a single request's value, None for one that this machine delayed; `raw` gives that one's too. Both are
    None for metrics of gaps and of whole levels. `undefined` says why an answer has no value, or `why` where there are
    several reasons. `delay` is by how much stalls of this machine falsify a request's value, `error` the instrument's
    own error by its calibration; None where neither is known to.
    """

    name: str
    title: str
    unit: str
    better: Better
    definition: str
    formula: str
    scope: Scope = "request"
    of: PerRequest | None = None
    undefined: str = "no request has this value"
    raw: PerRequest | None = None
    why: Callable[[Record, Basis], str] | None = None
    delay: delays.Delay | None = None
    error: error_models.Error | None = None

    def delay_ns(self, record: Record) -> int:
        """By how much, at most, this machine falsified the request's value."""
        return 0 if self.delay is None else delays.delay_ns(self.delay, record)

    def is_delayed(self, record: Record) -> bool:
        """Whether the request is left out of the sample for that."""
        return self.delay is not None and delays.is_delayed(self.delay, record)

    def reason(self, record: Record, basis: Basis) -> str:
        """Why this answer has no value."""
        return self.undefined if self.why is None else self.why(record, basis)


def ttft(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    return None if record.ttft_ns is None else record.ttft_ns / NS


def ttft_response(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    return _seconds(record.intended_ns, record.first_text_ns)


def ttfo(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    return _seconds(record.send_ns, record.first_visible_ns)


def e2e(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    return _seconds(record.send_ns, record.last_text_ns)


def tpot(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    """Undefined when all text came in one read: one moment has no rate."""
    after_first = tokens_after_first(record, basis)
    span = _seconds(record.first_text_ns, record.last_text_ns)
    if after_first is None or span is None or record.read_count < 2:
        return None
    return span / after_first if after_first > 0 else None


def decode_tok_s(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    per_token = tpot(record, basis, profile)
    return 1 / per_token if per_token else None


def longest_stall(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    return None if record.longest_gap_ns is None else record.longest_gap_ns / NS


def chunk_gaps(record: Record) -> list[float]:
    """Seconds between consecutive reads that brought text."""
    return [gap / NS for gap in record.reads.gaps_ns]


def below_reading_share(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    """A reader starts with the first text, reads `reading_tok_s` tokens a second, and waits whenever all that has
    arrived is read: the share of the time between first and last text that is spent waiting."""
    tokens = read_tokens(record, basis)
    gaps = chunk_gaps(record)
    if tokens is None or not gaps:
        return None
    speed = profile["reading_tok_s"]
    unread = waited = 0.0
    for gap, came in zip(gaps, tokens, strict=False):
        unread += came
        waited += max(0.0, gap - unread / speed)
        unread = max(0.0, unread - gap * speed)
    return waited / sum(gaps)


def prompt_tok_s(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    """Only for prompts that were read, and nothing else: with tokens from a cache, or with a wait that has hidden
    reasoning in it, it would be fiction."""
    tokens, wait = prompt_tokens(record, basis), ttft(record, basis, profile)
    cached = record.usage_cached or 0
    if not tokens or not wait or cached > 0.1 * tokens or _waited_for_more(record):
        return None
    return tokens / wait


def _waited_for_more(record: Record) -> bool:
    """Whether tokens that were not streamed were made before the first text."""
    return hidden_tokens(record) > 0 or usage_state(record) == "doubtful"


def output_tokens_of(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
    return output_tokens(record, basis)


def _seconds(start: int | None, end: int | None) -> float | None:
    return None if start is None or end is None else (end - start) / NS


# ---- why an answer has no value ---------------------------------------------------------------------

_ONE_READ = "all text arrived in one read"
_UNCOUNTED = "no exact count of its tokens"


def _no_rate(record: Record, basis: Basis) -> str:
    return _ONE_READ if record.read_count < 2 else _UNCOUNTED


def _no_prompt_rate(record: Record, basis: Basis) -> str:
    tokens = prompt_tokens(record, basis)
    if not tokens:
        return "no exact count of its prompt's tokens"
    if _waited_for_more(record):
        return "tokens that were not streamed came before its first text"
    return "its prompt came from a cache"


_ALL = [
    Metric(
        "ttft", "TTFT", "s", "lower",
        "Time to first token: from just before the request is written, on a connection already open, to the first "
        "text that is more than white space (reasoning and tool calls are text).",
        "first text − send", of=ttft,
        delay=delays.until_first_text, error=error_models.of_ttft,
    ),
    Metric(
        "ttft_response", "TTFT from scheduled time", "s", "lower",
        "The same from when the request was due, so that waiting for a slot counts too (free of coordinated omission).",
        "first text − intended", of=ttft_response,
        delay=delays.until_first_text_from_due, error=error_models.of_ttft,
    ),
    Metric(
        "ttfo", "TTFO", "s", "lower",
        "Time to first output: to the first visible text that is more than white space, reasoning not counted.",
        "first visible text − send", of=ttfo, undefined="it has no visible text",
        delay=delays.until_first_visible, error=error_models.of_span_to_text,
    ),
    Metric(
        "e2e", "E2E", "s", "lower", "The whole answer, to its last text.", "last text − send", of=e2e,
        delay=delays.until_last_text, error=error_models.of_span_to_text,
    ),
    Metric(
        "tpot", "TPOT", "s", "lower",
        "Time per output token after the first read of text. A read's tokens are its share of the answer's characters, "
        "at least one a text event, or what the server's running count says. Tokens without text are left out: an end "
        "of turn, and hidden reasoning.",
        "(last text − first text) ÷ (output tokens − tokens in the first read of text)", of=tpot, why=_no_rate,
        delay=delays.streaming, error=error_models.of_tpot,
    ),
    Metric(
        "decode_tok_s", "Decode tok/s", "tok/s", "higher", "What one user sees once the answer runs.", "1 ÷ TPOT",
        of=decode_tok_s, why=_no_rate,
        delay=delays.streaming, error=error_models.of_decode_rate,
    ),
    Metric(
        "chunk_gap", "Chunk gap", "s", "lower",
        "Time between consecutive reads that brought text, over all answers (a chunk is not a token).",
        "text read − text read before it", "gap", undefined=_ONE_READ,
        error=error_models.of_gap,
    ),
    Metric(
        "longest_stall", "Longest stall", "s", "lower", "The largest chunk gap of an answer.", "max(chunk gaps)",
        of=longest_stall, undefined=_ONE_READ,
        delay=delays.longest_gap, error=error_models.of_stall,
    ),
    Metric(
        "below_reading_share", "Stall share at reading speed", "1", "lower",
        "Share of the streaming time in which someone who reads at the profile's reading speed has read all there is.",
        "waiting time ÷ (last text − first text)", of=below_reading_share, why=_no_rate,
        delay=delays.streaming,
    ),
    Metric(
        "prompt_tok_s", "Prompt tok/s", "tok/s", "higher", "Prompt tokens per second of TTFT, for cold prompts.",
        "prompt tokens ÷ TTFT", of=prompt_tok_s,
        why=_no_prompt_rate,
        delay=delays.until_first_text, error=error_models.of_prompt_rate,
    ),
    Metric(
        "output_tokens", "Output tokens", "tokens", "higher",
        "Tokens of the answer that were streamed, on the level's token basis.",
        "see token basis", of=output_tokens_of, undefined=_UNCOUNTED,
    ),
    Metric(
        "output_tok_s", "System tok/s", "tok/s", "higher",
        "Tokens of all answers that arrived inside the window, per second; ramp and drain are outside it.",
        "tokens arrived in window ÷ window", "level",
        error=error_models.of_window,
    ),
    Metric(
        "request_rate", "Requests/s", "req/s", "higher", "Answers completed inside the window, per second.",
        "ok requests ended in window ÷ window", "level",
        error=error_models.of_window,
    ),
    Metric(
        "goodput", "Goodput", "req/s", "higher",
        "Answers per second that met every SLO of the profile; a failed request misses every SLO.",
        "requests within all SLOs ended in window ÷ window", "level",
        error=error_models.of_window,
    ),
    Metric(
        "slo_share", "Within SLO", "1", "higher",
        "Share of the requests that met every SLO of the profile. A failed request misses every SLO; one that this "
        "machine delayed is not counted.",
        "requests within all SLOs ÷ requests", "level",
    ),
    Metric(
        "occupancy", "In flight", "requests", "higher", "Time-average of requests in flight in the window.",
        "Σ time in flight in window ÷ window", "level",
        error=error_models.of_window,
    ),
]  # fmt: skip


def _without_delayed(metric: Metric) -> Metric:
    raw = metric.of
    if raw is None:
        return metric

    def of(record: Record, basis: Basis, profile: Mapping[str, Any]) -> float | None:
        return None if metric.is_delayed(record) else raw(record, basis, profile)

    return replace(metric, of=of, raw=raw)


METRICS: dict[str, Metric] = {metric.name: _without_delayed(metric) for metric in _ALL}


def headline(metric: str, point: LoadPoint) -> str:
    """The metric that stands for this one at a load point: in an open loop, TTFT counts from when it was due."""
    return "ttft_response" if metric == "ttft" and point.IS_OPEN else metric


def is_delayed_anywhere(record: Record) -> bool:
    """Whether the request is left out of any figure."""
    return any(metric.is_delayed(record) for metric in METRICS.values())


def markdown_table() -> str:
    """The metric definitions as the README shows them."""
    rows = [f"| `{m.name}` | {m.unit} | {m.definition} | {m.formula} |" for m in _ALL]
    return "\n".join(["| name | unit | what it is | formula |", "|---|---|---|---|", *rows])
