"""mlx_lm.server: HTTP/1.0, streams that end with the connection, keepalive comments, the role in every delta."""

from typing import ClassVar
from urllib.parse import unquote

from lmx_loadgen.sim.answer import Reply, ScriptedAnswer, State
from lmx_loadgen.sim.connection import HttpRequest
from lmx_loadgen.sim.dialects.base import ONE_MODEL, Json, Route, SimDialect, model_list

CORS = ("Access-Control-Allow-Origin: *", "Access-Control-Allow-Methods: *", "Access-Control-Allow-Headers: *")
SERVER = "Server: BaseHTTP/0.6 Python/3.12.1"
NOT_CACHED = (
    "Cannot find an appropriate cached snapshot folder for the specified revision on the local disk and outgoing "
    "traffic has been disabled."
)


class MlxLm(SimDialect):
    """mlx_lm.server 0.32.2."""

    name: ClassVar[str] = "mlx-lm"
    http: ClassVar[str] = "HTTP/1.0"
    spaced: ClassVar[bool] = True
    opens: ClassVar[str] = "slot"
    role_at: ClassVar[str | None] = None
    tells_methods: ClassVar[bool] = False
    stream_headers: ClassVar[tuple[str, ...]] = (
        SERVER, "Content-type: text/event-stream", "Cache-Control: no-cache", *CORS,
    )  # fmt: skip
    json_headers: ClassVar[tuple[str, ...]] = (SERVER, "Content-type: application/json", *CORS)
    whole_tool_call: ClassVar[bool] = True
    ignores: ClassVar[tuple[str, ...]] = ("n",)
    default_max_tokens: ClassVar[int | None] = 512

    def frame(self, a: ScriptedAnswer) -> Json:
        kind = "chat.completion.chunk" if a.endpoint == "chat" else "text_completion"
        shared = {"id": a.id, "system_fingerprint": "sim", "object": kind, "model": a.model}
        return shared | {"created": a.created}

    def chunk(self, a: ScriptedAnswer, delta: Json, finish: str | None) -> Json:
        full = {"role": "assistant"} | delta
        return self.frame(a) | {"choices": [{"index": a.index, "finish_reason": finish, "delta": full}]}

    def text_chunk(self, a: ScriptedAnswer, text: str, finish: str | None) -> Json:
        return self.frame(a) | {"choices": [{"index": a.index, "finish_reason": finish, "text": text}]}

    def comments(self, a: ScriptedAnswer) -> list[bytes]:
        total = a.prompt_tokens - a.cached_tokens
        early = [b": keepalive %d/%d\n\n" % (total - 1, total)] if total > 1 else []
        return [*early, b": keepalive %d/%d\n\n" % (total, total)]

    def usage_chunk(self, a: ScriptedAnswer) -> Json:
        return super().usage_chunk(a) | {"object": "chat.completion"}

    def body(self, a: ScriptedAnswer, text: str) -> Json:
        body = super().body(a, text)
        body["choices"][0].pop("logprobs", None)
        return body

    def error(self, status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> Reply:
        return Reply(status, {"error": message})

    def bad_json(self, body: bytes, error: ValueError) -> Reply:
        return self.error(400, f"Invalid JSON in request body: {error}")

    def unknown_path(self, method: str, path: str) -> Reply:
        return Reply(404, "Not Found")

    def missing(self, name: str, body: Json) -> Reply:
        return self.error(400, f"Request did not contain {name}")

    def wrong_model(self, model: str) -> Reply:
        return self.error(404, NOT_CACHED)

    def resolve(self, state: State, body: Json) -> str | Reply:
        model = str(body.get("model") or "default_model")
        if not state.loaded or (model != "default_model" and model not in state.loaded):
            return self.wrong_model(model)
        return model

    def one_model(self, state: State, request: HttpRequest) -> Reply:
        wanted = unquote(request.path.removeprefix("/v1/models/"))  # a list all the same, perhaps an empty one
        return Reply(200, model_list(state, self.owner, [model for model in state.loaded if model == wanted]))

    def routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("GET", "/v1/models"): self.models,
            ("GET", ONE_MODEL): self.one_model,
            ("GET", "/health"): lambda state, request: Reply(200, {"status": "ok"}),
        }
