"""JSON schemas of the two stored formats, as `lmx-loadgen schema` prints them."""

from typing import Any

from lmx_loadgen.store import eventlog
from lmx_loadgen.store.result import RunResult

_NS = {"type": "integer", "description": "nanoseconds on the run's monotonic clock"}
_OFFSET = {"type": "integer", "description": "nanoseconds since send_ns"}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}

OUTCOMES = [
    "ok",
    "incomplete",
    "empty",
    "http_error",
    "stream_error",
    "connect_error",
    "connect_timeout",
    "first_token_timeout",
    "gap_timeout",
    "request_timeout",
    "reset",
    "truncated",
    "protocol_error",
    "cancelled",
]
KINDS = ["role", "content", "reasoning", "tool", "usage", "finish", "error", "ping", "done", "other"]


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _line(kind: str, description: str, properties: dict[str, Any], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "title": kind,
        "description": description,
        "type": "object",
        "properties": {"type": {"const": kind}, **properties},
        "required": ["type", *(name for name in properties if name not in optional)],
    }


_SEGMENT = {
    "segment": _COUNT,
    "target": _TEXT,
    "level": _COUNT,
    "concurrency": {"type": "integer", "minimum": 1},
    "block": _COUNT,
}

HEADER = _line(
    "header",
    "The first line: everything that was known before the first request.",
    {
        "schema": {"const": eventlog.SCHEMA},
        "tool_version": _TEXT,
        "run_id": _TEXT,
        "clock": {
            "description": "both clocks at one moment: unix time = unix_ns + (t - mono_ns)",
            "type": "object",
            "properties": {"mono_ns": _NS, "unix_ns": {"type": "integer"}},
            "required": ["mono_ns", "unix_ns"],
        },
        "started_at": {"type": "string", "format": "date-time"},
        "profile": {"type": "object"},
        "host": {"type": "object"},
        "versions": {"type": "object"},
        "instrument": {"type": "object"},
        "targets": {"type": "array", "items": {"type": "object", "required": ["name", "dialect", "base_url", "model"]}},
        "plan": {"type": "array", "items": {"type": "object", "properties": _SEGMENT, "required": list(_SEGMENT)}},
        "prompt_preview": _TEXT,
    },
    optional=("versions", "prompt_preview"),
)

REQUEST = _line(
    "request",
    "One request that has ended, as it was seen.",
    {
        "id": _COUNT,
        **_SEGMENT,
        "slot": _COUNT,
        "phase": {"enum": ["warmup", "measured"]},
        "first_wave": {"type": "boolean", "description": "the slot's first request, sent while the load built up"},
        "number": {"type": "integer", "description": "its number in the segment: the same number, the same prompt"},
        "prompt_id": _TEXT,
        "nonce": _TEXT,
        "intended_ns": _NS,
        "connect_ns": _or_null({"type": "array", "items": _NS, "minItems": 2, "maxItems": 2}),
        "reconnected": {"type": "boolean"},
        "send_ns": _or_null(_NS),
        "end_ns": _NS,
        "headers_ns": _or_null(_OFFSET),
        "arrivals": {
            "description": "socket reads that brought body bytes: [offset_ns, bytes]",
            "type": "array",
            "items": {"type": "array", "prefixItems": [_OFFSET, _COUNT], "minItems": 2, "maxItems": 2},
        },
        "events": {
            "description": "[index of the arrival that completed it, kind, text]",
            "type": "array",
            "items": {
                "type": "array",
                "prefixItems": [_COUNT, {"enum": KINDS}, _TEXT],
                "minItems": 3,
                "maxItems": 3,
            },
        },
        "status": _or_null({"type": "integer"}),
        "outcome": {"enum": OUTCOMES},
        "reason": _or_null(_TEXT),
        "response_id": _or_null(_TEXT),
        "model": _or_null({**_TEXT, "description": "the model that the server says answered"}),
        "usage": _or_null({"type": "object"}),
        "finish_reason": _or_null(_TEXT),
        "server_timings": _or_null({"type": "object"}),
        "tokenizer_tokens": _or_null({"type": "object"}),
        "max_tokens": _or_null(_COUNT),
        "lag_ns": _or_null({"type": "integer", "description": "worst event-loop lag during the request"}),
    },
    optional=("tokenizer_tokens",),
)

SEGMENT = _line(
    "segment",
    "The marks of a segment that has ended.",
    {
        **_SEGMENT,
        "start_ns": _or_null(_NS),
        "ramp_end_ns": _or_null({**_NS, "description": "when the last slot sent its first request"}),
        "drain_start_ns": _or_null({**_NS, "description": "when the first slot found no more work"}),
        "end_ns": _NS,
        "stopped": _or_null(_TEXT),
        "client": {"type": "object"},
    },
)

END = _line(
    "end",
    "The last line; without it the run was cut off.",
    {"end_ns": _NS, "complete": {"type": "boolean"}, "reason": _or_null(_TEXT)},
)


def schemas() -> dict[str, Any]:
    """Both schemas by the name of the file they describe (JSON Schema 2020-12)."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {
        eventlog.NAME: {
            "$schema": dialect,
            "description": "One JSON object a line.",
            "oneOf": [HEADER, REQUEST, SEGMENT, END],
        },
        "result.json": {"$schema": dialect, **RunResult.model_json_schema(by_alias=True, mode="serialization")},
    }
