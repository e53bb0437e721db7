"""Asks again for one answer that was measured, this time in one piece: some servers count tokens only then.

The prompt is word for word that of a measured request, its nonce included, so that at temperature 0 the answer is the
same. It is not timed, and what its count is worth is judged later (`analysis.plan_counts`).
"""

from collections.abc import Mapping
from typing import Any

from lmx_loadgen.decode.tool_calls import read_tool_answer
from lmx_loadgen.session.checks.client import CheckClient, CheckReply
from lmx_loadgen.targets.base import Target

_STREAM_FIELDS = ("stream", "stream_options")


def ask_unstreamed(
    target: Target, line: Mapping[str, Any], body: Mapping[str, Any], ask: CheckClient, timeout_s: float
) -> dict[str, Any]:
    """The fields of a `check` line.

    Args:
        line: the request line of the measured answer.
        body: what was sent for it.
    """
    asked = {"number": line["number"], "nonce": line["nonce"], "prompt_id": line["prompt_id"]}
    whole = {name: value for name, value in body.items() if name not in _STREAM_FIELDS}
    reply = ask("POST", f"{target.base_url}/chat/completions", target.headers, whole, timeout_s=timeout_s)
    answer = _answer(reply)
    error = reply.error
    if error is None and answer is None:
        error = "the answer has no usage" if reply.status == 200 else reply.refusal()
    latency = reply.latency_ns if error is None else None
    return {"check": "token_count", "asked": asked, "answer": answer, "error": error, "latency_ns": latency}


def _answer(reply: CheckReply) -> dict[str, Any] | None:
    data = reply.json()
    if reply.status != 200 or not isinstance(data, dict) or not isinstance(data.get("usage"), dict):
        return None
    found = read_tool_answer(reply.body)
    text = found.reasoning + found.content
    return {"text": text, "finish_reason": found.finish_reason, "usage": data["usage"]}
