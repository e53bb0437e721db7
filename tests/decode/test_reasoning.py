"""Thoughts in any of their forms: told from what a person would read, and counted once."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx_loadgen.decode.chat import TEXT_KINDS
from lmx_loadgen.decode.reasoning import thought_end
from tests.decode.streams import delta, read, stream, text


def said(*deltas: dict[str, Any], endpoint: str = "chat") -> list[tuple[str, str]]:
    answer = read(stream(*deltas, delta("stop")), endpoint=endpoint)
    assert answer.outcome == "ok"
    return [(kind, words) for _, kind, words in answer.events if kind in TEXT_KINDS]


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"thinking": "hm"},
        {"reasoning_text": "hm"},
        {"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "hm", "index": 0}]},
        {"content": None, "reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]},
        {"reasoning_details": [{"text": "h"}, {"text": "m"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x9"}, {"summary": [{"text": "hm"}]}]},
        {"reasoning": {"text": "hm"}},
        {"reasoning_content": {"content": "hm"}},
        {"reasoning": {"summary": [{"type": "summary_text", "text": "hm"}]}},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]},
        {"content": [{"type": "thinking", "thinking": "hm"}]},
        {"content": [{"type": "reasoning", "text": "hm"}]},
        {"content": {"type": "thinking", "thinking": "hm"}},
        {"content": [{"text": "hm", "thought": True}]},
        # said twice, counted once
        {"reasoning": "hm", "reasoning_content": "hm"},
        {"reasoning": "hm", "reasoning_details": [{"text": "hm"}]},
        {"reasoning_content": "", "reasoning": "hm"},
    ],
)
def test_a_thought_in_a_field(fields: dict[str, Any]) -> None:
    assert said(delta(**fields), delta(content="Sea")) == [("reasoning", "hm"), ("content", "Sea")]


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x9"}]},
        {"reasoning": {"effort": "low"}},
        {"reasoning_content": None, "thinking": False},
        {"reasoning_details": "", "reasoning": {}},
    ],
)
def test_no_thought_is_seen(fields: dict[str, Any]) -> None:
    assert said(delta(**fields), delta(content="Sea")) == [("content", "Sea")]


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "Sea"}],
        {"type": "text", "text": "Sea"},
        [{"type": "output_text", "text": {"value": "Sea"}}],
        ["Se", "a"],
        [{"type": "image_url", "image_url": {"url": "x"}}, {"text": "Sea"}],
    ],
)
def test_content_in_parts(content: Any) -> None:
    assert said(delta(content=content)) == [("content", "Sea")]


def test_thought_and_answer_in_the_parts_of_one_event() -> None:
    parts = [{"type": "thinking", "thinking": "h"}, {"type": "thinking", "thinking": "m"}, {"text": "Sea"}]

    assert said(delta(content=parts)) == [("reasoning", "hm"), ("content", "Sea")]


def test_the_whole_thought_again_at_its_end_is_no_thought() -> None:
    again = {"reasoning_details": [{"type": "reasoning.text", "text": "hm hm", "signature": "s"}]}

    assert said(delta(reasoning="hm"), delta(reasoning=" hm"), delta(**again), delta(content="Sea")) == [
        ("reasoning", "hm"), ("reasoning", " hm"), ("content", "Sea"),
    ]  # fmt: skip


def test_a_refusal_is_what_a_person_reads() -> None:
    assert said(delta(refusal="I cannot")) == [("content", "I cannot")]


def pieces(*words: str) -> list[tuple[str, str]]:
    return said(*(delta(content=word) for word in words))


R, C = "reasoning", "content"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["<think>", "hm", "</think>", "\n\n", "Sea"],
         [(R, "<think>"), (R, "hm"), (R, "</think>"), (C, "\n\n"), (C, "Sea")]),
        # the template opened it
        ([" hm", " hm", "</think>", "\n\n", "Sea"],
         [(R, " hm"), (R, " hm"), (R, "</think>"), (C, "\n\n"), (C, "Sea")]),
        ([" hm", "</think>", "sea otters"], [(R, " hm"), (R, "</think>"), (C, "sea otters")]),
        # tags over the edges of chunks, and several pieces in one
        (["\n<th", "ink>h", "m</thi", "nk>", "Sea"],
         [(R, "\n<th"), (R, "ink>h"), (R, "m</thi"), (R, "nk>"), (C, "Sea")]),
        (["<think>hm</think>\n\nSea"], [(R, "<think>hm</think>"), (C, "\n\nSea")]),
        (["<think>hm</think>\n\n", "Sea"], [(R, "<think>hm</think>\n\n"), (C, "Sea")]),
        # empty, unclosed, and one after another
        (["<think>\n\n</think>", "Sea"], [(R, "<think>\n\n</think>"), (C, "Sea")]),
        (["<think>hm", " hm"], [(R, "<think>hm"), (R, " hm")]),
        (["<think>a</think>", "\n<think>b</think>", "Sea"],
         [(R, "<think>a</think>"), (R, "\n<think>b</think>"), (C, "Sea")]),
        # brothers
        (["<thinking>hm</thinking>", "Sea"], [(R, "<thinking>hm</thinking>"), (C, "Sea")]),
        (["<reasoning>hm</reasoning>", "Sea"], [(R, "<reasoning>hm</reasoning>"), (C, "Sea")]),
        (["<thought>hm", "</thought>", "Sea"], [(R, "<thought>hm"), (R, "</thought>"), (C, "Sea")]),
        (["<seed:think>hm", "</seed:think>", "Sea"], [(R, "<seed:think>hm"), (R, "</seed:think>"), (C, "Sea")]),
        (["[THINK]", "hm", "[/THINK]", "Sea"], [(R, "[THINK]"), (R, "hm"), (R, "[/THINK]"), (C, "Sea")]),
        (["hm", "[/THINK]Sea"], [(R, "hm"), (R, "[/THINK]"), (C, "Sea")]),
        (["<|channel|>analysis", "<|message|>hm<|end|>", "<|start|>assistant<|channel|>final<|message|>", "Sea"],
         [(R, "<|channel|>analysis"), (R, "<|message|>hm<|end|>"),
          (R, "<|start|>assistant<|channel|>final<|message|>"), (C, "Sea")]),
        # the tag quoted within a thought does not end it
        (["I write `</think>` here.", "\n</think>\n", "Sea"],
         [(R, "I write `</think>` here."), (R, "\n</think>\n"), (C, "Sea")]),
    ],
)  # fmt: skip
def test_thoughts_in_the_content(words: list[str], expected: list[tuple[str, str]]) -> None:
    assert pieces(*words) == expected


@pytest.mark.parametrize(
    "words",
    [
        ["Sea", " otters"],
        ["It ends with `</think>`", " in Qwen's template."],
        ["A thought stands between <think> and </think>", " in Qwen's template."],
        ["Models close it with </think> and go on."],
        ['The string "</think>" ends it.'],
        ["```\n<think>\nhm\n</think>\n```\nis how it looks."],
        ["```\nhm\n</think>\n```\nis how it looks."],
        ["Sure. <think>hm</think>", " Sea"],
        ["a < b and [c]"],
    ],
)
def test_what_only_speaks_of_tags_is_content(words: list[str]) -> None:
    assert pieces(*words) == [("content", word) for word in words]


def test_a_tag_quoted_after_the_thought_is_content() -> None:
    words = ["<think>hm</think>", "It ends with\n</think>\n", "and goes on"]

    assert pieces(*words) == [("reasoning", words[0]), ("content", words[1]), ("content", words[2])]


def test_after_a_thought_in_its_field_only_a_tag_at_the_head_is_left_over() -> None:
    thought = delta(reasoning_content="hm")

    assert said(thought, delta(content="</think>"), delta(content="Sea")) == [
        ("reasoning", "hm"), ("reasoning", "</think>"), ("content", "Sea"),
    ]  # fmt: skip
    assert said(thought, delta(content="It ends with\n</think>\n"))[1][0] == "content"


def test_each_choice_has_its_own_thoughts() -> None:
    def choice(at: int, words: str) -> dict[str, Any]:
        return {"choices": [{"index": at, "delta": {"content": words}, "finish_reason": None}]}

    found = said(choice(1, "<think>a"), choice(0, "Sea"), choice(1, "b</think>"), choice(1, "Otter"))

    assert found == [("reasoning", "<think>a"), ("content", "Sea"), ("reasoning", "b</think>"), ("content", "Otter")]


def test_completions_think_too() -> None:
    chunks = [{"choices": [{"index": 0, "text": words}]} for words in ("hm", "</think>", "Sea")]

    assert said(*chunks, endpoint="completions") == [(R, "hm"), (R, "</think>"), (C, "Sea")]


def test_an_unclosed_thought_at_the_limit_is_an_answer() -> None:
    answer = read(stream(delta(content="<think>hm"), delta("length")))

    assert (answer.outcome, text(answer), text(answer, "reasoning")) == ("ok", "", "<think>hm")


parts = st.sampled_from(
    ["<think>", "</think>", "<thinking>", "[THINK]", "[/THINK]", "hm", " ", "\n", "`", "```", "</thi", "nk>", "Sea."]
)


@given(st.lists(parts, max_size=14))
def test_no_character_is_lost_or_moved(words: list[str]) -> None:
    answer = read(stream(*(delta(content=word) for word in words), delta("stop")))
    texts = [(kind, part) for _, kind, part in answer.events if kind in TEXT_KINDS]

    assert "".join(part for _, part in texts) == "".join(words)
    # thoughts come first, and never after the answer has begun
    shapes = [kind for kind, _ in texts]
    assert shapes == sorted(shapes, reverse=True)
    end = thought_end("".join(words))
    assert sum(len(part) for kind, part in texts if kind == "reasoning") >= end


def test_endless_tags_are_read_in_their_own_time() -> None:
    began = time.process_time()
    for word in ("<think></think>", "`</think>`", "</think> and ", "<think>", "```</think>"):
        thought_end(word * (1_000_000 // len(word)))
    assert time.process_time() - began < 20
