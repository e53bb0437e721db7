"""llama.cpp's llama-server: headers with the slot, role and first token in one chunk, timings, any model name."""

from typing import Any, ClassVar

from lmx_loadgen.sim.answer import Reply, ScriptedAnswer, State
from lmx_loadgen.sim.connection import HttpRequest
from lmx_loadgen.sim.dialects.base import DONE, Json, Route, SimDialect


class LlamaCpp(SimDialect):
    """llama-server b11434."""

    name: ClassVar[str] = "llamacpp"
    owner: ClassVar[str] = "llamacpp"
    opens: ClassVar[str] = "slot"
    role_shares_chunk: ClassVar[bool] = True
    dated: ClassVar[bool] = False
    tells_methods: ClassVar[bool] = False
    merges_system: ClassVar[bool] = True
    stream_headers: ClassVar[tuple[str, ...]] = (
        "Server: llama.cpp",
        "Access-Control-Allow-Origin: ",
        "X-Accel-Buffering: no",
        "Content-Type: text/event-stream",
    )
    json_headers: ClassVar[tuple[str, ...]] = (
        "Server: llama.cpp",
        "Access-Control-Allow-Origin: ",
        "Content-Type: application/json; charset=utf-8",
    )
    ping: ClassVar[bytes | None] = b":\n\n"

    def new_id(self, endpoint: str, token: str, number: int) -> str:
        return f"chatcmpl-{token}"

    def chunk(self, a: ScriptedAnswer, delta: Json, finish: str | None) -> Json:
        return {"choices": [{"finish_reason": finish, "index": a.index, "delta": delta}]} | self._tail(a)

    def _tail(self, a: ScriptedAnswer, kind: str = "chat.completion.chunk") -> Json:
        return {
            "created": a.created,
            "id": a.id,
            "model": a.model,
            "system_fingerprint": "b0-unknown",
            "object": kind,
        }

    def text_chunk(self, a: ScriptedAnswer, text: str, finish: str | None) -> Json:
        choice = {"text": text, "index": a.index, "logprobs": None, "finish_reason": finish}
        return {"choices": [choice]} | self._tail(a, "text_completion")

    def role_delta(self) -> Json:
        return {"role": "assistant", "content": None}

    def opening(self, a: ScriptedAnswer) -> bytes | None:
        several = a.endpoint == "completions" and a.prompts > 1
        return b"data: null\n\n" if several else None

    def closing(self, a: ScriptedAnswer) -> list[list[bytes]]:
        return [*(self._last_events(a) for a.index in range(a.choices)), [DONE]]

    def _last_events(self, a: ScriptedAnswer) -> list[bytes]:
        """The end of one choice: each has a usage of its own."""
        last = self.last_chunk(a, a.finish)
        if a.endpoint == "completions":
            last |= {"usage": self.usage(a), "timings": timings(a)}
        elif not a.include_usage:
            last["timings"] = timings(a)
        events = [self.event(last)]
        if a.endpoint == "chat" and a.include_usage:
            usage: Json = {"choices": []} | self._tail(a) | {"usage": self.usage(a), "timings": timings(a)}
            events.append(self.event(usage))
        return events

    def completion_tokens(self, a: ScriptedAnswer) -> int:
        return a.tokens  # of one choice

    def refuse_choices(self, state: State, body: Json) -> Reply | None:
        slots, choices = state.settings.slots or 1, body["n"]
        if choices <= slots:
            return None
        return self.error(400, f"Field 'n': Value must be between 1 <= value <= {slots}, but got {choices}")

    def failing(self, a: ScriptedAnswer, message: str) -> list[list[bytes]]:
        return [[self.event({"error": {"code": 500, "message": message, "type": "server_error"}})]]

    def body(self, a: ScriptedAnswer, text: str) -> Json:
        body = super().body(a, text) | {"system_fingerprint": "b0-unknown"}
        return body | {"timings": timings(a)}

    def error(self, status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> Reply:
        return Reply(status, {"error": {"code": status, "message": message, "type": kind}})

    def bad_json(self, body: bytes, error: ValueError) -> Reply:
        return self.error(400, f"[json.exception.parse_error.101] parse error: {error}")

    def bad_key(self) -> Reply:
        return self.error(401, "Invalid API Key", "authentication_error")

    def unknown_path(self, method: str, path: str) -> Reply:
        return self.error(404, "File Not Found", "not_found_error")

    def missing(self, name: str, body: Json) -> Reply:
        return self.error(400, f"'{name}' is required")

    def resolve(self, state: State, body: Json) -> str | Reply:
        if not state.loaded:
            return self._loading()
        return state.loaded[0]  # whatever was asked for

    def _loading(self) -> Reply:
        return self.error(503, "Loading model", "unavailable_error")

    def models(self, state: State, request: HttpRequest) -> Reply:
        if not state.loaded:
            return self._loading()
        named = [{"name": model, "model": model, "capabilities": ["completion"]} for model in state.loaded]
        body: dict[str, Any] = {"models": named, "object": "list", "data": []}
        for model in state.loaded:
            entry = {"id": model, "aliases": [model], "object": "model", "created": state.started}
            body["data"].append(entry | {"owned_by": self.owner, "meta": {"n_ctx": 4096, "n_ctx_train": 8192}})
        return Reply(200, body)

    def routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("GET", "/v1/models"): self.models,
            ("GET", "/health"): lambda state, request: (
                Reply(200, {"status": "ok"}) if state.loaded else self._loading()
            ),
            ("GET", "/props"): self._props,
        }

    def _props(self, state: State, request: HttpRequest) -> Reply:
        if not state.loaded:
            return self._loading()
        reply = {
            "default_generation_settings": {"n_ctx": 4096},
            "total_slots": state.settings.slots or 1,
            "model_alias": state.loaded[0],
            "model_path": state.loaded[0],
            "build_info": "b0-unknown",
        }
        return Reply(200, reply)


def timings(a: ScriptedAnswer) -> Json:
    """The server's own account, from the true times. One token alone counts as 0.001 ms, as there."""
    fresh = max(1, a.prompt_tokens - a.cached_tokens)
    prompt_ms = max(a.prefill_ms, 0.001)
    gaps = a.tokens - 1
    per_token = a.decode_ms / gaps if gaps > 0 else 0.0
    return {
        "cache_n": a.cached_tokens,
        "prompt_n": fresh,
        "prompt_ms": round(prompt_ms, 3),
        "prompt_per_token_ms": prompt_ms / fresh,
        "prompt_per_second": fresh / prompt_ms * 1000,
        "predicted_n": a.tokens,
        "predicted_ms": round(a.decode_ms, 3) if gaps > 0 else 0.001,
        "predicted_per_token_ms": per_token,
        "predicted_per_second": 1000 / per_token if per_token else 0.0,
    }
