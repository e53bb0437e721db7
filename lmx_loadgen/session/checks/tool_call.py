"""Asks a model for a tool call. What came is stored as it came; it is judged later (`measure.tool_calls`)."""

from typing import Any

from lmx_loadgen.decode.chat import RawAnswer, read_answer
from lmx_loadgen.decode.tool_calls import read_tool_answer
from lmx_loadgen.profile.checks import Checks, ToolCallSpec
from lmx_loadgen.session.checks.client import CheckClient, CheckReply
from lmx_loadgen.targets.base import Target

# Room for a model that thinks before it calls.
_MAX_TOKENS = 1024
_KEPT = 20_000
_ARGUMENTS_KEPT = 8_000

# Not validated here, which takes jsonschema: a test does it.
WEATHER = ToolCallSpec.model_construct(
    prompt="What's the weather in Sydney right now?",
    expect="get_weather",
    tools=[
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Get the current weather in a location",
                "parameters": {
                    "type": "object",
                    "properties": {"location": {"type": "string", "description": "City name, like Sydney"}},
                    "required": ["location"],
                },
            },
        }
    ],
)


def wanted(checks: Checks) -> list[ToolCallSpec]:
    """The tool calls that a profile asks for: its own, or the weather in Sydney."""
    if not checks.include_tool_call:
        return []
    return checks.tool_calls or [WEATHER]


def ask_for_call(target: Target, spec: ToolCallSpec, ask: CheckClient, timeout_s: float) -> dict[str, Any]:
    """The fields of a `check` line for one tool call."""
    asked = {"prompt": spec.prompt, "expect": spec.expect, "tools": spec.tools}
    body = {
        "model": target.model,
        "messages": [{"role": "user", "content": spec.prompt}],
        "tools": spec.tools,
        "max_tokens": _MAX_TOKENS,
        "temperature": 0,
        "stream": True,
    }
    reply = ask("POST", target.base_url + "/chat/completions", target.headers, body, timeout_s=timeout_s)
    error = reply.error or _failure(reply, target)
    answer = None
    if error is None:
        found = read_tool_answer(reply.body)
        calls = [{"name": call.name[:200], "arguments": call.arguments[:_ARGUMENTS_KEPT]} for call in found.calls]
        answer = {"content": found.content[:_KEPT], "tool_calls": calls, "finish_reason": found.finish_reason}
    latency = reply.latency_ns if error is None else None
    return {"check": "tool_call", "asked": asked, "answer": answer, "error": error, "latency_ns": latency}


def _failure(reply: CheckReply, target: Target) -> str | None:
    """Why what came is no answer. One whole JSON object will do, and so will an answer without text."""
    raw = RawAnswer(
        status=reply.status,
        headers=[(name.lower(), value) for name, value in reply.headers.items() if name.lower() != "content-encoding"],
        body=reply.body,
        arrivals=[(reply.latency_ns, len(reply.body))],
    )
    answer = read_answer(raw, "chat", target.dialect.rules)
    if answer.outcome in ("ok", "empty"):
        return None
    found = read_tool_answer(reply.body)
    if answer.outcome == "protocol_error" and (found.finish_reason or found.calls):
        return None
    return answer.reason
