"""What the tenth turn costs: the figures of chats by turn."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median, median_low
from typing import Any

from lmx_loadgen.analysis.cache import TEMPLATE_TOKENS
from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.record_store import grouped, where
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.profile.load_point import LoadPoint
from lmx_loadgen.store.result import TurnResult
from lmx_loadgen.system.clock import NS

_TURN = "turn "


def turn_of(record: Record) -> int | None:
    """Which turn of its chat a request is, from 1; None where it is of no chat."""
    name = record.prompt_class.removeprefix(_TURN)
    return int(name) if record.prompt_class.startswith(_TURN) and name.isdigit() else None


def turn_results(
    point: LoadPoint, measured: Sequence[Record], basis: Basis, profile: Mapping[str, Any], *, usage_exact: bool
) -> list[TurnResult]:
    """The figures of each turn, over all chats; none where no users lead chats. First requests of users count too: a
    chat's first turn is nothing else. `usage_exact`: the server's usage is a count of the prompt's tokens."""
    if point.kind != "sessions":
        return []
    of_turns = grouped(where(measured, lambda one: one.outcome != "cancelled"), turn_of)
    by_turn = {turn: mine for turn, mine in of_turns.items() if turn is not None}
    begin_alike = profile["prompts"].get("shared_system") is not None
    template = 0 if begin_alike else _of_template(by_turn.get(1, []))
    return [_result(turn, asked, basis, usage_exact, template) for turn, asked in sorted(by_turn.items())]


def _of_template(first: Sequence[Record]) -> int:
    """How many tokens a chat template puts before the nonce, by what first turns had from a cache: no server has seen
    the rest of them. More than a template has is a cache that holds chats, and is shown."""
    known = [one.usage_cached for one in first if one.usage_cached is not None]
    found = median_low(known) if known else 0
    return found if found <= TEMPLATE_TOKENS else 0


def _result(turn: int, asked: Sequence[Record], basis: Basis, usage_exact: bool, template: int) -> TurnResult:
    answers = where(asked, lambda one: one.ok)
    contexts = [one.usage_prompt if usage_exact else one.tokenizer_prompt for one in answers]
    shares = [
        max(0, one.usage_cached - template) / (one.usage_prompt - template)
        for one in answers
        if one.usage_cached is not None and one.usage_prompt is not None and usage_exact and one.usage_prompt > template
    ]
    decode = METRICS["decode_tok_s"].of
    return TurnResult(
        turn=turn,
        answers=len(answers),
        failed=len(asked) - len(answers),
        context_tokens=_middle(contexts),
        cached_share=_middle(shares),
        ttft_sec=_middle(None if one.ttft_ns is None else one.ttft_ns / NS for one in answers),
        decode_tok_s=_middle(decode(one, basis, {}) if decode is not None else None for one in answers),
    )


def _middle(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
