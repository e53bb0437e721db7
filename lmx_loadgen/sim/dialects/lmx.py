"""Opta-LMX: role event at once, errors as text in a 200 stream, chunk counts as usage, `stop` whatever ended it."""

import time
from typing import ClassVar

from lmx_loadgen.sim.answer import Reply, ScriptedAnswer, ScriptedToolCall, State
from lmx_loadgen.sim.connection import HttpRequest
from lmx_loadgen.sim.dialects import lmx_extras
from lmx_loadgen.sim.dialects.base import DONE, FastApiDialect, Json, Route, SimDialect, json_body

VERSION = "0.1.0"
BUSY = "Server is busy — all inference slots occupied. Try again shortly."


class Lmx(FastApiDialect):
    """Opta-LMX 0.1.0 behind uvicorn."""

    name: ClassVar[str] = "lmx"
    owner: ClassVar[str] = "local"
    spaced: ClassVar[bool] = True
    role_at: ClassVar[str | None] = "received"
    stream_headers: ClassVar[tuple[str, ...]] = (
        "server: uvicorn",
        "content-type: text/event-stream; charset=utf-8",
        "vary: Origin",
    )
    json_headers: ClassVar[tuple[str, ...]] = ("server: uvicorn", "content-type: application/json", "vary: Origin")
    open_paths: ClassVar[tuple[str, ...]] = ("/v1/discovery", "/.well-known/opta-lmx", "/healthz", "/readyz")
    json_before_key: ClassVar[bool] = True
    whole_tool_call: ClassVar[bool] = True
    cuts_long_prompts: ClassVar[bool] = True
    ignores: ClassVar[tuple[str, ...]] = ("max_completion_tokens", "ignore_eos", "min_tokens", "tool_choice", "seed")
    default_max_tokens: ClassVar[int | None] = 2048
    busy_message: ClassVar[str] = BUSY

    def dumps_body(self, value: object) -> bytes:
        return SimDialect.dumps(COMPACT, value)

    def chunk(self, a: ScriptedAnswer, delta: Json, finish: str | None) -> Json:
        full = {"role": None, "content": None, "tool_calls": None} | delta
        choice = {"index": a.index, "delta": full, "finish_reason": finish}
        return self.frame(a) | {"choices": [choice], "usage": None}

    def text_chunk(self, a: ScriptedAnswer, text: str, finish: str | None) -> Json:
        choice = {"text": text, "index": a.index, "logprobs": None, "finish_reason": finish}
        return self.frame(a) | {"choices": [choice]}

    def role_event(self, a: ScriptedAnswer) -> bytes | None:
        if a.endpoint == "completions":
            return self.event(self.text_chunk(a, "", None))
        return super().role_event(a)

    def stream_finish(self, a: ScriptedAnswer) -> str:
        return "stop" if a.call is None else a.finish  # also when max_tokens ended it

    def closing(self, a: ScriptedAnswer) -> list[list[bytes]]:
        groups = [[self.event(chunk)] for chunk in self.last_chunks(a, self.stream_finish(a))]
        if a.include_usage and a.endpoint == "chat":
            # The one event that is written like a body, without blanks.
            groups.append([b"data: " + self.dumps_body(self.usage_chunk(a)) + b"\n\n"])
        return [*groups, [DONE]]

    def failing(self, a: ScriptedAnswer, message: str) -> list[list[bytes]]:
        text = f"\n\n[Error: {message}]"
        reply = self.chunk(a, self.delta(text), None) if a.endpoint == "chat" else self.text_chunk(a, text, None)
        a.finish = "stop"
        a.chunks += 1
        return [[self.event(reply)], *self.closing(a)]

    def stream_usage(self, a: ScriptedAnswer) -> Json:
        if a.odd_usage is not None:
            return a.odd_usage
        prompt, said = a.prompt_chars // 4, a.chunks * a.choices + a.miscount
        return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}

    def cached(self, a: ScriptedAnswer) -> Json:
        return {}

    def call_delta(self, call: ScriptedToolCall, arguments: str, first: bool) -> Json:
        function = {"name": call.name, "arguments": arguments}
        return {"tool_calls": [{"index": 0, "id": call.id, "type": "function", "function": function}]}

    def body(self, a: ScriptedAnswer, text: str) -> Json:
        body = super().body(a, text)
        for choice in body["choices"] if a.endpoint == "chat" else []:
            choice["message"].setdefault("tool_calls", None)
        return body

    def error(self, status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> Reply:
        if status in (401, 403, 408, 409, 422):
            return Reply(status, {"detail": message})
        if status == 429:
            return Reply(status, {"error": f"Rate limit exceeded: {message}"})
        return super().error(status, message, kind, code)

    def bad_json(self, body: bytes, error: ValueError) -> Reply:
        what, place = getattr(error, "msg", "Expecting value"), getattr(error, "pos", 0)
        reply = {"type": "json_invalid", "loc": ["body", place], "msg": "JSON decode error", "input": {}}
        return Reply(422, {"detail": [reply | {"ctx": {"error": what}}]})

    def bad_key(self) -> Reply:
        return Reply(401, {"detail": "Invalid or missing API key"})

    def has_key(self, request: HttpRequest, key: str) -> bool:
        return super().has_key(request, key) or request.headers.get("x-api-key") == key

    def busy(self, a: ScriptedAnswer) -> Reply:
        error = {"message": BUSY, "type": "server_error", "code": "rate_limit_exceeded"}
        return Reply(429, {"error": error}, headers=(("retry-after", "5"),))

    def missing(self, name: str, body: Json) -> Reply:
        reply = {"type": "missing", "loc": ["body", name], "msg": "Field required", "input": body}
        return Reply(422, {"detail": [reply]})

    def wrong_model(self, model: str) -> Reply:
        message = f"The model '{model}' does not exist or is not loaded"
        error = {"message": message, "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
        return Reply(404, {"error": error})

    def resolve(self, state: State, body: Json) -> str | Reply:
        if body.get("model") == "auto" and state.loaded:
            return state.loaded[0]
        return super().resolve(state, body)

    def routes(self) -> dict[tuple[str, str], Route]:
        admin: dict[tuple[str, str], Route] = {
            ("GET", "/admin/models"): _models,
            ("GET", "/admin/models/available"): lambda state, request: Reply(
                200, [{"repo_id": model, "size_bytes": 0} for model in state.known]
            ),
            ("GET", "/admin/status"): _status,
            ("GET", "/admin/health"): lambda state, request: Reply(
                200, {"status": "ok", "version": VERSION, "reason": None, "models_loaded": len(state.loaded)}
            ),
            ("GET", "/admin/memory"): lambda state, request: Reply(
                200, _MEMORY | {"models": {m: {"memory_gb": 0, "loaded": True} for m in state.loaded}}
            ),
            ("GET", "/admin/device"): lambda state, request: Reply(
                200, {"hardware": {"chip_name": None, "memory_gb": None, "metal_available": False}}
            ),
            ("GET", "/admin/models/{id}/performance"): _performance,
            ("POST", "/admin/models/load"): self._load,
            ("POST", "/admin/models/unload"): self._unload,
            ("GET", "/admin/benchmark/results"): lmx_extras.list_benchmarks,
            ("POST", "/admin/benchmark/run"): lmx_extras.run_benchmark,
        }
        return {
            ("GET", "/v1/models"): self.models,
            ("GET", "/v1/discovery"): _discovery,
            ("GET", "/.well-known/opta-lmx"): _discovery,
            ("GET", "/healthz"): lambda state, request: Reply(200, {"status": "ok", "version": VERSION}),
            ("GET", "/readyz"): _ready,
            ("GET", "/v1/skills"): lmx_extras.list_skills,
            ("POST", lmx_extras.EXECUTE): lmx_extras.execute_skill,
        } | {place: _for_admins(route) for place, route in admin.items()}

    def _load(self, state: State, request: HttpRequest) -> Reply:
        model = str(json_body(request).get("model_id", ""))
        if model not in state.loaded:
            if model not in state.installed:
                return Reply(202, {"status": "download_required", "model_id": model})
            state.installed.remove(model)
            state.loaded.append(model)
        return Reply(200, {"success": True, "model_id": model, "memory_after_load_gb": None, "time_to_load_ms": None})

    def _unload(self, state: State, request: HttpRequest) -> Reply:
        model = str(json_body(request).get("model_id", ""))
        if model not in state.loaded:
            return self.wrong_model(model)
        state.loaded.remove(model)
        state.installed.append(model)
        return Reply(200, {"success": True, "model_id": model, "memory_freed_gb": 0.0})


COMPACT = SimDialect()
_MEMORY: Json = {"total_unified_memory_gb": 64.0, "used_gb": 8.0, "available_gb": 56.0, "threshold_percent": 90}


def _for_admins(route: Route) -> Route:
    """The same route behind the admin key."""

    def guarded(state: State, request: HttpRequest) -> Reply:
        key = state.settings.admin_key
        if key is not None and request.headers.get("x-admin-key") != key:
            return Reply(403, {"detail": "Invalid or missing admin key"})
        return route(state, request)

    return guarded


def _ready(state: State, request: HttpRequest) -> Reply:
    if not state.loaded:
        return Reply(503, {"status": "unavailable", "reason": "no models loaded"})
    return Reply(200, {"status": "ready", "version": VERSION, "models_loaded": len(state.loaded)})


def _discovery(state: State, request: HttpRequest) -> Reply:
    base, settings = f"http://{state.settings.host}:{state.port}", state.settings
    auth = {
        "admin_key_required": settings.admin_key is not None,
        "inference_key_required": settings.api_key is not None,
        "supabase_jwt_enabled": False,
    }
    endpoints = {
        "preferred_base_url": base,
        "base_urls": [base],
        "openai_base_url": f"{base}/v1",
        "admin_base_url": f"{base}/admin",
    }
    reply = {
        "schema_version": "2026-03-02",
        "instance_id": f"sim:{state.port}",
        "continuity": {"event_resume_supported": True},
        "service": "opta-lmx",
        "version": VERSION,
        "security_profile": "lan",
        "ready": bool(state.loaded),
        "loaded_models": list(state.loaded),
        "loaded_model_count": len(state.loaded),
        "in_flight_requests": state.in_flight,
        "auth": auth,
        "endpoints": endpoints,
        "client_probe_order": ["/.well-known/opta-lmx", "/v1/discovery", "/healthz", "/v1/models"],
        "hardware_summary": {"chip": None, "memory_gb": None, "metal": False},
    }
    return Reply(200, reply)


def _models(state: State, request: HttpRequest) -> Reply:
    loaded = [_admin_model(state, model) for model in state.loaded]
    return Reply(200, {"loaded": loaded, "count": len(loaded)})


def _admin_model(state: State, model: str) -> Json:
    return {
        "id": model,
        "loaded": True,
        "memory_gb": 0.0,
        "loaded_at": float(state.started),
        "use_batching": True,
        "request_count": state.served,
        "last_used_at": time.time(),
        "context_length": state.settings.context or 4096,
        "performance": {},
        "speculative": {"requested": False, "active": False, "reason": "not_requested", "draft_model": None},
        "readiness": {"state": "routable", "reason": None, "crash_count": 0},
    }


def _status(state: State, request: HttpRequest) -> Reply:
    reply = {
        "version": VERSION,
        "uptime_seconds": round(time.time() - state.started, 1),
        "loaded_models": len(state.loaded),
        "models": list(state.loaded),
        "memory": {"total_gb": 64.0, "used_gb": 8.0, "available_gb": 56.0, "usage_percent": 12.5},
        "in_flight_requests": state.in_flight,
        "max_concurrent_requests": state.settings.slots or 4,
    }
    return Reply(200, reply)


def _performance(state: State, request: HttpRequest) -> Reply:
    model = request.path.removeprefix("/admin/models/").removesuffix("/performance")
    if model not in state.loaded:
        return Lmx().wrong_model(model)
    reply = {
        "model_id": model,
        "backend_type": "sim",
        "loaded_at": float(state.started),
        "request_count": state.served,
        "context_length": 4096,
        "use_batching": True,
        "performance": {},
        "global_defaults": {"prefix_cache_enabled": state.settings.prefix_cache, "stream_interval": 1},
        "max_concurrent_requests": state.settings.slots or 4,
    }
    return Reply(200, reply)
