"""The server's own words reach the user, whatever shape an error has, and once."""

import json
import time
from typing import Any

import pytest

from lmx_loadgen.decode.errors import refusal, words_of_body, words_of_error
from tests.decode.streams import delta, event, read, stream

LOC = [{"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "msg": "not permitted"}]
NAMED = "body.stream_options.include_usage: not permitted"
SHAPES: list[tuple[Any, str]] = [
    ({"error": "out of memory"}, "out of memory"),
    ({"error": {"message": "out of memory", "type": "x", "code": 500}}, "out of memory"),
    ({"error": [{"message": "out of memory"}, "stop"]}, "out of memory; stop"),
    ({"error": {"code": "kv_full"}}, "kv_full"),
    ({"error": 503}, "503"),
    ({"error": 503, "message": "out of memory"}, "out of memory"),
    ({"error": True, "message": "out of memory"}, "out of memory"),
    ({"error": {"message": {"detail": LOC}}}, NAMED),
    ({"error": "Bad Request", "message": "no such field"}, "Bad Request: no such field"),
    ({"error": {"message": '{"detail": "out of memory"}'}}, "out of memory"),
    ({"error": {"message": "not supported", "param": "max_tokens"}}, "not supported (max_tokens)"),
    ({"detail": "out of memory"}, "out of memory"),
    ({"detail": LOC}, NAMED),
    ({"object": "error", "message": "out of KV blocks", "code": 500}, "out of KV blocks"),
    ({"object": "error", "message": {"detail": LOC}}, NAMED),
    ({"message": "out of memory", "code": 500}, "out of memory"),
    ({"msg": "out of memory", "code": "1301"}, "out of memory"),
    ({"message": "out of memory", "status_code": 503}, "out of memory"),
    ({"errors": [{"message": "one"}, {"message": "two"}]}, "one; two"),
    ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "Overloaded"),
    ({"type": "error", "message": "out of memory"}, "out of memory"),
    ({"success": False, "message": "out of memory"}, "out of memory"),
    ({"status": "error", "message": "out of memory"}, "out of memory"),
]


@pytest.mark.parametrize(("shape", "words"), SHAPES)
def test_in_an_event_of_a_stream(shape: dict[str, Any], words: str) -> None:
    for body in (stream(delta(content="Sea"), shape), stream(shape, done=False), stream(shape, delta("stop"))):
        answer = read(body)
        assert (answer.outcome, answer.reason) == ("stream_error", words)


@pytest.mark.parametrize(("shape", "words"), SHAPES)
def test_bare_between_events(shape: dict[str, Any], words: str) -> None:
    head, bare = stream(delta(content="Sea"), done=False), json.dumps(shape).encode()
    for body in (
        head + bare,
        head + bare + b"\n",
        head + bare + b"\n\n" + stream(),
        head + json.dumps(shape, indent=1).encode() + b"\n\n",
        head + b"error: " + bare + b"\n\n" + stream(),  # a field of that name: an older llama-server
        bare + b"\n\n" + stream(),
        b": ping\n\n" + bare,
    ):
        answer = read(body)
        assert (answer.outcome, answer.reason) == ("stream_error", words)


@pytest.mark.parametrize(
    ("shape", "words"), [*SHAPES, ([{"error": {"message": "no"}}], "no"), ({"message": "no"}, "no")]
)
def test_as_the_whole_body(shape: Any, words: str) -> None:
    body = json.dumps(shape).encode()

    answer = read(body)
    assert (answer.outcome, answer.reason) == ("stream_error", words)
    assert words_of_body(body) == words
    assert read(body, status=422).reason == f"HTTP 422: {words}"


@pytest.mark.parametrize(
    "chunk",
    [
        {"type": "ping", "message": "still here"},
        {"message": "pong", "code": 200},
        {"message": "ok", "code": 0},
        {"msg": "success", "code": "ok"},
        {"status": "processing", "message": "loading the model"},
        {"object": "chat.completion.chunk", "error": None, "choices": []},
        {"error": False},
        {"error": {}, "detail": None},
        {"error": {"message": "", "code": None}, "choices": [{"delta": {"content": "a"}}]},
    ],
)
def test_what_is_no_error(chunk: dict[str, Any]) -> None:
    assert read(stream(delta(content="Sea"), chunk, delta("stop"))).outcome == "ok"


def test_a_lone_message_explains_an_answer_that_did_not_end() -> None:
    answer = read(stream(delta(content="Sea"), {"message": "Internal server error"}, done=False))

    assert answer.outcome == "incomplete"
    assert answer.reason == "the stream ended without a finish_reason; the server's last message: Internal server error"
    assert read(stream(delta(content="Sea"), {"message": "almost there"}, delta("stop"))).outcome == "ok"


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (b"Internal Server Error", "Internal Server Error"),
        (b"<html><body><h1>502 Bad Gateway</h1></body></html>\n", "502 Bad Gateway"),
        (b"upstream connect error\r\n", "upstream connect error"),
    ],
)
def test_words_after_the_last_event_are_told(rest: bytes, words: str) -> None:
    answer = read(stream(delta(content="Sea"), done=False) + rest)

    assert answer.outcome == "incomplete"
    assert answer.reason == f"the stream ended without a finish_reason; the server's last message: {words}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><head><title>Oops</title></head></html>", "not an event stream: Oops"),
        (b"Service overloaded", "not an event stream: Service overloaded"),
        (b'{"hello": 1}', "the server answered with one JSON object where a stream was asked for"),
    ],
)
def test_a_body_that_is_no_stream(body: bytes, words: str) -> None:
    answer = read(body)

    assert (answer.outcome, answer.reason) == ("protocol_error", words)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"HTTP 500: boom", "HTTP 500: boom"),
        (500, b'{"error": "HTTP error 500: boom"}', "HTTP 500: boom"),
        (502, b"<h1>502 Bad Gateway</h1>", "HTTP 502: Bad Gateway"),
        (503, b"503", "HTTP 503"),
        (500, b"5000 tokens are too many", "HTTP 500: 5000 tokens are too many"),
        (500, b"500.5 ms are too long", "HTTP 500: 500.5 ms are too long"),
        (429, b'{"detail": "slow down"}', "HTTP 429: slow down"),
    ],
)
def test_a_status_is_told_once(status: int, body: bytes, words: str) -> None:
    assert refusal(status, [], body) == words


def test_words_that_cannot_be_written_are_mended() -> None:
    answer = read(b'data: {"error": {"message": "half \\ud83e of it"}}\n\n')

    assert answer.reason == "half ? of it"


@pytest.mark.parametrize("code", ["9" * 5000, "-" + "9" * 5000])
def test_a_number_of_thousands_of_digits_is_survived(code: str) -> None:
    for shape in (f'{{"error": {code}}}', f'{{"message": "no", "code": {code}}}', f'{{"error": {{"code": {code}}}}}'):
        assert read(f"data: {shape}\n\n".encode()).outcome != "ok"
        assert read(shape.encode(), status=500).outcome == "http_error"


@pytest.mark.parametrize(
    "value",
    [None, 7, [], {}, {"error": None}, {"message": ""}, {"detail": []}, {"detail": [{}]}, {"error": {"message": {}}}],
)
def test_nothing_is_said(value: Any) -> None:
    assert words_of_error(value) in (None, "7")


def test_a_body_of_braces_is_read_in_its_own_time() -> None:
    began = time.process_time()
    for piece in (b"{\n", b'{"a":\n', b'{"a":[\n', b"error: {\n", b"error:\n"):
        read(piece * (1_000_000 // len(piece)))
        read(event("null") + piece * (1_000_000 // len(piece)))
    words_of_error(json.loads("[" * 900 + "]" * 900))
    assert time.process_time() - began < 20


def test_a_heading_that_repeats_the_title_of_its_page_is_told_once() -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1>nginx</body></html>"

    assert refusal(502, [], page) == "HTTP 502: Bad Gateway nginx"
