"""What ends an answer well, what ends it badly, and what is known of it where nobody says."""

from typing import Any, ClassVar

import pytest

from tests.decode.streams import CUT, delta, event, kinds, read, stream, text, usage

SAID = delta(content="Sea otters")


@pytest.mark.parametrize(
    "chunks",
    [
        (SAID, delta("stop")),
        (SAID, delta(""), "[DONE]"),
        (SAID, "[DONE]"),
        (SAID, delta("null"), usage(2), "[DONE]"),
        (SAID, usage(2)),
        (SAID, usage(2), usage(2)),
        (SAID, {"usage": {"prompt_tokens": 5, "completion_tokens": 2}}),
        (SAID, delta("eos_token")),
        (SAID, delta("max_tokens")),
        (SAID, delta("a_word_nobody_knows")),
        (SAID, delta({"type": "stop", "matched": 2})),
    ],
)
def test_an_answer_that_ended(chunks: tuple[Any, ...]) -> None:
    answer = read(stream(*chunks, done=False))

    assert (answer.outcome, answer.reason) == ("ok", None)
    assert text(answer) == "Sea otters"


def test_an_end_that_nobody_named_is_unknown() -> None:
    answer = read(stream(SAID, delta(None), usage(3)))

    assert (answer.outcome, answer.finish_reason) == ("ok", None)
    assert answer.notes == ("no_finish_reason",)
    assert read(stream(SAID, delta("stop"))).notes == ()


@pytest.mark.parametrize(
    "word",
    ["abort", "Aborted", "error", "cancelled", "canceled", "timeout", "time-out", "unload", "load", "shutdown",
     "insufficient_system_resource", "network_error", "failed"],
)  # fmt: skip
def test_an_end_that_is_none_is_a_failure_with_its_word(word: str) -> None:
    answer = read(stream(SAID, delta(word), usage(2)))

    assert answer.outcome == "stream_error"
    assert word in str(answer.reason)
    assert answer.finish_reason == word
    assert text(answer) == "Sea otters"


def test_one_choice_that_was_given_up_is_enough() -> None:
    other = {"choices": [{"index": 1, "delta": {}, "finish_reason": "abort"}]}

    assert read(stream(SAID, other, delta("stop"))).outcome == "stream_error"


def test_a_bad_end_brings_the_words_beside_it() -> None:
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "error": {"message": "out of memory"}}
    parts = {"type": "abort", "message": "scaled down"}

    assert "out of memory" in str(read(stream(SAID, {"choices": [choice]})).reason)
    assert "scaled down" in str(read(stream(SAID, delta(parts))).reason)


@pytest.mark.parametrize(
    ("chunks", "outcome"),
    [
        ((SAID,), "incomplete"),
        # Ollama's runner was killed: a clean end, and nothing that says so
        ((SAID, delta(content="") | {"model": ""}), "incomplete"),
        ((SAID, {"error": {"message": "engine dead"}}, "[DONE]"), "stream_error"),
        (("[DONE]",), "empty"),
        ((delta(role="assistant", content=""), "[DONE]"), "empty"),
        ((usage(2), "[DONE]"), "empty"),
        ((delta(content="\n\n"), delta("stop"), "[DONE]"), "empty"),
        # a usage that comes before the text, or beside it, or counts nothing, is no end
        ((usage(1), SAID), "incomplete"),
        ((SAID | {"usage": {"prompt_tokens": 5, "completion_tokens": 2}},), "incomplete"),
        ((SAID, usage(0, 0)), "incomplete"),
        ((SAID, {"choices": [], "usage": {"completion_tokens": "2"}}), "incomplete"),
    ],
)  # fmt: skip
def test_an_answer_that_did_not_end(chunks: tuple[Any, ...], outcome: str) -> None:
    answer = read(stream(*chunks, done=False))

    assert answer.outcome == outcome
    assert answer.reason


@pytest.mark.parametrize(
    ("chunks", "outcome"),
    [
        ((SAID, delta("stop"), "[DONE]"), "ok"),
        ((SAID, "[DONE]"), "truncated"),  # llama-cpp-python, which another request has thrown out
        ((SAID, usage(2)), "truncated"),
        ((SAID, delta("stop")), "truncated"),
        ((SAID, delta("abort"), "[DONE]"), "stream_error"),
    ],
)
def test_an_answer_whose_framing_is_broken(chunks: tuple[Any, ...], outcome: str) -> None:
    assert read(stream(*chunks, done=False), failure=CUT).outcome == outcome


class TestNoBlankLine:
    last: ClassVar = {**delta("stop"), "usage": {"prompt_tokens": 5, "completion_tokens": 14}}

    @pytest.mark.parametrize("cut", [1, 2])
    def test_the_last_event_counts(self, cut: int) -> None:
        answer = read(stream(SAID, self.last, done=False)[:-cut])

        assert (answer.outcome, answer.finish_reason) == ("ok", "stop")
        assert answer.usage == {"prompt_tokens": 5, "completion_tokens": 14}
        assert answer.notes == ("no_blank_line",)

    def test_text_in_it_counts(self) -> None:
        answer = read(stream(SAID, delta("stop", content=" swim"), done=False)[:-1])

        assert text(answer) == "Sea otters swim"
        assert answer.events[-1][0] == 1

    @pytest.mark.parametrize("end", [b"data: [DONE]\n", b"data: [DONE]", b"data:[DONE]\r\n", b"id: 9\ndata: [DONE]"])
    def test_done_counts(self, end: bytes) -> None:
        assert read(stream(SAID, done=False) + end).outcome == "ok"

    def test_other_line_ends(self) -> None:
        body = stream(SAID, self.last, done=False)

        assert read(body.replace(b"\n", b"\r\n")[:-2]).finish_reason == "stop"
        assert read(body.replace(b"\n", b"\r")[:-1]).finish_reason == "stop"

    def test_a_line_that_was_begun_after_it_is_left_out(self) -> None:
        assert read(stream(SAID, self.last, done=False)[:-1] + b"data: [DO").finish_reason == "stop"

    @pytest.mark.parametrize("cut", [1, 2, 3])
    def test_where_the_framing_is_broken_it_does_not(self, cut: int) -> None:
        answer = read(stream(SAID, self.last, done=False)[:-cut], failure=CUT)

        assert (answer.outcome, answer.finish_reason, answer.usage) == ("truncated", None, None)

    def test_half_of_it_is_nothing(self) -> None:
        answer = read(stream(SAID, self.last, done=False)[:-20])

        assert (answer.outcome, answer.finish_reason) == ("incomplete", None)
        assert "finish_reason" in str(answer.reason)

    def test_a_stream_without_any_is_read_line_by_line_with_the_times_of_its_lines(self) -> None:
        lines = [event(SAID)[:-1], event(delta(content=" swim"))[:-1], event(self.last)[:-1], b"data: [DONE]\n"]
        whole = b"".join(lines)
        answer = read(whole)

        assert (answer.outcome, text(answer), answer.finish_reason) == ("ok", "Sea otters swim", "stop")
        assert answer.notes == ("no_blank_line",)

    def test_two_chunks_in_one_event_are_two(self) -> None:
        both = event(SAID)[:-1] + event(delta(content=" swim"))
        answer = read(both + stream(delta("stop")))

        assert (answer.outcome, text(answer)) == ("ok", "Sea otters swim")


def test_white_space_before_the_text_is_kept_and_noted() -> None:
    answer = read(stream(delta(content="\n"), delta(content="\n "), SAID, delta("stop")))

    assert text(answer) == "\n\n Sea otters"
    assert answer.notes == ("leading_white_space",)
    assert read(stream(delta(content="\n\nSea"), delta("stop"))).notes == ()


@pytest.mark.parametrize("status", [200, 201, 202, 206, 299])
def test_any_2xx_is_an_answer(status: int) -> None:
    assert read(stream(SAID, delta("stop")), status=status).outcome == "ok"


@pytest.mark.parametrize(("status", "outcome"), [(204, "incomplete"), (304, "http_error"), (404, "http_error")])
def test_what_is_none(status: int, outcome: str) -> None:
    answer = read(b"", status=status)

    assert answer.outcome == outcome
    assert answer.reason


def test_the_running_count_of_tokens_follows_the_text_of_its_chunk() -> None:
    chunks = [
        delta(role="assistant", content="") | {"usage": {"prompt_tokens": 5, "completion_tokens": 0}},
        delta(content="Sea") | {"usage": {"prompt_tokens": 5, "completion_tokens": 2}},
        delta("stop", content=" otters") | {"usage": {"prompt_tokens": 5, "completion_tokens": 4}},
        usage(4),
    ]
    answer = read(stream(*chunks))

    assert [(kind, words) for _, kind, words in answer.events if kind in ("content", "finish", "usage")] == [
        ("usage", "0"), ("content", "Sea"), ("usage", "2"), ("content", " otters"), ("finish", "stop"), ("usage", "4"),
        ("usage", "4"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "facts",
    [
        {"prompt_tokens": 5},
        {"prompt_tokens": 5, "completion_tokens": -1},
        {"prompt_tokens": 5, "completion_tokens": 1.5},
    ],
)
def test_a_usage_that_counts_nothing_has_no_count(facts: dict[str, Any]) -> None:
    answer = read(stream(SAID | {"usage": facts}, delta("stop")))

    assert [words for _, kind, words in answer.events if kind == "usage"] == [""]


def test_zeros_beside_every_chunk_are_no_usage() -> None:
    none = {"usage": {"prompt_tokens": 0, "completion_tokens": 0}}
    answer = read(stream(SAID | none, delta("stop") | none, usage(2)))

    assert kinds(answer).count("usage") == 1
    assert answer.usage == {"prompt_tokens": 5, "completion_tokens": 2}


def test_the_details_of_a_usage_are_kept() -> None:
    details = {"completion_tokens": 414, "completion_tokens_details": {"reasoning_tokens": 400}}
    answer = read(stream(SAID, delta("stop"), {"choices": [], "usage": details}))

    assert answer.usage == details


class TestWholeMessage:
    def test_in_one_event_it_is_the_text(self) -> None:
        message = {"role": "assistant", "content": "Sea otters", "reasoning_content": "hm"}
        answer = read(stream({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))

        assert (answer.outcome, text(answer), text(answer, "reasoning")) == ("ok", "Sea otters", "hm")

    def test_after_its_pieces_it_says_nothing_new(self) -> None:
        whole = {"choices": [{"index": 0, "delta": {}, "message": {"content": "Sea otters"}, "finish_reason": "stop"}]}
        beside = {"choices": [{"index": 0, "delta": {"content": "Sea "}, "message": {"content": "Sea "}}]}

        assert text(read(stream(beside, delta(content="otters"), whole))) == "Sea otters"

    def test_of_each_choice(self) -> None:
        both = [{"index": at, "message": {"content": f"answer {at}"}, "finish_reason": "stop"} for at in (0, 1)]

        assert text(read(stream({"choices": both}))) == "answer 0answer 1"

    def test_a_whole_json_answer_is_no_stream(self) -> None:
        body = b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"error":null}'

        assert read(body).outcome == "protocol_error"
