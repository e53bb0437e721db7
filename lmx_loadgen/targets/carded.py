"""What a run makes of a server's dialect card."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lmx_loadgen.decode.chat import StreamRules
from lmx_loadgen.store.cards import DialectCard
from lmx_loadgen.targets.base import Target

_LEFT_OUT = ("stream_options", "seed")
# Fields whose honoring is known of a server by name, and of others by their card.
_OPTIONAL = ("ignore_eos", "min_tokens", "seed")


def with_card(target: Target, card: DialectCard) -> Target:
    """The target as its card says that its server takes requests; no request is needed to find out again."""
    status = {name: fact.status for name, fact in card.fields.items()}
    left_out = frozenset(name for name in _LEFT_OUT if status.get(name) == "refused")
    renames = status.get("max_tokens") == "refused" and status.get("max_completion_tokens") != "refused"
    fields = target.dialect.fields
    if target.dialect.is_generic:
        fields |= {name for name in _OPTIONAL if status.get(name) == "honored"}
        fields -= {name for name in _OPTIONAL if status.get(name) in ("ignored", "refused")}
    as_dict = card.model_dump(mode="json")
    return replace(
        target,
        dialect=replace(target.dialect, fields=fields, rules=rules_by(target.dialect.rules, as_dict)),
        left_out=target.left_out | left_out,
        renamed={**target.renamed, **({"max_tokens": "max_completion_tokens"} if renames else {})},
        merges_system=target.merges_system or status.get("system role") == "refused",
        notes=(*target.notes, f"requests follow the dialect card of {card.probed_at}"),
        card=as_dict,
    )


def rules_by(rules: StreamRules, card: Mapping[str, Any] | None) -> StreamRules:
    """The rules for a target's streams, with what its card saw to be inexact. A card makes nothing exact."""
    if card is None:
        return rules
    usage, stream = card.get("usage"), card.get("stream")
    if isinstance(usage, Mapping) and usage.get("exact") is False:
        rules = replace(rules, usage_prompt_exact=False, usage_output_exact=False)
    if isinstance(stream, Mapping) and stream.get("tells_limit") is False:
        rules = replace(rules, finish_reason_exact=False)
    return rules
