"""What is to be known about how the answers of a level came, in sentences with their counts."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis, hidden_tokens, output_tokens, usage_state

# The notes of request lines, by their code: what follows "3 of 48 answers".
_SENTENCES = {
    "held_open": "were followed by a connection that stayed open: it was closed, and its slot was free at their end",
    "leading_white_space": "began with white space, which is no first token: TTFT is to the first other text",
    "no_finish_reason": "ended without a finish reason: how they ended is unknown",
    "no_blank_line": "lacked the empty line after their last event, which was read all the same",
}
_LEFT_OUT = ": left out of token figures, and estimated in system tok/s by their text events"


def answer_notes(good: Sequence[Record], basis: Basis, *, usage_exact: bool) -> list[str]:
    """The notes on these answers, which all went well. `usage_exact`: the server's usage is a count of tokens."""
    codes = Counter(code for answer in good for code in answer.notes)
    return [
        *_count_notes(good, basis, usage_exact),
        *_hidden_note(good, usage_exact),
        *_limit_note(good, usage_exact),
        *(
            f"{_of(count, good)} {_SENTENCES.get(code, 'noted: ' + code.replace('_', ' '))}"
            for code, count in sorted(codes.items())
        ),
    ]


def _count_notes(good: Sequence[Record], basis: Basis, usage_exact: bool) -> list[str]:
    """Which answers have no count, or one that cannot be of the tokens that arrived."""
    if basis.kind == "tokenizer":
        without = sum(answer.tokenizer_output is None for answer in good)
        return [f"{_of(without, good)} without a tokenizer's count{_LEFT_OUT}"] if without else []
    if not usage_exact:
        return []
    states = Counter(usage_state(answer) for answer in good)
    left_out = _LEFT_OUT if basis.kind == "usage" else ""
    notes = []
    if (missing := states["missing"]) and missing < len(good):
        notes.append(f"{_of(missing, good)} without usage{left_out}")
    if impossible := states["impossible"]:
        notes.append(
            f"{_of(impossible, good)} {_has(impossible)} a usage below their number of text events, "
            f"which is no count of tokens{left_out}"
        )
    if doubtful := states["doubtful"]:
        notes.append(
            f"{_of(doubtful, good)} {_has(doubtful)} a usage far over the text that arrived: tokens were counted that "
            f"were not streamed, and TTFT may include them{left_out}"
        )
    return notes


def _hidden_note(good: Sequence[Record], usage_exact: bool) -> list[str]:
    hidden = [
        (tokens, bool(answer.usage_reasoning)) for answer in good if usage_exact and (tokens := hidden_tokens(answer))
    ]
    if not hidden:
        return []
    kind = "reasoning tokens" if any(by_reasoning for _, by_reasoning in hidden) else "tokens"
    where = "" if len(hidden) == len(good) else f" in {_of(len(hidden), good)}"
    return [f"TTFT includes about {median(tokens for tokens, _ in hidden):.0f} {kind} that were not streamed{where}"]


def _limit_note(good: Sequence[Record], usage_exact: bool) -> list[str]:
    longer = sum(_is_longer(answer, usage_exact) for answer in good)
    verb = "are" if longer > 1 else "is"
    return [f"{_of(longer, good)} {verb} longer than max_tokens: the server ignores the limit"] if longer else []


def _is_longer(answer: Record, usage_exact: bool) -> bool:
    """By the server's own count, or by its text events, each of which is a token at least. Not by a tokenizer, which
    cuts text otherwise than the server."""
    if answer.finish_reason == "length" or not answer.max_tokens:
        return False
    usage = output_tokens(answer, Basis("usage", True, False)) if usage_exact else None
    return (answer.fewest_tokens if usage is None else usage) > answer.max_tokens


def _of(count: int, good: Sequence[Record]) -> str:
    return f"{count} of {len(good)} answers"


def _has(count: int) -> str:
    return "have" if count > 1 else "has"
