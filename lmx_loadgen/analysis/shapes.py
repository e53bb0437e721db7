"""What a level of a shape shows: whether its prompts had their length, and how fast they were read and answered."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from lmx_loadgen.analysis.cache import TEMPLATE_TOKENS
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis, output_tokens
from lmx_loadgen.profile.load_point import LoadPoint, shape_of
from lmx_loadgen.store.lengths import FittedLength, fitted_lengths, is_cut
from lmx_loadgen.store.result import ShapeResult
from lmx_loadgen.system.clock import NS

_CUT_BELOW, _CUT_TOKENS = 0.7, 64
_LARGER = "give it a larger context (Ollama: num_ctx)"
_COUNTERS = {
    "endpoint": "the server's {source}",
    "usage": "the usage of requests before the run",
    "tokenizer": "the tokenizer {source}",
    "nobody": "nobody",
}


def shape_result(
    header: Mapping[str, Any],
    target: str,
    point: LoadPoint,
    answers: Sequence[Record],
    basis: Basis,
    *,
    usage_exact: bool,
) -> ShapeResult | None:
    """Of a level's answers that went well; None where it has no shape. `usage_exact`: the server's usage is a count of
    the prompt's tokens."""
    shape = shape_of(point)
    made = next((one for one in fitted_lengths(header) if (one.target, one.shape) == (target, shape)), None)
    if shape is None or made is None:
        return None
    prompts = [
        tokens for one in answers if (tokens := one.usage_prompt if usage_exact else one.tokenizer_prompt) is not None
    ]
    outputs = [tokens for one in answers if basis.exact and (tokens := output_tokens(one, basis)) is not None]
    cut = made.is_cut or (bool(prompts) and is_cut(made.sent, max(prompts)))
    return ShapeResult(
        prompt=shape.prompt,
        answer=shape.answer,
        counted_by=made.counted_by,
        source=made.source,
        prompt_tokens=(min(prompts), max(prompts)) if prompts else None,
        output_tokens=(min(outputs), max(outputs)) if outputs else None,
        exact=bool(prompts) and {*prompts} == {shape.prompt},
        status="failed" if cut else "passed" if prompts else "unknown",
        sentence=_sentence(made, prompts, cut),
        prompt_tok_s=_middle(_reading_rate(one, made, usage_exact) for one in answers),
        decode_tok_s=_middle(METRICS["decode_tok_s"].of(one, basis, {}) for one in answers),  # type: ignore[misc]
    )


def _reading_rate(answer: Record, made: FittedLength, usage_exact: bool) -> float | None:
    """Prompt tokens a second until the first text, without those from a cache, of which a template's are few. Where an
    answer has no count of them, they are as many as when the prompt was made: prompts differ in their nonce alone."""
    counted = answer.usage_prompt if usage_exact else answer.tokenizer_prompt
    prompt = made.read if counted is None else counted
    cached = answer.usage_cached or 0 if usage_exact else 0
    if prompt is None or not answer.ttft_ns:
        return None
    return None if cached > max(TEMPLATE_TOKENS, 0.1 * prompt) else (prompt - cached) / (answer.ttft_ns / NS)


def _middle(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _sentence(made: FittedLength, prompts: Sequence[int], cut: bool) -> str:
    if cut:
        read = max(prompts) if prompts else made.read
        return (
            f"prompts were cut: {'about ' if made.counted_by == 'usage' else ''}{made.sent:,} tokens were sent, and "
            f"the server counted {read:,}; {_LARGER}"
        )
    by = _COUNTERS[made.counted_by].format(source=made.source)
    if not prompts:
        return f"prompts were made for {made.shape.prompt:,} tokens, counted by {by}; no answer has a count of them"
    found = f"{prompts[0]:,}" if min(prompts) == max(prompts) else f"{min(prompts):,} to {max(prompts):,}"
    return f"prompts have {found} tokens ({made.shape.prompt:,} were asked for), fitted by {by}"


def length_notes(shape: ShapeResult | None, answers: Sequence[Record], *, usage_exact: bool) -> list[str]:
    """What to know of the lengths of a level's prompts."""
    if shape is not None:
        return [] if shape.exact and shape.status == "passed" else [shape.sentence]
    note = cut_note(answers, usage_exact=usage_exact)
    return [] if note is None else [note]


def cut_note(answers: Sequence[Record], *, usage_exact: bool) -> str | None:
    """Where a tokenizer and the server both count: whether the server read far less than it was sent. Of another
    vocabulary than its own a tokenizer would show no more than a few tokens in a hundred."""
    counted = ((one.tokenizer_prompt, one.usage_prompt) for one in answers if usage_exact and not one.usage_cached)
    pairs = [(sent, read) for sent, read in counted if sent is not None and read is not None]
    cut = [(sent, read) for sent, read in pairs if read < _CUT_BELOW * sent - _CUT_TOKENS]
    if not cut or 2 * len(cut) < len(pairs):
        return None
    sent, read = max(cut)
    return (
        f"prompts were cut: up to {sent:,} tokens were sent by the tokenizer's count, and the server counted {read:,}; "
        f"{_LARGER}"
    )
