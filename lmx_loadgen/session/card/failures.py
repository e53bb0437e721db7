"""How a server's refusals and tool calls look."""

import pydantic_core

from lmx_loadgen.analysis.tool_calls import judge
from lmx_loadgen.decode.errors import words_of_body
from lmx_loadgen.decode.tool_calls import read_tool_answer
from lmx_loadgen.session.card.ask import CardReply, shown
from lmx_loadgen.session.checks.tool_call import WEATHER
from lmx_loadgen.store.cards import ErrorFacts, ToolCallFacts


def error_facts(reply: CardReply) -> ErrorFacts:
    """Of a request that ought to be refused."""
    if reply.ok:
        return ErrorFacts(status=reply.status, shape="served", words=shown(reply.answer.model))
    if reply.status is None:
        return ErrorFacts(status=None, shape="no answer", words=shown(reply.refusal))
    words = words_of_body(reply.body) if reply.status >= 300 else reply.answer.reason
    return ErrorFacts(status=reply.status, shape=_shape(reply.body), words=shown(words))


def _shape(body: bytes) -> str:
    """Where an error body has its words: a path, with `[]` for a list."""
    try:
        data = pydantic_core.from_json(body)
    except ValueError:
        return "stream" if b"data:" in body else "text" if body.strip() else "empty"
    path: list[str] = []
    while isinstance(data, dict):
        key = next((key for key in ("error", "detail", "message", "msg") if data.get(key)), None)
        if key is None:
            break
        path.append(key)
        data = data[key]
    return ".".join(path) + ("[]" if isinstance(data, list) else "") or type(data).__name__


def tool_call_facts(reply: CardReply) -> ToolCallFacts:
    """Of a question that a tool answers."""
    if not reply.ok:
        found = read_tool_answer(reply.body)
        if not found.calls:
            is_refusal = reply.status is not None and 400 <= reply.status < 500
            return ToolCallFacts(status="refused" if is_refusal else "unknown", words=shown(reply.refusal))
    pieces = sum(kind == "tool" for _, kind, _ in reply.answer.events)
    if pieces:
        return ToolCallFacts(status="pieces" if pieces > 1 else "whole")
    answer = {"content": reply.text, "tool_calls": []}
    judged = judge(WEATHER.model_dump(), answer, None, None)
    if judged.call_produced:
        return ToolCallFacts(status="text", words=judged.form)
    return ToolCallFacts(status="none", words="the model answered without a call")
