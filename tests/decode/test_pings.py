"""Events that are not ours, and signs of life: passed over, and never a reason to fail an answer."""

import pytest

from tests.decode.streams import delta, event, kinds, read, stream, text

HEAD, TAIL = stream(delta(content="Sea"), done=False), stream(delta("stop", content=" otters"))


@pytest.mark.parametrize(
    "between",
    [
        event("2026-10-02 07:12:09.250113", "ping"),
        event('{"type": "ping"}', "ping"),
        event("x", "heartbeat"),
        event("{not json", "keepalive"),
        event('{"progress": 0.5}', "prompt_processing.progress"),
        event('{"content": "Sea"}', "message.delta"),
        b"event: ping\n\n",
        b"event: ping\ndata\n\n",
        b"retry: 3000\n\n",
        b"id: 7\n\n",
        b": keepalive\n\n",
        b":\n\n",
        b"nonsense\n\n",
        # signs of life in events without a name
        event(""),
        event("   "),
        event("null"),
        event("[]"),
        event("{}"),
        event('{"type":"ping"}'),
        event("0"),
        event("1790000000.5"),
        event("true"),
        event('""'),
        event('"ping"'),
        event(": ping"),
        event(": OPENROUTER PROCESSING"),
        event("ping - 2026-10-02 07:12:09.250113+00:00"),
        event("2026-10-02T07:12:09Z"),
        event("Fri, 02 Oct 2026 07:12:09 GMT"),
        event("OPEN"),
        event("[HEARTBEAT]"),
        event("keep-alive"),
        event("keepalive 3/7"),
    ],
)
def test_an_answer_stays_whole(between: bytes) -> None:
    for body in (HEAD + between + TAIL, between + HEAD + TAIL, HEAD + TAIL + between):
        answer = read(body)
        assert (answer.outcome, answer.reason, text(answer)) == ("ok", None, "Sea otters")


def test_they_are_signs_of_life_in_the_log() -> None:
    body = HEAD + event("2026-10-02 07:12:09", "ping") + event("null") + event("OPEN") + TAIL

    assert kinds(read(body))[:4] == ["content", "ping", "ping", "ping"]


@pytest.mark.parametrize(
    "between",
    [
        event('{"choices":[{"delta":{"content":" ot'),
        event("[1]"),
        event('"half an answer"'),
        event("Internal Server Error"),
        event("openly broken"),
        event("pinging you, but with words that an answer may have: and more and more and more and more and more"),
    ],
)
def test_what_may_have_been_text_fails_it(between: bytes) -> None:
    answer = read(HEAD + between + TAIL)

    assert answer.outcome == "protocol_error"
    assert "not a JSON object" in str(answer.reason)


def test_bare_words_of_an_error_reach_the_user() -> None:
    assert "CUDA out of memory" in str(read(HEAD + event("Error: CUDA out of memory. " + "x" * 100)).reason)


def test_an_answer_all_of_whose_events_have_names() -> None:
    chunks = [delta(content="Sea"), delta(content=" otters"), delta("stop")]
    body = b"".join(event(chunk, "chat.completion.chunk") for chunk in chunks) + event("[DONE]", "done")
    answer = read(event("x", "ping") + body)

    assert (answer.outcome, text(answer), answer.finish_reason) == ("ok", "Sea otters", "stop")
    assert [index for index, kind, _ in answer.events if kind == "content"] == [1, 2]


def test_chunks_under_a_name_beside_those_without_are_somebody_elses() -> None:
    answer = read(HEAD + event(delta(content="Sea otters, so far"), "snapshot") + TAIL)

    assert text(answer) == "Sea otters"


def test_an_end_under_a_name_is_an_end() -> None:
    assert read(HEAD + event("[DONE]", "done")).outcome == "ok"


@pytest.mark.parametrize("name", ["error", "Error", "stream.error", "response_error"])
def test_an_error_is_ours(name: str) -> None:
    answer = read(HEAD + event('{"message": "context overflow"}', name) + TAIL)

    assert (answer.outcome, answer.reason) == ("stream_error", "context overflow")


def test_an_error_under_another_name_explains_an_end_that_is_missing() -> None:
    failed = event('{"error": {"message": "context overflow"}}', "chat.end")

    assert str(read(HEAD + failed).reason).endswith("; the server's last message: context overflow")
    assert read(HEAD + failed + TAIL).outcome == "ok"


def test_two_prompts_begin_with_null_on_llama_cpp() -> None:
    chunks = [{"choices": [{"index": at, "text": words, "finish_reason": end}]}
              for at, words, end in ((0, "a", None), (1, "b", None), (0, "", "stop"), (1, "", "length"))]  # fmt: skip
    answer = read(stream("null", *chunks), endpoint="completions")

    assert (answer.outcome, text(answer)) == ("ok", "ab")
    assert answer.events[0][1] == "ping"


@pytest.mark.parametrize("done", ["[DONE] ", " [DONE]", '"[DONE]"'])
def test_done_in_other_dress(done: str) -> None:
    assert read(HEAD + event(done)).outcome == "ok"
