"""What Opta-LMX has beside chat: skills, and a benchmark of its own."""

import time

from lmx_loadgen.sim.answer import Reply, State
from lmx_loadgen.sim.connection import HttpRequest
from lmx_loadgen.sim.dialects.base import Json, json_body

EXECUTE = "/v1/skills/{name}/execute"


def list_skills(state: State, request: HttpRequest) -> Reply:
    return Reply(200, {"object": "list", "data": [_manifest(name) for name in state.settings.skills]})


def execute_skill(state: State, request: HttpRequest) -> Reply:
    """`echo` says what it is given, `fail` fails, `approve` wants an approval; any other finds nothing."""
    name = request.path.removeprefix("/v1/skills/").removesuffix("/execute")
    if name not in state.settings.skills:
        return Reply(404, {"detail": "Skill not found"})
    body = json_body(request)
    arguments = body.get("arguments")
    if not isinstance(arguments, dict) or not isinstance(arguments.get("text"), str):
        error = {"message": "missing required argument: text", "type": "server_error", "code": "invalid_arguments"}
        return Reply(400, {"error": error})
    reply: Json = {"skill": f"default/{name}@1.0", "ok": True, "output": None, "error": None, "duration_ms": 1}
    reply |= {"timed_out": False, "denied": False, "requires_approval": False}
    if name == "echo":
        reply["output"] = {"text": arguments["text"]}
    elif name == "fail":
        reply |= {"ok": False, "error": "the skill failed"}
    elif name == "approve" and not body.get("approved"):
        reply |= {"ok": False, "denied": True, "requires_approval": True}
    return Reply(200, reply)


def run_benchmark(state: State, request: HttpRequest) -> Reply:
    """The server's own figures: as the settings have them, with a result's every field."""
    body = json_body(request)
    model = str(body.get("model_id", ""))
    if model not in state.loaded:
        return Reply(409, {"detail": "model_not_loaded"})
    runs = body.get("runs", 5)
    if not isinstance(runs, int) or not 1 <= runs <= 20:
        reply = {"type": "less_than_equal", "loc": ["body", "runs"], "msg": "Input should be less than or equal to 20"}
        return Reply(422, {"detail": [reply | {"input": runs, "ctx": {"le": 20}}]})
    settings = state.settings
    ttft, rate = settings.ttft_ms / 1e3, 1e3 / max(settings.step_ms, 0.001)
    stats: Json = {f"ttft_{part}_sec": ttft for part in ("p50", "p95", "mean")}
    stats |= {f"toks_per_sec_{part}": rate for part in ("p50", "p95", "mean")}
    stats |= {"prompt_tokens": 19, "output_tokens": body.get("num_output_tokens", 200), "runs_completed": runs}
    stats |= {"warmup_runs_discarded": body.get("warmup_runs", 1), "output_text": "A transformer reads.", "skills": []}
    stats |= {"output_token_count": 4, "completed_naturally": True, "repetition_ratio": 0.0, "coherence_flag": "ok"}
    result: Json = {"model_id": model, "backend": "MLXLMBackend", "timestamp": _now(), "status": "ok"}
    prompt = str(body.get("prompt", "Write a detailed explanation"))
    result |= {"hardware": "Apple Silicon", "lmx_version": "0.1.0", "prompt_preview": prompt[:100]}
    result["stats"] = stats | {"tool_call": None}
    state.benchmarks.append(result)
    return Reply(200, result)


def list_benchmarks(state: State, request: HttpRequest) -> Reply:
    return Reply(200, list(state.benchmarks))


def _manifest(name: str) -> Json:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return {
        "schema": "1.0",
        "name": name,
        "namespace": "default",
        "version": "1.0",
        "qualified_name": f"default/{name}",
        "reference": f"default/{name}@1.0",
        "description": f"The skill {name}.",
        "kind": "entrypoint",
        "timeout_sec": 30.0,
        "permission_tags": [],
        "risk_tags": [],
        "input_schema": schema,
    }


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
