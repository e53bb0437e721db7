"""Runs named skills on servers that have any: Opta-LMX's `POST /v1/skills/{name}/execute`."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pydantic_core

from lmx_loadgen.decode.errors import plain
from lmx_loadgen.profile.checks import Checks, SkillSpec
from lmx_loadgen.session.checks.client import CheckClient, CheckReply
from lmx_loadgen.store.result import NOT_SUPPORTED
from lmx_loadgen.targets.base import Target

PREVIEW = 200
_LIST_S = 10.0
_MOST_NAMES = 20
_LONGEST_SAMPLE = 2_000
_SAMPLES: Mapping[str, Any] = {
    "string": "Hello from lmx-loadgen",
    "integer": 1,
    "number": 1,
    "boolean": False,
    "array": [],
    "object": {},
}


def run_skills(target: Target, checks: Checks, ask: CheckClient) -> list[dict[str, Any]]:
    """The fields of a `check` line for each skill that the profile names."""
    if not checks.include_skills:
        return []
    root = target.base_url.removesuffix("/v1")
    known, refusal = _listed(ask("GET", f"{root}/v1/skills", target.headers, timeout_s=_LIST_S))
    lines = []
    for spec in checks.include_skills:
        manifest = next((one for one in known if spec.name in _names(one)), None)
        if refusal is None and manifest is None:
            there = ", ".join(plain(str(one.get("name")), 60) for one in known[:_MOST_NAMES]) or "none"
            lines.append(_line(spec, None, None, f"the server has no such skill (it has: {there})"))
        elif manifest is None:
            lines.append(_line(spec, None, None, refusal))
        else:
            lines.append(_executed(target, root, spec, manifest, ask, checks.skill_timeout))
    return lines


def _executed(
    target: Target, root: str, spec: SkillSpec, manifest: Mapping[str, Any], ask: CheckClient, timeout_s: float
) -> dict[str, Any]:
    arguments = spec.arguments if spec.arguments is not None else least_arguments(manifest.get("input_schema"))
    body = {"arguments": arguments, "approved": False, "timeout_sec": min(timeout_s, 600.0)}
    reply = ask("POST", f"{root}/v1/skills/{quote(spec.name)}/execute", target.headers, body, timeout_s=timeout_s)
    error, output = _outcome(reply)
    answer = None if error is not None else {"output": output}
    return _line(spec, answer, reply.latency_ns if reply.error is None else None, error, arguments)


def _outcome(reply: CheckReply) -> tuple[str | None, str | None]:
    """(why it failed, the first characters of what the skill gave)."""
    if reply.error is not None:
        return reply.error, None
    if reply.status != 200:
        return reply.refusal(), None
    data = reply.json()
    if not isinstance(data, dict) or not isinstance(data.get("ok"), bool):
        return "the server's answer is not that of a skill", None
    if data["ok"]:
        return None, _shown(data.get("output"))
    if data.get("requires_approval"):
        return "it asks for an approval, which this tool does not give", None
    if data.get("timed_out"):
        return "it ran into the server's own time limit", None
    return plain(str(data.get("error") or "it failed without a word")), None


def least_arguments(schema: Any) -> dict[str, Any]:
    """The least that a skill's own schema asks for: each required property by its default, its first example or
    allowed value, else something harmless of its type."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    required = schema.get("required") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or not isinstance(required, list):
        return {}
    return {name: _sample(properties.get(name)) for name in required if isinstance(name, str)}


def _sample(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return _SAMPLES["string"]
    given = [[schema["default"]] if "default" in schema else [], schema.get("examples"), schema.get("enum")]
    for values in given:
        if isinstance(values, list) and values and len(str(values[0])) <= _LONGEST_SAMPLE:
            return values[0]
    return _SAMPLES.get(str(schema.get("type")), _SAMPLES["string"])


def _listed(reply: CheckReply) -> tuple[list[dict[str, Any]], str | None]:
    """The skills that a server says it has, and why it says nothing of the kind."""
    if reply.error is not None:
        return [], reply.error
    if reply.status in (401, 403):
        return [], reply.refusal()
    data = reply.json()
    entries = data.get("data") if isinstance(data, dict) and reply.status == 200 else None
    if not isinstance(entries, list):
        return [], NOT_SUPPORTED
    return [entry for entry in entries if isinstance(entry, dict)], None


def _names(manifest: Mapping[str, Any]) -> set[Any]:
    return {value for key in ("name", "qualified_name", "reference") if isinstance(value := manifest.get(key), str)}


def _line(
    spec: SkillSpec,
    answer: dict[str, Any] | None,
    latency_ns: int | None,
    error: str | None,
    arguments: dict[str, Any] | None = None,
) -> dict[str, Any]:
    asked = {"skill": spec.name, "arguments": arguments if arguments is not None else spec.arguments}
    return {"check": "skill", "asked": asked, "answer": answer, "error": error, "latency_ns": latency_ns}


def _shown(output: Any) -> str:
    text = output if isinstance(output, str) else pydantic_core.to_json(output, fallback=str).decode()
    return text[:PREVIEW]
