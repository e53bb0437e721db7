"""How many tokens an answer had, and how sure that is.

Three counts stand side by side: the server's `usage`, text events, and a tokenizer. A chunk is not a token: servers
batch tokens into one event, hold back unfinished characters, and some report their number of chunks as usage.
One basis is chosen for all answers of a level, so that they can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lmx_loadgen.analysis.records import Record

TokenKind = Literal["usage", "tokenizer", "events", "characters"]


@dataclass(frozen=True, slots=True)
class Basis:
    """Which count is used, and whether it is a count of tokens. `characters` are counted only where two servers have
    no count of tokens in common."""

    kind: TokenKind
    exact: bool
    prompt_exact: bool


def choose_basis(
    answers: Sequence[Record], *, usage_output_exact: bool, usage_prompt_exact: bool, tokenizer: bool = True
) -> Basis:
    """The best count that every one of these answers has: a tokenizer's (unless that is not asked for), else an exact
    usage, else text events."""
    if tokenizer and answers and all(answer.tokenizer_output for answer in answers):
        return Basis("tokenizer", True, all(answer.tokenizer_prompt is not None for answer in answers))
    prompt_exact = usage_prompt_exact and all(answer.usage_prompt is not None for answer in answers)
    if answers and usage_output_exact and all(answer.usage_output for answer in answers):
        return Basis("usage", True, prompt_exact)
    return Basis("events", False, prompt_exact)


def output_tokens(answer: Record, basis: Basis) -> int | None:
    """Tokens of the answer as counted on this basis, None where it has no such count."""
    if basis.kind == "tokenizer":
        return answer.tokenizer_output
    if basis.kind == "usage":
        return answer.usage_output
    if basis.kind == "characters":
        return answer.characters or None
    return answer.text_events or None


def visible_tokens(answer: Record, basis: Basis) -> int | None:
    """Output tokens that arrived as text, which is what a rate of arrival may count.

    Servers count the end-of-turn token into `completion_tokens`, and it has no text. Where an answer stopped by itself
    and its usage is one more than its text events, that one is taken off.
    """
    tokens = output_tokens(answer, basis)
    if tokens is None or basis.kind != "usage":
        return tokens
    unseen = answer.finish_reason in ("stop", "tool_calls") and tokens == answer.text_events + 1
    return tokens - 1 if unseen else tokens


def prompt_tokens(answer: Record, basis: Basis) -> int | None:
    """Prompt tokens where the count is exact, else None."""
    if not basis.prompt_exact:
        return None
    return answer.tokenizer_prompt if basis.kind == "tokenizer" else answer.usage_prompt


def tokens_per_event(answer: Record, basis: Basis) -> float | None:
    """The answer's tokens spread evenly over its text events: all that can be said of a single event."""
    tokens = visible_tokens(answer, basis)
    return None if tokens is None or not answer.text_events else tokens / answer.text_events
