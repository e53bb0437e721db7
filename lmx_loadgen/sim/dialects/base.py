"""The OpenAI shape, and what a dialect may do otherwise.

A dialect is stateless: it makes dicts, and says when headers and the role event go out. Text events are made once
per request with `SLOT` where the text goes, so that a chunk costs no JSON encoding.
"""

import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, ClassVar
from urllib.parse import unquote

from lmx_loadgen import __version__
from lmx_loadgen.sim.answer import Reply, ScriptedAnswer, ScriptedToolCall, State
from lmx_loadgen.sim.connection import REASONS, HttpRequest
from lmx_loadgen.sim.text import escaped

_REFUSALS = {
    "system": "System role not supported",
    "stream_options": "Unrecognized request argument supplied: stream_options",
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
    "instead.",
}
SLOT = "\x00piece\x00"
DONE = b"data: [DONE]\n\n"
ONE_MODEL = "/v1/models/{id}"

Json = dict[str, Any]
Route = Callable[[State, HttpRequest], Reply]


def model_list(state: State, owner: str, models: list[str]) -> Json:
    """The body of /v1/models."""
    data = [{"id": m, "object": "model", "created": state.started, "owned_by": owner} for m in models]
    return {"object": "list", "data": data}


def json_body(request: HttpRequest) -> Json:
    """The JSON object that a request brings; empty where it brings none."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


class SimDialect:
    """Plain OpenAI. Subclasses are real servers; each overrides only where its server differs."""

    name: ClassVar[str] = "openai"
    owner: ClassVar[str] = "lmx-loadgen"
    http: ClassVar[str] = "HTTP/1.1"  # 1.0: no keep-alive, and streams end with the connection
    spaced: ClassVar[bool] = False  # Python's json.dumps defaults: blanks, and ASCII only
    opens: ClassVar[str] = "received"  # headers go out when: received | slot | token
    role_at: ClassVar[str | None] = "token"  # the role event goes out when: received | token | None (never)
    role_shares_chunk: ClassVar[bool] = False  # the role event is in the same HTTP chunk as the first token
    stream_headers: ClassVar[tuple[str, ...]] = ("Content-Type: text/event-stream", "Cache-Control: no-cache")
    json_headers: ClassVar[tuple[str, ...]] = ("Content-Type: application/json",)
    dated: ClassVar[bool] = True
    tells_methods: ClassVar[bool] = True  # says so where a path is there for another method
    lists_installed: ClassVar[bool] = False  # /v1/models has those that are not loaded too
    open_paths: ClassVar[tuple[str, ...]] = ("/health",)  # answered without a key
    json_before_key: ClassVar[bool] = False
    whole_tool_call: ClassVar[bool] = False  # arguments come in one event
    ignores: ClassVar[tuple[str, ...]] = ()  # request fields without effect
    counts_as_it_goes: ClassVar[bool] = False  # knows stream_options.continuous_usage_stats
    default_max_tokens: ClassVar[int | None] = None
    ping: ClassVar[bytes | None] = None  # sent every second during prefill
    merges_system: ClassVar[bool] = False  # where the template has no system role, its text goes to the user's turn
    busy_message: ClassVar[str] = "The server is overloaded, please try again later."

    # Bytes

    def dumps(self, value: object) -> bytes:
        """JSON as this server writes it."""
        if self.spaced:
            return json.dumps(value).encode()
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")

    def event(self, value: object) -> bytes:
        """One SSE event."""
        return b"data: " + self.dumps(value) + b"\n\n"

    def escape(self, piece: str) -> bytes:
        """A piece of text between the quotes of this server's JSON."""
        return escaped(piece, ascii_only=self.spaced)

    def head(self, status: int, lines: tuple[str, ...], close: bool) -> bytes:
        """Status line and headers. HTTP/1.0 closes without saying so."""
        head = [f"{self.http} {status} {REASONS.get(status, 'Unknown')}", *lines]
        if self.dated:
            head.append(f"Date: {formatdate(usegmt=True)}")
        if close and self.http != "HTTP/1.0":
            head.append("Connection: close")
        return "\r\n".join(head).encode("utf-8") + b"\r\n\r\n"

    def render(self, reply: Reply, close: bool) -> bytes:
        """A short reply as bytes."""
        body = reply.body
        if isinstance(body, dict | list):
            body = self.dumps_body(body)
        data = body.encode() if isinstance(body, str) else body
        lines = self.json_headers
        if reply.content_type is not None:
            kept = [line for line in lines if not line.lower().startswith("content-type:")]
            lines = (*kept, f"Content-Type: {reply.content_type}")
        lines = (*lines, *(f"{name}: {value}" for name, value in reply.headers))
        return self.head(reply.status, (*lines, f"Content-Length: {len(data)}"), close) + data

    def dumps_body(self, value: object) -> bytes:
        """JSON of a whole body: not every server writes it as it writes events."""
        return self.dumps(value)

    # Events of a stream

    def new_id(self, endpoint: str, token: str, number: int) -> str:
        """A response id: `token` is unique in this process, `number` counts."""
        return f"{'chatcmpl' if endpoint == 'chat' else 'cmpl'}-{token}"

    def frame(self, a: ScriptedAnswer) -> Json:
        """What all chunks of a stream share, before `choices`."""
        kind = "chat.completion.chunk" if a.endpoint == "chat" else "text_completion"
        shared = {"id": a.id, "object": kind, "created": a.created, "model": a.model}
        return shared | {"system_fingerprint": "fp_sim"}

    def chunk(self, a: ScriptedAnswer, delta: Json, finish: str | None) -> Json:
        """A chat chunk."""
        choice = {"index": a.index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self.frame(a) | {"choices": [choice]} | ({"usage": None} if a.include_usage else {})

    def text_chunk(self, a: ScriptedAnswer, text: str, finish: str | None) -> Json:
        """A chunk of plain completions."""
        choice = {"text": text, "index": a.index, "logprobs": None, "finish_reason": finish}
        return self.frame(a) | {"choices": [choice]} | ({"usage": None} if a.include_usage else {})

    def delta(self, text: str) -> Json:
        """The delta of a text chunk."""
        return {"content": text}

    def role_delta(self) -> Json:
        """The delta of the first chunk."""
        return {"role": "assistant", "content": ""}

    def last_delta(self) -> Json:
        """The delta beside the finish reason."""
        return {}

    def call_delta(self, call: ScriptedToolCall, arguments: str, first: bool) -> Json:
        """The delta of a piece of a tool call; only the first names it."""
        if first:
            function = {"name": call.name, "arguments": arguments}
            return {"tool_calls": [{"index": 0, "id": call.id, "type": "function", "function": function}]}
        return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}

    def role_event(self, a: ScriptedAnswer) -> bytes | None:
        """The event without text that opens a stream; None where there is none."""
        if self.role_at is None or a.endpoint != "chat":
            return None
        return self.event(self.counted(a, self.chunk(a, self.role_delta(), None)))

    def opening(self, a: ScriptedAnswer) -> bytes | None:
        """An event that says nothing, sent with the slot; None where there is none."""
        return None

    def comments(self, a: ScriptedAnswer) -> list[bytes]:
        """SSE comments during prefill: the last comes with the first token, the others with the slot."""
        return []

    def template(self, a: ScriptedAnswer, first: bool = True) -> tuple[bytes, bytes]:
        """A text event in two halves, around the place where the escaped text goes."""
        if a.call is not None:
            whole = self.event(self.chunk(a, self.call_delta(a.call, SLOT, first), None))
        elif a.endpoint == "chat":
            whole = self.event(self.chunk(a, self.delta(SLOT), None))
        else:
            whole = self.event(self.text_chunk(a, SLOT, None))
        before, _, after = whole.partition(json.dumps(SLOT)[1:-1].encode())
        return before, after

    def text_event(self, a: ScriptedAnswer, text: str) -> bytes:
        """A text event of the choice `a.index`, made whole: slower than `template`, and with a running usage."""
        if a.endpoint == "chat":
            return self.delta_event(a, self.delta(text))
        return self.event(self.counted(a, self.text_chunk(a, text, None)))

    def delta_event(self, a: ScriptedAnswer, delta: Json) -> bytes:
        """A chat event with any delta."""
        return self.event(self.counted(a, self.chunk(a, delta, None)))

    def counted(self, a: ScriptedAnswer, chunk: Json) -> Json:
        """The chunk, with the usage so far where each chunk has it."""
        return chunk | {"usage": self.usage(a)} if a.running_usage else chunk

    def last_chunk(self, a: ScriptedAnswer, finish: str | None) -> Json:
        """The chunk with the finish reason."""
        if a.endpoint == "chat":
            return self.counted(a, self.chunk(a, self.last_delta(), finish))
        return self.counted(a, self.text_chunk(a, "", finish))

    def last_chunks(self, a: ScriptedAnswer, finish: str | None) -> list[Json]:
        """The last chunk of each choice."""
        return [self.last_chunk(a, finish) for a.index in range(a.choices)]

    def stream_finish(self, a: ScriptedAnswer) -> str:
        """The finish reason as this server says it in a stream."""
        return a.finish

    def usage_chunk(self, a: ScriptedAnswer) -> Json:
        """The chunk with `choices: []` and the usage."""
        return self.frame(a) | {"choices": [], "usage": self.stream_usage(a)}

    def closing(self, a: ScriptedAnswer) -> list[list[bytes]]:
        """The end of a stream: events, grouped as they share HTTP chunks."""
        groups = [[self.event(chunk)] for chunk in self.last_chunks(a, self.stream_finish(a))]
        if a.include_usage:
            groups.append([self.event(self.usage_chunk(a))])
        return [*groups, [DONE]]

    def failing(self, a: ScriptedAnswer, message: str) -> list[list[bytes]]:
        """How a stream that has begun ends when generation fails."""
        return [[self.event({"error": {"message": message, "type": "server_error", "param": None, "code": None}})]]

    def killed(self, a: ScriptedAnswer) -> list[list[bytes]]:
        """The last events before a clean end when the engine behind the server has died."""
        return []

    # Counts

    def usage(self, a: ScriptedAnswer) -> Json:
        """Exact counts."""
        if a.odd_usage is not None:
            return a.odd_usage
        said = self.completion_tokens(a) + a.miscount
        usage: Json = {"prompt_tokens": a.prompt_tokens, "completion_tokens": said}
        usage |= {"total_tokens": a.prompt_tokens + said} | self.cached(a)
        if a.reasoning_tokens is not None:
            usage["completion_tokens_details"] = {"reasoning_tokens": a.reasoning_tokens}
        return usage

    def completion_tokens(self, a: ScriptedAnswer) -> int:
        """The tokens of all choices."""
        return a.tokens * a.choices

    def cached(self, a: ScriptedAnswer) -> Json:
        """What usage says about the prefix cache."""
        return {"prompt_tokens_details": {"cached_tokens": a.cached_tokens}}

    def stream_usage(self, a: ScriptedAnswer) -> Json:
        """Usage as a stream says it: not every server counts there."""
        return self.usage(a)

    # Whole answers

    def body(self, a: ScriptedAnswer, text: str) -> Json:
        """The body of a response that is not streamed."""
        if a.endpoint == "chat":
            choice: Json = {"message": self.message(a, text), "finish_reason": a.finish}
            kind = "chat.completion"
        else:
            choice = {"text": text, "logprobs": None, "finish_reason": a.finish}
            kind = "text_completion"
        choices = [{"index": index} | choice for index in range(a.choices)]
        return self.frame(a) | {"object": kind, "choices": choices, "usage": self.usage(a)}

    def message(self, a: ScriptedAnswer, text: str) -> Json:
        """The assistant's message."""
        if a.call is None:
            return {"role": "assistant", "content": text}
        function = {"name": a.call.name, "arguments": text}
        calls = [{"id": a.call.id, "type": "function", "function": function}]
        return {"role": "assistant", "content": "", "tool_calls": calls}

    # Refusals

    def error(self, status: int, message: str, kind: str = "invalid_request_error", code: str | None = None) -> Reply:
        """An error reply in this server's shape."""
        return Reply(status, {"error": {"message": message, "type": kind, "param": None, "code": code}})

    def refusal(self, what: str) -> Reply:
        """A role or field that is not taken, as the settings' `refuses` says."""
        return self.error(400, _REFUSALS[what])

    def bad_json(self, body: bytes, error: ValueError) -> Reply:
        """The body is not JSON."""
        return self.error(400, f"We could not parse the JSON body of your request: {error}")

    def bad_key(self) -> Reply:
        """The key is missing or wrong."""
        return self.error(401, "Incorrect API key provided.", code="invalid_api_key")

    def has_key(self, request: HttpRequest, key: str) -> bool:
        """Whether the request brings the key."""
        return request.headers.get("authorization", "") == f"Bearer {key}"

    def busy(self, a: ScriptedAnswer) -> Reply:
        """Too many requests wait for a slot."""
        return self.error(503, self.busy_message, "server_error")

    def unknown_path(self, method: str, path: str) -> Reply:
        """Nothing lives at this path."""
        return self.error(404, f"Invalid URL ({method} {path})")

    def wrong_method(self, method: str, path: str, allowed: str) -> Reply:
        """Something lives there, for another method."""
        if not self.tells_methods:
            return self.unknown_path(method, path)
        reply = self.error(405, f"Not allowed to {method} on {path}")
        reply.headers = (("Allow", allowed),)
        return reply

    def missing(self, name: str, body: Json) -> Reply:
        """A required field is missing."""
        return self.error(400, f"Missing required parameter: '{name}'.")

    def wrong_model(self, model: str) -> Reply:
        """The model is not there."""
        reply = self.error(404, f"The model `{model}` does not exist or you do not have access to it.")
        assert isinstance(reply.body, dict)
        reply.body["error"]["code"] = "model_not_found"
        return reply

    def refuse_choices(self, state: State, body: Json) -> Reply | None:
        """Why so many choices (`n`, at least 1) are not given; None where they are."""
        return None

    def resolve(self, state: State, body: Json) -> str | Reply:
        """The model that will answer, or the refusal. Nothing is loaded here."""
        model = body.get("model")
        if model is None:
            return self.missing("model", body)
        return model if model in state.loaded else self.wrong_model(str(model))

    # Everything that is not generation

    def routes(self) -> dict[tuple[str, str], Route]:
        """Short endpoints by method and path."""
        return {
            ("GET", "/v1/models"): self.models,
            ("GET", ONE_MODEL): self.one_model,
            ("GET", "/health"): lambda state, request: Reply(
                200, {"status": "ok", "server": "lmx-loadgen-sim", "version": __version__}
            ),
        }

    def models(self, state: State, request: HttpRequest) -> Reply:
        """GET /v1/models."""
        return Reply(200, model_list(state, self.owner, state.known if self.lists_installed else state.loaded))

    def one_model(self, state: State, request: HttpRequest) -> Reply:
        """GET /v1/models/{id}: the entry of the list, or the refusal of a wrong model."""
        model = unquote(request.path.removeprefix("/v1/models/"))
        listed = self.models(state, request).body
        entries = listed["data"] if isinstance(listed, dict) else []
        return next((Reply(200, entry) for entry in entries if entry["id"] == model), self.wrong_model(model))


class FastApiDialect(SimDialect):
    """What servers made with FastAPI have in common; their chunks have no fingerprint."""

    def frame(self, a: ScriptedAnswer) -> Json:
        shared = super().frame(a)
        del shared["system_fingerprint"]
        return shared

    def unknown_path(self, method: str, path: str) -> Reply:
        return Reply(404, {"detail": "Not Found"})

    def wrong_method(self, method: str, path: str, allowed: str) -> Reply:
        return Reply(405, {"detail": "Method Not Allowed"}, headers=(("allow", allowed),))
