"""A result in the fields of Opta-LMX's benchmark plan alone: what its reader demands, and when two are the same."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from lmx_loadgen.store.result import BenchmarkResult, BenchmarkRunStats, SkillsBenchmark, ToolCallBenchmark

# What our models have beyond the plan's fields.
_OURS: dict[type[BaseModel], frozenset[str]] = {
    BenchmarkResult: frozenset({"origin"}),
    ToolCallBenchmark: frozenset({"form", "error"}),
}
_MAY_BE_NULL = frozenset({"tool_call", "raw_tool_call"})


def only_plan_keys(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of a result's JSON what the plan has a field for; values are left as they are, whatever they are."""
    kept: dict[str, Any] = _plan_part(found, BenchmarkResult)
    if isinstance(stats := kept.get("stats"), Mapping):
        kept["stats"] = stats = _plan_part(stats, BenchmarkRunStats)
        stats["tool_call"] = _plan_part(stats.get("tool_call"), ToolCallBenchmark)
        if isinstance(skills := stats.get("skills"), list):
            stats["skills"] = [_plan_part(skill, SkillsBenchmark) for skill in skills]
    return kept


def _plan_part(found: Any, model: type[BaseModel]) -> Any:
    if not isinstance(found, Mapping):
        return found
    return {key: found[key] for key in model.model_fields if key in found and key not in _OURS.get(model, ())}


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
