"""LM Studio, from its documentation: the role on every delta, `event: error` in a failing stream, /api/v0."""

from typing import ClassVar

from lmx_loadgen.sim.answer import Reply, ScriptedAnswer, State
from lmx_loadgen.sim.dialects.base import Json, Route, SimDialect

NOTHING_LOADED = "No models loaded. Please load a model in the developer page or use the 'lms load' command."


class LMStudio(SimDialect):
    """LM Studio 0.3.x."""

    name: ClassVar[str] = "lmstudio"
    owner: ClassVar[str] = "organization_owner"
    role_at: ClassVar[str | None] = None
    tells_methods: ClassVar[bool] = False
    lists_installed: ClassVar[bool] = True
    json_headers: ClassVar[tuple[str, ...]] = ("X-Powered-By: Express", "Content-Type: application/json; charset=utf-8")
    stream_headers: ClassVar[tuple[str, ...]] = (
        "X-Powered-By: Express",
        "Content-Type: text/event-stream",
        "Cache-Control: no-cache",
    )
    open_paths: ClassVar[tuple[str, ...]] = ("/",)
    ignores: ClassVar[tuple[str, ...]] = ("n",)

    def frame(self, a: ScriptedAnswer) -> Json:
        return super().frame(a) | {"system_fingerprint": a.model}

    def chunk(self, a: ScriptedAnswer, delta: Json, finish: str | None) -> Json:
        full = ({"role": "assistant"} | delta) if finish is None else delta
        choice = {"index": a.index, "delta": full, "logprobs": None, "finish_reason": finish}
        return self.frame(a) | {"choices": [choice]}

    def text_chunk(self, a: ScriptedAnswer, text: str, finish: str | None) -> Json:
        choice = {"index": a.index, "text": text, "logprobs": None, "finish_reason": finish}
        return self.frame(a) | {"choices": [choice]}

    def failing(self, a: ScriptedAnswer, message: str) -> list[list[bytes]]:
        return [[b"event: error\n" + self.event({"error": {"message": message}})]]

    def cached(self, a: ScriptedAnswer) -> Json:
        return {}

    def unknown_path(self, method: str, path: str) -> Reply:
        return Reply(200, {"error": f"Unexpected endpoint or method. ({method} {path})"})

    def resolve(self, state: State, body: Json) -> str | Reply:
        model = str(body.get("model") or "")
        if model in state.known:
            return model
        if state.loaded:
            return state.loaded[0]  # may serve another model than was asked for
        error = {"message": NOTHING_LOADED, "type": "invalid_request_error", "param": "model"}
        return Reply(404, {"error": error | {"code": "model_not_found"}})

    def routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("GET", "/v1/models"): self.models,
            ("GET", "/api/v0/models"): lambda state, request: Reply(
                200, {"object": "list", "data": [_v0(state, model) for model in state.known]}
            ),
            ("GET", "/api/v1/models"): lambda state, request: Reply(
                200, {"models": [_v1(state, model) for model in state.known]}
            ),
        }


def _v0(state: State, model: str) -> Json:
    loaded = model in state.loaded
    reply: Json = {"id": model, "object": "model", "type": "llm", "publisher": "sim", "arch": "llama"}
    reply |= {"compatibility_type": "mlx", "quantization": "4bit", "state": "loaded" if loaded else "not-loaded"}
    return reply | {"max_context_length": 8192} | ({"loaded_context_length": 4096} if loaded else {})


def _v1(state: State, model: str) -> Json:
    instances = [{"id": model, "config": {"context_length": 4096}}] if model in state.loaded else []
    reply: Json = {"type": "llm", "key": model, "display_name": model, "publisher": "sim"}
    return reply | {"loaded_instances": instances, "max_context_length": 8192}
