"""A result in the fields of Opta-LMX's benchmark plan alone: what its reader demands, and when two are the same."""

import json
from collections.abc import Mapping
from typing import Any

from lmx_loadgen.store.result import BenchmarkResult

_RESULT = ("model_id", "backend", "timestamp", "status", "hardware", "lmx_version", "prompt_preview", "stats")
_STATS = (
    "ttft_p50_sec",
    "ttft_p95_sec",
    "ttft_mean_sec",
    "toks_per_sec_p50",
    "toks_per_sec_p95",
    "toks_per_sec_mean",
    "prompt_tokens",
    "output_tokens",
    "runs_completed",
    "warmup_runs_discarded",
    "output_text",
    "output_token_count",
    "completed_naturally",
    "repetition_ratio",
    "coherence_flag",
    "tool_call",
    "skills",
)
_TOOL_CALL = (
    "tool_definition",
    "expected_tool_name",
    "prompt_used",
    "call_produced",
    "tool_name_correct",
    "params_valid_json",
    "params_match_schema",
    "raw_tool_call",
    "latency_sec",
)
_SKILL = ("skill_name", "skill_invoked_successfully", "skill_result_preview", "skill_latency_sec", "error")
_MAY_BE_NULL = frozenset({"tool_call", "raw_tool_call"})


def only_plan_keys(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of a result's JSON what the plan has a field for; values are left as they are, whatever they are."""
    kept: dict[str, Any] = _of(found, _RESULT)
    if isinstance(stats := kept.get("stats"), Mapping):
        kept["stats"] = stats = _of(stats, _STATS)
        stats["tool_call"] = _of(stats.get("tool_call"), _TOOL_CALL)
        if isinstance(skills := stats.get("skills"), list):
            stats["skills"] = [_of(skill, _SKILL) for skill in skills]
    return kept


def _of(found: Any, keys: tuple[str, ...]) -> Any:
    return {key: found[key] for key in keys if key in found} if isinstance(found, Mapping) else found


def plan_fields(result: BenchmarkResult) -> dict[str, Any]:
    """The result as plain values with the plan's keys, all of them and no other; a version not known is empty."""
    return only_plan_keys(result.model_dump(mode="json")) | {"lmx_version": result.lmx_version or ""}


def identity(result: BenchmarkResult) -> str:
    """The same for two results that say the same in the plan's fields, wherever they lie."""
    return json.dumps(plan_fields(result), sort_keys=True)


def undefined(result: BenchmarkResult) -> list[str]:
    """The figures that Opta-LMX's reader demands and that are not defined here; with none it reads the result."""
    stats = plan_fields(result)["stats"]
    if stats is None:
        return ["stats"]
    of_call = {f"tool_call.{key}": value for key, value in (stats["tool_call"] or {}).items()}
    return [
        key
        for key, value in (stats | of_call).items()
        if value is None and key.removeprefix("tool_call.") not in _MAY_BE_NULL
    ]
