"""How many tokens an answer had, and how sure that is.

Three counts stand side by side: the server's `usage`, text events, and a tokenizer. A chunk is not a token: servers
batch tokens into one event, hold back unfinished characters, and some report their number of chunks as usage.
One basis is chosen for all answers of a level, so that they can be compared; the few that lack its count are left out.
Tokens that nobody saw (hidden reasoning, text held back by a parser) are no tokens that arrived.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.spread import spread

TokenKind = Literal["usage", "tokenizer", "events", "characters"]
# `missing`: none came; `impossible`: fewer tokens than text events; `doubtful`: far more than the text can be.
UsageState = Literal["exact", "missing", "impossible", "doubtful"]

# Tokens without text that a healthy server counts: the marks around turns, thoughts and tool calls.
_MARKS = 16
# Fewer than this many tokens before the first text are marks, or a character that was not whole yet.
NOTICEABLE = 8


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
    """The best count that these answers have: a tokenizer's (unless that is not asked for), else an exact usage, else
    text events. One that all have goes before one that only half of them or more have."""
    n = len(answers)
    by_tokenizer = sum(1 for answer in answers if answer.tokenizer_output) if tokenizer else 0
    states = [usage_state(answer) for answer in answers] if usage_output_exact else []
    by_usage = states.count("exact") if 2 * states.count("doubtful") < n else 0
    prompt_exact = usage_prompt_exact and 2 * sum(answer.usage_prompt is not None for answer in answers) >= n
    for enough in (n, (n + 1) // 2):
        if n and by_tokenizer >= enough:
            prompts = sum(answer.tokenizer_prompt is not None for answer in answers)
            return Basis("tokenizer", True, prompts >= enough)
        if n and by_usage >= enough:
            return Basis("usage", True, prompt_exact)
    return Basis("events", False, prompt_exact)


def usage_state(answer: Record) -> UsageState:
    """Whether an answer's usage can be the count of the tokens that arrived."""
    tokens = answer.usage_output
    if tokens is None:
        return "missing"
    if tokens < max(1, answer.fewest_tokens):
        return "impossible"
    if _has_running(answer):
        return "exact"
    return "doubtful" if _is_doubtful(answer, tokens - _hidden_reasoning(answer)) else "exact"


def _has_running(answer: Record) -> bool:
    """Whether its chunks carry a running count that its last usage agrees with."""
    last = answer.running_last
    return last is not None and (answer.usage_output is None or answer.usage_output >= last)


def _is_doubtful(answer: Record, arrived: int) -> bool:
    """Whether so many tokens cannot be in the text. As long as there are hardly more than text events, each is one."""
    if not answer.most_tokens:  # a log may hold no text
        return False
    if arrived >= 2 * answer.fewest_tokens and arrived > answer.most_tokens + _MARKS:
        return True
    # A summary of thoughts is streamed instead of the thoughts.
    thoughts, shown = answer.usage_reasoning or 0, answer.most_reasoning or 0
    return shown > 0 and thoughts > shown + _MARKS


def _hidden_reasoning(answer: Record) -> int:
    """Tokens of reasoning that the server counted and did not stream; 0 where its word does not fit what came."""
    thoughts = answer.usage_reasoning or 0
    if answer.most_reasoning or answer.usage_output is None or answer.usage_output - thoughts < answer.fewest_tokens:
        return 0
    return thoughts


def hidden_tokens(answer: Record) -> int:
    """About how many tokens were made before the first text came, and never sent; 0 where none is known of."""
    if _has_running(answer):
        before = round((answer.running_first or 0) - (answer.running_own or 0.0))
        return before if before >= NOTICEABLE else 0
    return _hidden_reasoning(answer)


def output_tokens(answer: Record, basis: Basis) -> int | None:
    """Tokens of the answer that were sent, as counted on this basis, None where it has no such count."""
    if basis.kind == "tokenizer":
        return answer.tokenizer_output
    if basis.kind == "usage":
        if answer.usage_output is None or usage_state(answer) != "exact":
            return None
        return answer.usage_output - hidden_tokens(answer)
    if basis.kind == "characters":
        return answer.characters or None
    return answer.text_events or None


def generated_tokens(answer: Record, basis: Basis) -> int | None:
    """All tokens that were made for the answer, hidden ones too: what `max_tokens` limits."""
    if basis.kind != "usage":
        return output_tokens(answer, basis)
    return None if usage_state(answer) == "impossible" else answer.usage_output


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


def read_tokens(answer: Record, basis: Basis, total: float | None = None) -> tuple[float, ...] | None:
    """The tokens that each read of text brought, None where the answer has no count of them.

    They are what the server's running count says; else the whole (or `total`, where that is an estimate), shared out by
    the characters of the reads. Events and characters are counted as they came.
    """
    if basis.kind == "events":
        return tuple(map(float, answer.reads.events)) or None
    if basis.kind == "characters":
        return tuple(map(float, answer.reads.characters)) or None
    if basis.kind == "usage" and _has_running(answer):
        counts = answer.reads.running
        return (answer.running_own or 0.0, *(float(now - before) for before, now in pairwise(counts)))
    tokens = visible_tokens(answer, basis) if total is None else total
    if tokens is None or not answer.read_count:
        return None
    return spread(tokens, answer.reads.characters, answer.reads.events)


def tokens_after_first(answer: Record, basis: Basis) -> float | None:
    """What all reads of text but the first brought together: `read_tokens` in one figure."""
    if basis.kind == "usage":
        return answer.usage_after_first
    if basis.kind == "tokenizer":
        return answer.tokenizer_after_first
    if not answer.read_count:
        return None
    if basis.kind == "characters":
        return float(answer.read_characters_sum - answer.first_characters)
    return float(answer.text_events - answer.first_events)


def own_tokens(counts: Sequence[int], characters: Sequence[int], events: Sequence[int]) -> float:
    """What the first read of an answer with running counts brought. It added all that was made before it, seen or not:
    its own tokens are estimated by its characters."""
    after = counts[-1] - counts[0]
    own = after * characters[0] / max(1, sum(characters[1:]))
    return min(max(own, events[0]), counts[0])
