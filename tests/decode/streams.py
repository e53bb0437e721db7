"""Streams made by hand, and how they are read."""

import json
from collections.abc import Sequence
from typing import Any

from lmx_loadgen.decode.chat import Answer, RawAnswer, StreamRules, read_answer

CUT = ("truncated", "the answer ended before its framing said it would")


def event(chunk: Any, name: str | None = None) -> bytes:
    """One event; a chunk that is text stands in it as it is."""
    data = chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False)
    return (f"event: {name}\n" if name else "").encode() + f"data: {data}\n\n".encode()


def stream(*chunks: Any, done: bool = True) -> bytes:
    return b"".join(event(chunk) for chunk in [*chunks, *(["[DONE]"] if done else [])])


def delta(finish: Any = None, **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def usage(output: int, prompt: int = 5) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": output}}


def read(
    body: bytes,
    *,
    status: int = 200,
    failure: tuple[str, str] | None = None,
    endpoint: str = "chat",
    rules: StreamRules | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> Answer:
    """The answer that a body is, each event of which came in a read of its own."""
    sizes = [len(part) + 2 for part in body.split(b"\n\n")[:-1]]
    arrivals = [(1000 * (place + 1), size) for place, size in enumerate([*sizes, len(body) - sum(sizes)]) if size]
    return read_answer(RawAnswer(status, list(headers), body, arrivals, failure), endpoint, rules or StreamRules())


def text(answer: Answer, *kinds: str) -> str:
    return "".join(words for _, kind, words in answer.events if kind in (kinds or ("content",)))


def kinds(answer: Answer) -> list[str]:
    return [kind for _, kind, _ in answer.events]
