"""Each odd way in which an answer can come: the bytes are as its name says, and the truth log has the true times."""

import json
import re
import socket
from collections.abc import Callable
from typing import Any

import pytest

from lmx_loadgen.sim.faults import FAULTS, responses
from lmx_loadgen.sim.process import SimProcess
from lmx_loadgen.sim.truth import Truth, read_truth
from tests.helpers.sim_client import Seen, ask, chat_body, request_bytes, text_of

USAGE = {"stream_options": {"include_usage": True}}
THOUGHTS = 4
TOKENS = 10
STEP_NS = 10_000_000
SLOW: dict[str, Any] = {"step_ms": 10.0, "ttft_ms": 0.0}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"location": {"type": "string"}},
                "required": ["location"],
            },
        },
    }
]


def chunks_of(seen: Seen) -> list[dict[str, Any]]:
    return [event for event in seen.events if isinstance(event, dict)]


def deltas(seen: Seen) -> list[dict[str, Any]]:
    return [choice.get("delta", {}) for chunk in chunks_of(seen) for choice in chunk.get("choices", [])]


def finish(seen: Seen) -> str | None:
    reasons = [choice["finish_reason"] for chunk in chunks_of(seen) for choice in chunk.get("choices", [])]
    return next((reason for reason in reasons if reason), None)


def usages(seen: Seen) -> list[dict[str, Any]]:
    return [chunk["usage"] for chunk in chunks_of(seen) if chunk.get("usage")]


def counted(seen: Seen) -> int:
    return int(usages(seen)[-1]["completion_tokens"])


def texts(seen: Seen) -> list[str]:
    return [text for chunk in chunks_of(seen) if (text := text_of(chunk))]


def whole(seen: Seen) -> bool:
    return seen.framing == "whole" and seen.events[-1] == "[DONE]"


def thoughts(seen: Seen, field: str) -> list[Any]:
    return [delta[field] for delta in deltas(seen) if delta.get(field)]


def names_in_order(seen: Seen) -> list[str]:
    return re.findall(r"^event: (\w+)$", seen.body.decode(), re.MULTILINE)


CHECKS: dict[str, Callable[[Seen], object]] = {
    # Counts
    "hidden_reasoning": lambda s: (
        (len(texts(s)), counted(s)) == (TOKENS - THOUGHTS, TOKENS)
        and usages(s)[-1]["completion_tokens_details"] == {"reasoning_tokens": THOUGHTS}
    ),
    "hidden_reasoning_untold": lambda s: (
        (len(texts(s)), counted(s)) == (TOKENS - THOUGHTS, TOKENS) and "completion_tokens_details" not in usages(s)[-1]
    ),
    "running_usage": lambda s: (
        [usage["completion_tokens"] for usage in usages(s)] == [0, *range(1, TOKENS + 1), TOKENS, TOKENS]
    ),
    "held_back": lambda s: (
        len(texts(s)) == TOKENS - THOUGHTS + 1
        and [usage["completion_tokens"] for usage in usages(s)][1:6] == [1, 2, 3, 7, 8]
    ),
    "swallowed_by_parser": lambda s: (
        [(chunk["usage"]["completion_tokens"], bool(text_of(chunk))) for chunk in chunks_of(s)][1:7]
        == [(1, False), (2, False), (3, False), (4, False), (5, True), (6, True)]
    ),
    "usage_one_short": lambda s: (len(texts(s)), counted(s)) == (TOKENS, TOKENS - 1),
    "over_the_limit": lambda s: (len(texts(s)), counted(s), finish(s)) == (TOKENS + 8, TOKENS + 8, "stop"),
    # Endings
    "finish_null": lambda s: whole(s) and finish(s) is None and counted(s) == TOKENS,
    "finish_abort": lambda s: whole(s) and finish(s) == "abort" and len(texts(s)) == 3,
    "finish_cancelled": lambda s: whole(s) and finish(s) == "cancelled" and len(texts(s)) == 3,
    "no_blank_line": lambda s: (
        s.framing == "whole" and s.body.endswith(b"}\n") and not s.body.endswith(b"\n\n") and counted(s) == TOKENS
    ),
    "open_after_done": lambda s: s.framing == "cut" and s.events[-1] == "[DONE]" and s.body.endswith(b"[DONE]\n\n"),
    "open_after_done_pings": lambda s: (
        s.framing == "cut" and s.events[-1] == "[DONE]" and s.body.endswith(b": still here\n\n")
    ),
    "open_after_finish": lambda s: s.framing == "cut" and counted(s) == TOKENS and "[DONE]" not in s.events,
    "open_after_finish_pings": lambda s: (
        s.framing == "cut" and "[DONE]" not in s.events and s.body.count(b": still here\n\n") > 1
    ),
    "close_after_stream": lambda s: whole(s) and s.headers["keep-alive"].startswith("timeout"),
    "cut_between_events": lambda s: (s.end, s.framing, len(texts(s))) == ("eof", "cut", 3) and s.body.endswith(b"\n\n"),
    "cut_after_role": lambda s: (
        (s.status, s.end, s.framing) == (200, "eof", "cut") and [d["role"] for d in deltas(s)] == ["assistant"]
    ),
    "status_201": lambda s: s.raw.startswith(b"HTTP/1.1 201 Created\r\n") and whole(s),
    "status_206": lambda s: s.raw.startswith(b"HTTP/1.1 206 Partial Content\r\n") and whole(s),
    # Events
    "ping_dates": lambda s: (
        whole(s)
        and names_in_order(s) == ["ping"] * 4
        and len(re.findall(rb"ping\ndata: \d{4}-\d\d-\d\d ", s.body)) == 4
    ),
    "named_heartbeats": lambda s: (
        whole(s) and names_in_order(s) == ["heartbeat"] * 4 and {"alive": True, "number": 3} in s.events
    ),
    "event_fields": lambda s: (
        whole(s) and s.body.count(b"retry: 3000\n\n") == 1 and s.body.count(b"\nid: ") == TOKENS and len(texts(s)) == 10
    ),
    "null_first": lambda s: whole(s) and s.body.startswith(b"data: null\n\n"),
    # Reasoning
    "reasoning_content": lambda s: (len(thoughts(s, "reasoning_content")), len(texts(s))) == (4, 6),
    "reasoning": lambda s: (len(thoughts(s, "reasoning")), len(texts(s))) == (4, 6),
    "reasoning_object": lambda s: [list(part) for part in thoughts(s, "reasoning")] == [["text"]] * 4,
    "reasoning_details": lambda s: (
        [part[0]["type"] for part in thoughts(s, "reasoning_details")] == ["reasoning.text"] * 4 and len(texts(s)) == 6
    ),
    "reasoning_parts": lambda s: (
        [part["thinking"][0]["type"] for content in texts(s)[:4] for part in content] == ["text"] * 4
        and all(isinstance(text, str) for text in texts(s)[4:])
    ),
    "think_tags": lambda s: (texts(s)[0], texts(s)[5], len(texts(s))) == ("<think>", "</think>", TOKENS),
    "think_tags_opened_by_template": lambda s: (
        (texts(s)[4], len(texts(s))) == ("</think>", TOKENS) and "<think>" not in s.text
    ),
    "think_tags_split": lambda s: (
        (texts(s)[:2], texts(s)[6:8], len(texts(s))) == (["<th", "ink>"], ["</thi", "nk>"], TOKENS)
    ),
    "white_space_first": lambda s: (texts(s)[0], len(texts(s)), whole(s)) == ("\n\n", TOKENS, True),
    # Errors
    "http_422_field": lambda s: (s.status, s.json["detail"][0]["loc"][1]) == (422, "stream_options"),
    "http_422_field_in_message": lambda s: (
        (s.status, s.json["message"]["detail"][0]["loc"][2]) == (422, "include_usage")
    ),
    "error_bare_object": lambda s: (
        whole(s) and s.events[-2]["object"] == "error" and "set to fail" in str(s.events[-2])
    ),
    "error_detail": lambda s: whole(s) and "set to fail" in s.events[-2]["detail"],
    "error_detail_field": lambda s: s.framing == "whole" and s.events[-1]["detail"][0]["loc"][0] == "body",
    "error_json_line": lambda s: (
        s.framing == "whole" and b'\n\n{"error":{"message":"Stream inf' in s.body and finish(s) is None
    ),
    "whole_message": lambda s: (
        whole(s) and len(s.events) == 2 and len(s.events[0]["choices"][0]["message"]["content"]) > 20
    ),
    # Tools
    "tool_new_id_each_piece": lambda s: (
        len({call["id"] for call in calls(s)}) == len(calls(s)) > 3
        and [call["function"]["name"] for call in calls(s)] == ["get_weather"] + [""] * (len(calls(s)) - 1)
        and json.loads("".join(call["function"]["arguments"] for call in calls(s))) == {"location": "Paris"}
    ),
    "tool_two_calls_of_index_0": lambda s: (
        [(call["index"], json.loads(call["function"]["arguments"])) for call in calls(s)]
        == [(0, {"location": "Paris"})] * 2
        and len({call["id"] for call in calls(s)}) == 2
    ),
    "tool_call_left_in_text": lambda s: (
        not calls(s) and s.text == '[TOOL_CALLS]get_weather{"location": "Paris"}' and finish(s) == "stop"
    ),
}


def calls(seen: Seen) -> list[Any]:
    return [call for delta in deltas(seen) for call in delta.get("tool_calls") or []]


def last_truth(sim: SimProcess) -> Truth:
    sim.flush()
    return list(read_truth(sim.log_path).values())[-1]


def test_every_odd_answer_is_checked_here() -> None:
    assert set(CHECKS) == set(FAULTS) - set(responses.REPLACED | responses.BENT)


@pytest.mark.parametrize("fault", CHECKS)
def test_odd_answer(fault: str, sim_of: Any) -> None:
    sim = sim_of(dialect="openai", thought_tokens=THOUGHTS)
    tools = {"tools": TOOLS, "max_tokens": 100} if fault.startswith("tool_") else {"max_tokens": TOKENS}
    seen = ask(sim.port, chat_body(sim={"fault": fault}, **USAGE, **tools))
    truth = last_truth(sim)

    assert CHECKS[fault](seen), seen.raw[-900:]
    assert (truth.outcome, truth.fault) == (f"fault:{fault}", fault)
    assert sum(write.tokens for write in truth.writes) == truth.output_tokens
    if truth.status != 422:
        assert sum(write.events for write in truth.writes) >= len(seen.events)


@pytest.mark.parametrize("dialect", ["lmx", "ollama", "lmstudio", "llamacpp", "mlx-lm", "vllm"])
@pytest.mark.parametrize(
    ("fault", "right"),
    [
        ("finish_null", lambda s: finish(s) is None and s.events[-1] == "[DONE]"),
        ("finish_abort", lambda s: finish(s) == "abort"),
        ("hidden_reasoning", lambda s: len(texts(s)) == TOKENS - THOUGHTS),
        ("reasoning_details", lambda s: len(thoughts(s, "reasoning_details")) == THOUGHTS),
        ("ping_dates", lambda s: len(texts(s)) == TOKENS and b"event: ping\ndata: 2" in s.body),
    ],
)
def test_every_dialect_can_be_odd(dialect: str, fault: str, right: Callable[[Seen], bool], sim_of: Any) -> None:
    sim = sim_of(dialect=dialect, thought_tokens=THOUGHTS)
    seen = ask(sim.port, chat_body(sim={"fault": fault}, max_tokens=TOKENS, **USAGE))
    assert right(seen), seen.raw[-900:]


def asked(sim_of: Any, fault: str | None = None, **orders: Any) -> Truth:
    """The truth of an answer of ten tokens, 10 ms apart."""
    sim = sim_of(dialect="openai", thought_tokens=THOUGHTS, **SLOW)
    wanted = orders if fault is None else {"fault": fault, **orders}
    ask(sim.port, chat_body(sim=wanted, max_tokens=TOKENS, **USAGE))
    return last_truth(sim)


@pytest.mark.parametrize("fault", ["hidden_reasoning", "swallowed_by_parser"])
def test_tokens_that_nobody_sees_take_their_time(fault: str, sim_of: Any) -> None:
    truth = asked(sim_of, fault)
    assert truth.admitted_ns is not None
    assert truth.planned_first_ns is not None
    assert truth.planned_first_ns - truth.admitted_ns >= THOUGHTS * STEP_NS
    assert (truth.output_tokens, truth.unseen_tokens) == (TOKENS - THOUGHTS, THOUGHTS)


def test_text_held_back_comes_when_its_last_token_is_made(sim_of: Any) -> None:
    text = [write for write in asked(sim_of, "held_back").writes if write.tokens]
    assert [write.tokens for write in text] == [1, 1, 1, THOUGHTS, 1, 1, 1]
    assert text[3].at_ns - text[0].at_ns >= 6 * STEP_NS - STEP_NS // 5


def test_a_stream_interval_sends_the_first_token_alone(sim_of: Any) -> None:
    truth = asked(sim_of, stream_interval=4)
    text = [write for write in truth.writes if write.tokens]
    assert [write.tokens for write in text] == [1, 4, 4, 1]
    assert text[1].at_ns - text[0].at_ns >= 4 * STEP_NS - STEP_NS // 5


def test_drafted_tokens_come_several_a_step(sim_of: Any) -> None:
    truth = asked(sim_of, drafted_tokens=3)
    text = [write.tokens for write in truth.writes if write.tokens]
    assert sum(text) == TOKENS
    assert set(text) <= {1, 2, 3, 4}
    assert len(text) < TOKENS
    assert truth.planned_last_ns is not None
    assert truth.planned_first_ns is not None
    assert (truth.planned_last_ns - truth.planned_first_ns) == (len(text) - 1) * STEP_NS


@pytest.mark.parametrize("fault", ["open_after_done", "open_after_done_pings", "open_after_finish"])
@pytest.mark.parametrize("burst", [False, True])
def test_a_body_left_open_holds_no_slot(fault: str, burst: bool, sim_of: Any) -> None:
    sim = sim_of(dialect="openai", slots=1, queue_limit=0)
    with socket.create_connection(("127.0.0.1", sim.port), timeout=15) as sock:
        body = chat_body(sim={"fault": fault, "seconds": 600, "burst": burst}, max_tokens=300, **USAGE)
        sock.sendall(request_bytes("POST", "/v1/chat/completions", body, {}))
        seen = b""
        while b'"total_tokens"' not in seen:
            seen += sock.recv(1 << 20)
        assert whole(ask(sim.port, chat_body()))


def test_the_connection_is_closed_after_each_stream_without_a_word(sim_of: Any) -> None:
    port = sim_of(dialect="llamacpp").port
    with socket.create_connection(("127.0.0.1", port), timeout=15) as sock:
        orders = {"fault": "close_after_stream"}
        headers = {"Connection": "keep-alive"}
        sock.sendall(request_bytes("POST", "/v1/chat/completions", chat_body(sim=orders), headers))
        raw = b"".join(iter(lambda: sock.recv(65536), b""))
    assert raw.endswith(b"0\r\n\r\n")
    assert b"Keep-Alive: timeout=5" in raw
    assert b"Connection: close" not in raw
