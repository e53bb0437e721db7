"""Ollama: no headers before the first token, the role in every chunk, finish, usage and [DONE] in one HTTP chunk."""

import json
from typing import ClassVar

from lmx_loadgen.sim.answer import Reply, ScriptedAnswer, ScriptedToolCall, State
from lmx_loadgen.sim.connection import HttpRequest
from lmx_loadgen.sim.dialects.base import DONE, ONE_MODEL, Json, Route, SimDialect

TEXT = "text/plain; charset=utf-8"
DETAILS: Json = {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"]}


class Ollama(SimDialect):
    """Ollama 0.9.3."""

    name: ClassVar[str] = "ollama"
    owner: ClassVar[str] = "library"
    opens: ClassVar[str] = "token"
    role_at: ClassVar[str | None] = None
    lists_installed: ClassVar[bool] = True
    stream_headers: ClassVar[tuple[str, ...]] = ("Content-Type: text/event-stream",)
    open_paths: ClassVar[tuple[str, ...]] = ("/", "/api/version")
    whole_tool_call: ClassVar[bool] = True
    ignores: ClassVar[tuple[str, ...]] = ("ignore_eos", "tool_choice", "n", "min_tokens")
    busy_message: ClassVar[str] = "server busy, please try again.  maximum pending requests exceeded"

    def escape(self, piece: str) -> bytes:
        reply = super().escape(piece)  # Go's encoder also escapes these three
        return reply.replace(b"<", b"\\u003c").replace(b">", b"\\u003e").replace(b"&", b"\\u0026")

    def new_id(self, endpoint: str, token: str, number: int) -> str:
        # Three random digits in the real one; here they count on, so that an id names one response.
        return f"{'chatcmpl' if endpoint == 'chat' else 'cmpl'}-{100 + number}"

    def frame(self, a: ScriptedAnswer) -> Json:
        return super().frame(a) | {"system_fingerprint": "fp_ollama"}

    def chunk(self, a: ScriptedAnswer, delta: Json, finish: str | None) -> Json:
        full = {"role": "assistant", "content": ""} | delta
        return self.frame(a) | {"choices": [{"index": a.index, "delta": full, "finish_reason": finish}]}

    def text_chunk(self, a: ScriptedAnswer, text: str, finish: str | None) -> Json:
        choices = [{"text": text, "index": a.index, "finish_reason": finish}]
        reply = {"id": a.id, "object": "text_completion", "created": a.created, "choices": choices, "model": a.model}
        reply["system_fingerprint"] = "fp_ollama"
        if a.include_usage:  # the trap of its completions: all zero until the last
            reply["usage"] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return reply

    def call_delta(self, call: ScriptedToolCall, arguments: str, first: bool) -> Json:
        function = {"name": call.name, "arguments": arguments}
        return {"tool_calls": [{"id": call.id, "index": 0, "type": "function", "function": function}]}

    def closing(self, a: ScriptedAnswer) -> list[list[bytes]]:
        events = [self.event(self.last_chunk(a, a.finish))]
        if a.include_usage:
            events.append(self.event(self.usage_chunk(a)))
        return [[*events, DONE]]

    def failing(self, a: ScriptedAnswer, message: str) -> list[list[bytes]]:
        return self.killed(a)

    def killed(self, a: ScriptedAnswer) -> list[list[bytes]]:
        reply = self.last_chunk(a, None)
        reply["model"] = ""
        return [[self.event(reply)]]

    def cached(self, a: ScriptedAnswer) -> Json:
        return {}

    def body(self, a: ScriptedAnswer, text: str) -> Json:
        body = super().body(a, text)
        if a.endpoint == "completions":
            del body["choices"][0]["logprobs"]
        return body

    def error(self, status: int, message: str, kind: str = "api_error", code: str | None = None) -> Reply:
        return super().error(status, message, kind, code)

    def bad_json(self, body: bytes, error: ValueError) -> Reply:
        return self.error(400, "unexpected EOF" if body else "EOF", "invalid_request_error")

    def busy(self, a: ScriptedAnswer) -> Reply:
        return self.error(503, self.busy_message)

    def unknown_path(self, method: str, path: str) -> Reply:
        return Reply(404, "404 page not found", content_type="text/plain")

    def wrong_method(self, method: str, path: str, allowed: str) -> Reply:
        return Reply(405, "405 method not allowed", (("Allow", allowed),), "text/plain")

    def missing(self, name: str, body: Json) -> Reply:
        if name == "messages":
            return self.error(400, "[] is too short - 'messages'", "invalid_request_error")
        return self.error(400, f"{name} is required")

    def wrong_model(self, model: str) -> Reply:
        return self.error(404, f'model "{model}" not found, try pulling it first')

    def resolve(self, state: State, body: Json) -> str | Reply:
        model = str(body.get("model") or "")
        if not model:
            return self.missing("model", body)
        known = next((name for name in (model, f"{model}:latest") if name in state.known), None)
        return self.wrong_model(model) if known is None else known

    def routes(self) -> dict[tuple[str, str], Route]:
        return {
            ("GET", "/v1/models"): self.models,
            ("GET", ONE_MODEL): self.one_model,
            ("GET", "/"): lambda state, request: Reply(200, "Ollama is running", content_type=TEXT),
            ("GET", "/api/version"): lambda state, request: Reply(200, {"version": "0.9.3"}),
            ("GET", "/api/tags"): lambda state, request: Reply(
                200, {"models": [_entry(model) for model in state.known]}
            ),
            ("GET", "/api/ps"): lambda state, request: Reply(
                200, {"models": [_entry(m) | {"expires_at": "2099-01-01T00:00:00Z"} for m in state.loaded]}
            ),
            ("POST", "/api/show"): _show,
            ("POST", "/api/chat"): self._keep,
        }

    def _keep(self, state: State, request: HttpRequest) -> Reply:
        """Load or unload: its native chat without messages. Chats themselves are simulated at /v1 only."""
        try:
            body = json.loads(request.body)
            model, messages, keep_alive = body["model"], body["messages"], body.get("keep_alive")
        except (ValueError, AttributeError, KeyError, TypeError):
            return Reply(400, {"error": "unexpected EOF"})
        if messages:
            return self.unknown_path(request.method, request.path)
        if model not in state.known:
            return Reply(404, {"error": f'model "{model}" not found, try pulling it first'})
        source, place = (state.loaded, state.installed) if keep_alive == 0 else (state.installed, state.loaded)
        if model in source:
            source.remove(model)
            place.append(model)
        reply: Json = {"model": model, "message": {"role": "assistant", "content": ""}, "done": True}
        return Reply(200, reply | {"done_reason": "unload" if keep_alive == 0 else "load"})


def _entry(model: str) -> Json:
    details = DETAILS | {"parameter_size": "134.52M", "quantization_level": "Q4_1"}
    return {"name": model, "model": model, "size": 98363250, "digest": "0" * 64, "details": details}


def _show(state: State, request: HttpRequest) -> Reply:
    try:
        model = str(json.loads(request.body).get("model", ""))
    except (ValueError, AttributeError, RecursionError):
        return Reply(400, {"error": "unexpected EOF"})
    if model not in state.known:
        return Reply(404, {"error": f"model '{model}' not found"})
    info = {"general.architecture": "llama", "llama.context_length": 4096}
    return Reply(200, {"details": _entry(model)["details"], "model_info": info, "capabilities": ["completion"]})
