"""Each fault does on the wire what its name says, and the truth log names it."""

import gzip
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lmx_loadgen.sim.faults import FAULTS, responses
from lmx_loadgen.sim.process import start
from lmx_loadgen.sim.settings import SimSettings
from lmx_loadgen.sim.truth import read_truth
from tests.helpers.sim_client import Seen, ask, chat_body, text_of

STREAM = "text/event-stream"


def whole(seen: Seen) -> bool:
    """A complete stream: framing, finish reason and [DONE]."""
    return seen.framing == "whole" and seen.events[-1] == "[DONE]" and finish(seen) == "length"


def text_choices(event: Any) -> Any:
    return event.get("choices") if isinstance(event, dict) else None


def finish(seen: Seen) -> str | None:
    reasons = [event["choices"][0]["finish_reason"] for event in seen.events if text_choices(event)]
    return next((reason for reason in reasons if reason), None)


def words(seen: Seen) -> int:
    return sum(1 for event in seen.events if text_of(event))


def errors(seen: Seen) -> list[Any]:
    return [event for event in seen.events if isinstance(event, dict) and "error" in event]


def usage(seen: Seen) -> Any:
    return next((event["usage"] for event in seen.events if isinstance(event, dict) and event.get("usage")), None)


CHECKS: dict[str, Callable[[Seen], object]] = {
    "http_429_retry_after": lambda s: s.status == 429 and s.headers["retry-after"] == "2",
    "http_502_html": lambda s: (
        (s.status, s.headers["content-type"]) == (502, "text/html") and b"<h1>502 Bad Gateway</h1>" in s.body
    ),
    "redirect_302": lambda s: (s.status, s.headers["location"]) == (302, "/v1/models"),
    "reset_before_headers": lambda s: (s.end, s.raw) == ("reset", b""),
    "close_before_headers": lambda s: (s.end, s.raw) == ("eof", b""),
    "garbage_http": lambda s: s.status is None and not s.raw.startswith(b"HTTP") and len(s.raw) > 100,
    "garbage_sse": lambda s: s.status == 200 and s.headers["content-type"] == STREAM and not s.events,
    "endless_headers": lambda s: s.status is None and s.raw.count(b"\r\nX-Endless-") > 10 and b"\r\n\r\n" not in s.raw,
    "endless_interim": lambda s: s.status is None and s.raw.startswith(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102"),
    "endless_pings": lambda s: s.status == 200 and s.body.count(b": ping\n\n") > 10 and not s.events,
    "drip": lambda s: s.status == 200 and s.body.startswith(b'data: {"id":"aaaaaaaaaa') and b"\n" not in s.body,
    "gzip_body": lambda s: (
        s.headers["content-encoding"] == "gzip" and gzip.decompress(s.body).endswith(b"data: [DONE]\n\n")
    ),
    "wrong_content_length": lambda s: s.framing == "cut" and int(s.headers["content-length"]) == len(s.body) + 100,
    "interim_100": lambda s: s.raw.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK") and whole(s),
    "interim_103": lambda s: s.raw.startswith(b"HTTP/1.1 103 Early Hints\r\n") and whole(s),
    "stall_first_token": whole,
    "stall_mid": lambda s: whole(s) and words(s) == 6,
    "reset_mid": lambda s: s.end == "reset" and words(s) == 3,
    "truncated": lambda s: (s.end, s.framing) == ("eof", "cut") and words(s) == 3 and not s.body.endswith(b"\n"),
    "half_close": lambda s: (s.end, s.framing) == ("eof", "cut") and words(s) == 3 and s.body.endswith(b"\n\n"),
    "clean_end": lambda s: s.framing == "whole" and words(s) == 3 and finish(s) is None and "[DONE]" not in s.events,
    "stream_error": lambda s: len(errors(s)) == 1 and s.framing == "whole" and finish(s) is None,
    "error_text": lambda s: "\n\n[Error: Stream inference failed" in s.text and finish(s) == "stop",
    "error_object": lambda s: errors(s) == [s.events[-1]] and words(s) == 3,
    "error_then_done": lambda s: errors(s) == [s.events[-2]] and s.events[-1] == "[DONE]",
    "error_event": lambda s: b'event: error\ndata: {"error"' in s.body,
    "wrong_chunk_length": lambda s: s.framing == "bad" and words(s) == 3,
    "invalid_utf8": lambda s: whole(s) and b"\xff\xfe" in s.body and words(s) == 5,
    "split_utf8": lambda s: whole(s) and words(s) == 6 and "🙂" in s.text and splits_characters(s),
    "one_byte": lambda s: whole(s) and words(s) == 6,
    "big_event": lambda s: whole(s) and max(map(len, s.chunks)) > 1_000_000,
    "many_events": lambda s: whole(s) and max(chunk.count(b"\n\n") for chunk in s.chunks) == 10_000,
    "endless_stream": lambda s: words(s) > 20,
    "missing_done": lambda s: s.framing == "whole" and finish(s) == "length" and "[DONE]" not in s.events,
    "missing_terminator": lambda s: (s.end, s.framing, s.events[-1]) == ("eof", "cut", "[DONE]"),
    "empty_stream": lambda s: (s.status, s.framing, s.body) == (200, "whole", b""),
    "bare_done": lambda s: (s.status, s.body) == (200, b"data: [DONE]\n\n"),
    "no_text": lambda s: s.text == "" and finish(s) == "stop" and s.events[-1] == "[DONE]",
    "usage_negative": lambda s: whole(s) and usage(s)["completion_tokens"] < 0,
    "usage_strings": lambda s: whole(s) and usage(s)["completion_tokens"] == "8",
    "usage_missing": lambda s: whole(s) and usage(s) is None,
}


def splits_characters(seen: Seen) -> bool:
    """Whether some read ends inside a character."""

    def torn(data: bytes) -> bool:
        try:
            data.decode()
        except UnicodeDecodeError:
            return True
        return False

    return any(torn(seen.raw[: sum(len(read) for read in seen.reads[: i + 1])]) for i in range(len(seen.reads)))


def test_every_fault_is_checked_here() -> None:
    faults = responses.REPLACED | responses.BENT
    plain = {name for name in faults if name.removeprefix("http_").isdigit()}
    assert set(CHECKS) | plain == set(faults)


@pytest.mark.parametrize("fault", CHECKS)
def test_fault(fault: str, sim_of: Any) -> None:
    sim = sim_of(dialect="openai")
    body = chat_body(sim={"fault": fault}, stream_options={"include_usage": True})
    seen = ask(sim.port, body)
    assert CHECKS[fault](seen), seen.raw[-600:]
    sim.flush()
    last = list(read_truth(sim.log_path).values())[-1]
    # A half-closed connection is closed by the client in answer, which ends it.
    assert last.outcome == ("client_gone" if fault == "half_close" else f"fault:{fault}")
    assert last.fault == fault


@pytest.mark.parametrize("code", [400, 401, 403, 404, 408, 409, 422, 429, 500, 503, 504])
def test_error_status_has_the_dialects_body(code: int, sim_of: Any) -> None:
    headers = {"X-Sim": f"http_{code}"}
    lmx = ask(sim_of(dialect="lmx").port, chat_body(), headers=headers)
    ollama = ask(sim_of(dialect="ollama").port, chat_body(stream=False), headers=headers)
    mlx = ask(sim_of(dialect="mlx-lm").port, chat_body(), headers=headers)
    assert {lmx.status, ollama.status, mlx.status} == {code}
    assert set(lmx.json) == ({"detail"} if code in (401, 403, 408, 409, 422) else {"error"})
    assert ollama.json["error"]["message"]
    assert isinstance(mlx.json["error"], str)


def test_a_stream_fails_in_each_servers_way(sim_of: Any) -> None:
    def failing(dialect: str) -> Seen:
        return ask(sim_of(dialect=dialect).port, chat_body(sim={"fault": "stream_error"}))

    assert "\n\n[Error: " in failing("lmx").text
    assert failing("lmx").events[-1] == "[DONE]"
    assert finish(failing("lmx")) == "stop"
    vllm = failing("vllm")
    assert ("error" in vllm.events[-2], vllm.events[-1]) == (True, "[DONE]")
    assert b"event: error\n" in failing("lmstudio").body
    ollama = failing("ollama")
    assert (ollama.events[-1]["model"], ollama.framing, finish(ollama)) == ("", "whole", None)


def test_a_fault_can_come_at_once_or_late_and_for_a_chosen_time(sim_of: Any) -> None:
    port = sim_of(dialect="openai").port

    def said(after: int) -> int:
        return words(ask(port, chat_body(sim={"fault": "error_object", "after": after})))

    assert [said(0), said(1), said(5)] == [0, 1, 5]
    assert said(99) == 5  # the last event of a short answer at the latest


def test_a_stall_can_be_left(sim_of: Any) -> None:
    sim = sim_of(dialect="openai")
    body = chat_body(sim={"fault": "stall_mid", "after": 1, "seconds": 600})
    assert ask(sim.port, body, enough=300).end == "left"
    assert ask(sim.port, chat_body()).status == 200


def test_faults_without_a_stream(sim_of: Any) -> None:
    port = sim_of(dialect="openai").port
    for fault, wanted in (("reset_mid", (None, "reset")), ("stream_error", (500, "eof")), ("truncated", (200, "eof"))):
        seen = ask(port, chat_body(stream=False, sim={"fault": fault}))
        assert (seen.status, seen.end) == wanted


def test_a_seeded_share_of_requests_fails(tmp_path: Any) -> None:
    def outcomes(seed: int) -> list[int | None]:
        faults = {"http_500": 0.3, "http_503": 0.2}
        with start(SimSettings(ttft_ms=0, step_ms=0, faults=faults, seed=seed)) as sim:
            return [ask(sim.port, chat_body(max_tokens=1)).status for _ in range(60)]

    first = outcomes(4)
    assert first == outcomes(4)
    assert first != outcomes(5)
    assert set(first) == {200, 500, 503}
    assert 15 < sum(status != 200 for status in first) < 45


def test_every_request_is_accounted_for_once_whatever_befalls_it(sim_of: Any) -> None:
    sim = sim_of(dialect="lmx", slots=4, fault_seconds=0.05)
    plan = [fault for fault in FAULTS if fault not in ("big_event", "many_events")] * 2

    def one(fault: str) -> None:
        # The client of a half-closed connection leaves; the others stay until the end.
        ask(sim.port, chat_body(sim={"fault": fault}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, plan))
    sim.flush()
    truths = read_truth(sim.log_path).values()
    assert sorted(truth.fault or "" for truth in truths) == sorted(plan)
    assert ask(sim.port, path="/v1/discovery").json["in_flight_requests"] == 0
    assert ask(sim.port, chat_body()).events[-1] == "[DONE]"  # every slot is free again
