"""vLLM: the role event with the first engine output, and an error in the stream is followed by [DONE]."""

from typing import ClassVar

from lmx_loadgen.sim.answer import Reply, ScriptedAnswer, State
from lmx_loadgen.sim.connection import HttpRequest
from lmx_loadgen.sim.dialects.base import DONE, FastApiDialect, Json, Route


class Vllm(FastApiDialect):
    """vLLM's OpenAI server behind uvicorn."""

    name: ClassVar[str] = "vllm"
    owner: ClassVar[str] = "vllm"
    counts_as_it_goes: ClassVar[bool] = True
    stream_headers: ClassVar[tuple[str, ...]] = ("server: uvicorn", "content-type: text/event-stream; charset=utf-8")
    json_headers: ClassVar[tuple[str, ...]] = ("server: uvicorn", "content-type: application/json")
    open_paths: ClassVar[tuple[str, ...]] = ("/health", "/version", "/ping")

    def chunk(self, a: ScriptedAnswer, delta: Json, finish: str | None) -> Json:
        choice: Json = {"index": a.index, "delta": delta, "logprobs": None, "finish_reason": finish}
        if finish is not None:
            choice["stop_reason"] = None
        return self.frame(a) | {"choices": [choice]}

    def text_chunk(self, a: ScriptedAnswer, text: str, finish: str | None) -> Json:
        choice = {"index": a.index, "text": text, "logprobs": None, "finish_reason": finish, "stop_reason": None}
        return self.frame(a) | {"choices": [choice]}

    def last_delta(self) -> Json:
        return {"content": ""}

    def failing(self, a: ScriptedAnswer, message: str) -> list[list[bytes]]:
        error = {"message": message, "type": "InternalServerError", "param": None, "code": 500}
        return [[self.event({"error": error})], [DONE]]

    def cached(self, a: ScriptedAnswer) -> Json:
        return {"prompt_tokens_details": {"cached_tokens": a.cached_tokens}} if a.cached_tokens else {}

    def error(self, status: int, message: str, kind: str = "BadRequestError", code: str | None = None) -> Reply:
        return Reply(status, {"error": {"message": message, "type": kind, "param": None, "code": status}})

    def bad_key(self) -> Reply:
        return Reply(401, {"error": "Unauthorized"})

    def wrong_model(self, model: str) -> Reply:
        reply = self.error(404, f"The model `{model}` does not exist.", "NotFoundError")
        assert isinstance(reply.body, dict)
        reply.body["error"]["param"] = "model"
        return reply

    def refuse_choices(self, state: State, body: Json) -> Reply | None:
        if body["n"] == 1 or body.get("temperature") != 0:
            return None
        return self.error(400, f"n must be 1 when using greedy sampling, got {body['n']}.")

    def resolve(self, state: State, body: Json) -> str | Reply:
        model = str(body.get("model") or (state.loaded[0] if state.loaded else ""))
        return model if model in state.loaded else self.wrong_model(model)

    def models(self, state: State, request: HttpRequest) -> Reply:
        data = [
            {"id": m, "object": "model", "created": state.started, "owned_by": "vllm", "root": m, "parent": None}
            | {"max_model_len": 8192}
            for m in state.loaded
        ]
        return Reply(200, {"object": "list", "data": data})

    def routes(self) -> dict[tuple[str, str], Route]:
        empty: Route = lambda state, request: Reply(200, b"")  # noqa: E731
        return {
            ("GET", "/v1/models"): self.models,
            ("GET", "/version"): lambda state, request: Reply(200, {"version": "0.11.0"}),
            ("GET", "/health"): empty,
            ("GET", "/ping"): empty,
        }
