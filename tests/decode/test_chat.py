"""What a stream said and whether it is an answer: cases that no recording has."""

import gzip
import json
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.decode.chat import RawAnswer, StreamRules, read_answer, usage_counts
from lmx_loadgen.decode.errors import plain, words_of_body
from lmx_loadgen.decode.stream import MAX_EVENTS, MAX_TEXT

LMX = StreamRules(False, False, "\n\n[Error: ")


def sse(*chunks, done=True) -> bytes:
    lines = [chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks]
    return b"".join(f"data: {line}\n\n".encode() for line in [*lines, *(["[DONE]"] if done else [])])


def delta(finish=None, **fields):
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def read(body: bytes, *, status=200, headers=(), failure=None, rules=None, endpoint="chat"):
    raw = RawAnswer(status, list(headers), body, [(1_000, len(body))] if body else [], failure)
    return read_answer(raw, endpoint, rules or StreamRules())


def kinds(answer):
    return [kind for _, kind, _ in answer.events]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_under_any_of_its_names(key):
    answer = read(sse(delta(**{key: "hm"}), delta(content="so"), delta("stop")))
    assert answer.events[0] == (0, "reasoning", "hm")
    assert answer.outcome == "ok"


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "assistant"},
        {"role": "assistant", "content": ""},
        {"content": None},
        {"content": []},
        {"tool_calls": None},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
        {"content": 7},
    ],
)
def test_what_is_not_a_token(fields):
    answer = read(sse(delta(**fields), delta("stop")))
    assert not {"content", "reasoning", "tool"} & set(kinds(answer))
    assert answer.outcome == "empty"


def test_one_delta_may_reason_speak_and_call():
    calls = [{"index": 0, "function": {"name": "f", "arguments": '{"a"'}}]
    answer = read(sse(delta(reasoning="r", content="c", tool_calls=calls), delta("tool_calls")))
    assert [(kind, text) for _, kind, text in answer.events[:3]] == [
        ("reasoning", "r"),
        ("content", "c"),
        ("tool", '{"a"'),
    ]


def test_content_in_parts():
    answer = read(sse(delta(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), delta("stop")))
    assert answer.events[0] == (0, "content", "ab")


@pytest.mark.parametrize(
    ("body", "failure", "outcome", "words"),
    [
        (sse(delta(content="a"), delta("stop")), None, "ok", None),
        (sse(delta(content="a"), delta("stop"), done=False), None, "ok", None),
        (sse(delta(content="a")), None, "ok", None),
        (sse(delta(content="a"), done=False), None, "incomplete", "finish_reason"),
        (sse(), None, "empty", "no text"),
        (b"", None, "incomplete", "empty"),
        (b": ping\n\n", None, "incomplete", "finish_reason"),
        (sse(delta("stop")), None, "empty", "no text"),
        (sse(delta(content="a"), {"error": {"message": "out of memory"}}), None, "stream_error", "out of memory"),
        (sse(delta(content="a"), {"error": "boom"}, delta("stop")), None, "stream_error", "boom"),
        (b'event: error\ndata: {"message": "context overflow"}\n\n', None, "stream_error", "context overflow"),
        (b"event: error\ndata: plain words\n\n", None, "stream_error", "plain words"),
        (b'{"error": {"message": "no"}}', None, "stream_error", "no"),
        (json.dumps(delta(content="a")).encode(), None, "protocol_error", "one JSON object"),
        (b"<html>hello</html>", None, "protocol_error", "not an event stream"),
        (sse("{broken", delta(content="a"), delta("stop")), None, "protocol_error", "not a JSON object"),
        (sse("[1]", delta("stop")), None, "protocol_error", "not a JSON object"),
        (sse(delta(content="a"), done=False), ("truncated", "cut"), "truncated", "cut"),
        (sse(delta(content="a"), delta("stop"), done=False), ("truncated", "cut"), "truncated", "cut"),
        (sse(delta(content="a"), delta("stop")), ("reset", "late"), "ok", None),
        (sse({"error": "died"}, done=False), ("reset", "lost"), "stream_error", "died"),
        (sse(delta(content="a"), delta("stop")), ("cancelled", "stopped"), "cancelled", "stopped"),
    ],
)
def test_outcomes(body, failure, outcome, words):
    answer = read(body, failure=failure)
    assert answer.outcome == outcome
    assert (words in answer.reason) if words else answer.reason is None


class TestErrorText:
    def test_it_is_a_failure_and_never_a_token(self):
        answer = read(sse(delta(content="\n\n[Error: Server is busy]"), delta("stop")), rules=LMX)
        assert answer.outcome == "stream_error"
        assert answer.reason == "Server is busy"
        assert "content" not in kinds(answer)

    def test_text_before_it_stays(self):
        answer = read(sse(delta(content="Well"), delta(content="\n\n[Error: died]"), delta("stop")), rules=LMX)
        assert kinds(answer)[:2] == ["content", "error"]

    def test_an_answer_that_goes_on_after_it_is_an_answer(self):
        answer = read(
            sse(delta(content="\n\n[Error: x]"), delta(content=" is how it prints"), delta("stop")), rules=LMX
        )
        assert answer.outcome == "ok"

    def test_other_servers_may_say_it(self):
        assert read(sse(delta(content="\n\n[Error: x]"), delta("stop"))).outcome == "ok"


class TestUsage:
    def test_alone_beats_all_others(self):
        chunks = [
            {**delta(content="a"), "usage": {"prompt_tokens": 0, "completion_tokens": 0}},
            {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
            {**delta("stop"), "usage": {"prompt_tokens": 9, "completion_tokens": 9}},
        ]
        assert read(sse(*chunks)).usage == {"prompt_tokens": 5, "completion_tokens": 2}

    def test_the_last_one_that_says_anything(self):
        chunks = [
            {**delta(content="a"), "usage": {"prompt_tokens": 5, "completion_tokens": 1}},
            {**delta("stop"), "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
            {**delta(), "usage": {"prompt_tokens": 0, "completion_tokens": 0}},
        ]
        assert read(sse(*chunks)).usage["completion_tokens"] == 2

    @pytest.mark.parametrize(
        ("usage", "counts"),
        [
            (None, (None, None, None)),
            ({"prompt_tokens": -3, "completion_tokens": "12"}, (None, None, None)),
            ({"prompt_tokens": 3, "completion_tokens": True}, (3, None, None)),
            ({"completion_tokens": 2.5}, (None, None, None)),
            ({"prompt_tokens_details": {"cached_tokens": 0}}, (None, None, 0)),
            ({"prompt_tokens_details": "no"}, (None, None, None)),
            ({"prompt_tokens": 10**30}, (None, None, None)),
        ],
    )
    def test_nonsense_is_no_count(self, usage, counts):
        assert usage_counts(usage) == counts


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b'{"error":{"message":"no such model","type":"x","code":404}}', "no such model"),
            (b'{"error":"busy"}', "busy"),
            (b'{"detail":"Invalid key"}', "Invalid key"),
            (
                b'{"detail":[{"loc":["body"],"msg":"Field required"},{"msg":"Bad type"}]}',
                "body: Field required; Bad type",
            ),
            (b"<html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>", "502 Bad Gateway"),
            (b"plain words", "plain words"),
            (b"", ""),
            (b"\xff\xfe\x00", "3 bytes that are not text"),
            (b'{"error":"a\\u001b[31mred\\u0007"}', "a [31mred"),
        ],
    )
    def test_the_words_of_an_error_body(self, body, words):
        assert words_of_body(body) == words

    def test_the_reason_says_status_words_and_when_to_come_back(self):
        answer = read(b'{"error":"slow down"}', status=429, headers=[("retry-after", "5")])
        assert (answer.outcome, answer.reason) == ("http_error", "HTTP 429: slow down (Retry-After: 5)")

    def test_a_redirect_is_told_and_not_followed(self):
        answer = read(b"", status=302, headers=[("location", "http://elsewhere/")])
        assert answer.reason is not None
        assert answer.reason.startswith("HTTP 302: ")
        assert "http://elsewhere/" in answer.reason

    def test_a_huge_page_is_cut(self):
        assert len(read(b"<p>" + b"word " * 100_000, status=500).reason) <= 300


class TestEncodings:
    body = sse(delta(content="hello"), delta("stop"))

    def test_gzip_is_unpacked_read_by_read(self):
        packed = gzip.compress(self.body)
        raw = RawAnswer(200, [("content-encoding", "gzip")], packed, [(10, 20), (20, len(packed) - 20)], None)
        answer = read_answer(raw, "chat", StreamRules())
        assert answer.outcome == "ok"
        assert sum(size for _, size in answer.arrivals) == len(self.body)
        assert [at for at, _ in answer.arrivals] == [10, 20]

    @pytest.mark.parametrize(
        ("encoding", "body"),
        [("gzip", b"not gzip"), ("br", b"x"), ("gzip", gzip.compress(b"\0" * 80_000_000, 9)), ("deflate", b"\xff")],
        ids=["lie", "unknown", "bomb", "not-deflate"],
    )
    def test_what_cannot_be_unpacked_is_said(self, encoding, body):
        assert read(body, headers=[("content-encoding", encoding)]).outcome == "protocol_error"

    def test_deflate(self):
        assert read(zlib.compress(self.body), headers=[("content-encoding", "deflate")]).outcome == "ok"


def test_half_a_surrogate_pair_is_a_replacement_character():
    chunk = '{"choices":[{"delta":{"content":"\\ud83e"}}]}'
    answer = read(sse(chunk, delta("stop")))
    assert answer.events[0] == (0, "content", "?")
    assert answer.outcome == "ok"


def test_deep_json_is_garbage_not_a_crash():
    assert read(sse('{"a":' * 100_000, delta("stop"))).outcome == "protocol_error"
    assert read(sse('{"x":"\\ud83e","a":' + "[" * 100_000, delta("stop"))).outcome == "protocol_error"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from(
    ["choices", "delta", "content", "usage", "error", "finish_reason", "tool_calls", "id", "model", "timings", "text"]
)
chunks = st.dictionaries(
    known_keys,
    st.recursive(json_values, lambda i: st.lists(st.dictionaries(known_keys, i, max_size=3), max_size=3), max_leaves=4),
)


@given(st.lists(chunks, max_size=4), st.sampled_from(["chat", "completions"]))
@pytest.mark.slow
def test_any_json_is_read_without_failing(values, endpoint):
    answer = read(sse(*values), endpoint=endpoint, rules=LMX)
    assert answer.outcome in ("ok", "incomplete", "empty", "stream_error", "protocol_error")
    assert answer.outcome == "ok" or answer.reason


@given(st.binary(max_size=400), st.sampled_from([200, 302, 404, 500]))
def test_any_bytes_are_read_without_failing(body, status):
    answer = read(body, status=status)
    assert answer.outcome != "ok"


@given(st.text(max_size=500))
def test_plain_text_is_one_printable_line(text):
    shown = plain(text)
    assert len(shown) <= 300
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)


@pytest.mark.slow
def test_more_events_than_any_answer_has_are_not_kept():
    found = read(b":\n" * (MAX_EVENTS + 100_000))

    assert found.outcome == "protocol_error"
    assert "over 500000 events" in found.reason
    assert len(found.events) == MAX_EVENTS


def test_more_text_than_any_answer_has_is_not_kept():
    found = read(sse(*[delta(content="a" * 1_000_000)] * 20))

    assert found.outcome == "protocol_error"
    assert sum(len(text) for _, _, text in found.events) <= MAX_TEXT + 1_000_000


@pytest.mark.parametrize("key", ["usage", "timings"])
def test_figures_that_are_no_figures_are_not_kept(key):
    facts = {"prompt_tokens": 3, "completion_tokens": 2, "story": "x" * 20_000}
    found = read(sse(delta("stop", content="a") | {key: facts}))

    assert found.outcome == "ok"
    assert (found.usage, found.server_timings) == (None, None)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (b"<p>Sorry,<script>var a = '<b>'</script> no.</p><STYLE >p {}</style\n><i>502</i>", "Sorry, no. 502"),
        (b"<script>a<script>b</script>c</script>d", "c d"),
        (b"<style>a</style>b<script>c<script>d", "b c d"),
    ],
)
def test_of_a_page_its_words_are_kept(page, words):
    assert words_of_body(page) == words


@pytest.mark.slow
@pytest.mark.timing
def test_a_page_of_scripts_that_never_end_is_read_in_its_own_time():
    """Looking for the end of each of them would take minutes."""
    began = time.process_time()
    for piece in (b"<script", b"<script>", b"<style><script ", b"<"):
        for _ in range(15):
            words_of_body(piece * (64_000 // len(piece)))
    assert time.process_time() - began < 20
