"""The checks of the audit that go by what was written under load: text a token, when it came, and what it says."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lmx_loadgen.analysis.comparison.blocks import arm_of, figures_of
from lmx_loadgen.analysis.comparison.compare import compare
from lmx_loadgen.analysis.comparison.visible_characters import is_visible, visible_count
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.store.comparison import AuditLine
from tests.helpers.made_checks import check_line, with_checks
from tests.helpers.made_lines import MS
from tests.helpers.made_sessions import Made, session

TOKENS = [*figures_of("decode_tok_s", "output_tok_s", "e2e", "longest_stall")]
FIRST_TEXT = [*figures_of("ttft", "decode_tok_s", "longest_stall")]
GAPS = [*figures_of("decode_tok_s", "longest_stall")]

Line = dict[str, Any]


def line_of(key: str, a: Made, b: Made, *checks: Sequence[Line], **changes: Any) -> AuditLine:
    run = MeasuredRun(with_checks(session({"a": a, "b": b}, **changes), *checks))
    comparison = compare(arm_of(run, "a"), arm_of(run, "b"))
    (line,) = [line for line in comparison.audit if line.key == key]
    return line


# Text a token


def counting(tokens: int) -> Made:
    """Ten words, and a count of its own."""
    return Made(change=lambda line, number: line | {"usage": line["usage"] | {"completion_tokens": tokens}})


def test_a_count_of_tokens_that_nobody_received_is_seen_by_the_text() -> None:
    line = line_of("characters_per_token", Made(), counting(20))

    assert (line.status, line.metrics) == ("failed", TOKENS)
    assert line.sentence == (
        "b's answers have 1.8 characters for each token that it reports, a's 3.6: over 10 % apart, so b counts tokens "
        "that nobody received"
    )


@pytest.mark.parametrize("tokens", [10, 11, 12])
def test_marks_at_the_end_of_an_answer_are_counted_by_some(tokens: int) -> None:
    assert line_of("characters_per_token", Made(), counting(tokens)).status == "passed"


def test_characters_that_nobody_sees_are_none() -> None:
    padded = Made(text="the\u200b\u200b\u200b an\u200b\u200b is\u2060\u2060 a\u2060 as\u200b\u200b")

    assert line_of("characters_per_token", Made(), padded).status == "failed"
    assert visible_count("a\u200bb \u3164c\ufe0f\u00add") == 4
    assert all(map(is_visible, "aß語🙂.-_é"))


def test_models_with_other_tokenizers_may_differ() -> None:
    line = line_of("characters_per_token", Made(model="qwen2.5:7b"), Made(model="box", text="attention everywhere"))

    assert line.status == "unknown"
    assert line.sentence.endswith("or the models have other tokenizers")


# When it came


def with_first(text: str, at_ms: float) -> Callable[[Line, int], Line]:
    """Another event before the answer."""

    def change(line: Line, number: int) -> Line:
        events = [[0, "content", text], *([index + 1, kind, words] for index, kind, words in line["events"])]
        counts = line["usage"] | {"completion_tokens": len(events)}
        return line | {"arrivals": [[round(at_ms * MS), 9], *line["arrivals"]], "events": events, "usage": counts}

    return change


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("\n", "passed", "100 % of b's answers begin with white space: TTFT is to the first visible text"),
        ("\u200b", "failed", "100 % of b's answers begin with characters that nobody sees, by 95 % of the wait"),
        ("…", "failed", "b sends its first text after 10 ms, then pauses, and goes on after"),
        ("Sure!", "failed", "in 40 of 40 answers: its TTFT is not of the model's text"),
    ],
)
def test_what_comes_at_once_is_not_the_model_s(text: str, status: str, words: str) -> None:
    line = line_of("visible_text", Made(), Made(change=with_first(text, 10)))

    assert (line.status, words in line.sentence) == (status, True), line.sentence
    assert line.metrics == (FIRST_TEXT if status == "failed" else [])


def test_a_pause_among_others_that_are_read_at_the_same_time_is_none() -> None:
    """With several in flight a server stops for each new prompt."""
    made = Made(change=with_first("The", 10))

    assert line_of("visible_text", Made(), made, concurrency=4).status == "passed"


def test_a_pause_now_and_then_is_the_machine_s() -> None:
    late = with_first("The", 10)
    made = Made(change=lambda line, number: late(line, number) if number % 4 == 0 else line)

    assert line_of("visible_text", Made(), made).status == "passed"


def test_tokens_that_come_in_bursts_of_a_step_have_no_pause() -> None:
    """Speculative decoding: four tokens a step, a read each."""
    times = [200 + 60 * (place // 4) + 0.1 * (place % 4) for place in range(24)]
    text = " ".join("word" for _ in times)
    checks = [check_line(side, "settings", f"first-{n}", text, reads=times) for side in "ab" for n in range(6)]

    assert line_of("visible_text", Made(), Made(), checks).status == "passed"


def asked(side: str, short_ms: float, long_ms: float, step: float) -> list[Line]:
    """Answers of four tokens and of sixteen, which begin after so many ms."""
    short = [check_line(side, "settings", f"short-{n}", "a b c d", ttft=short_ms, step=step) for n in range(3)]
    text = " ".join("abcdefghijklmnop")
    names = [f"{name}-{n}" for name in ("first", "again") for n in range(3)]
    return short + [check_line(side, "settings", name, text, ttft=long_ms, step=step) for name in names]


def test_text_that_is_held_back_and_poured_out_is_seen_by_when_longer_answers_begin() -> None:
    poured = Made(ttft=400, step=0.2)
    line = line_of("visible_text", Made(), poured, asked("a", 200, 200, 20), asked("b", 260, 500, 0.2))

    assert (line.status, line.metrics, line.b) == ("failed", GAPS, "held back")
    assert line.sentence.startswith("b begins an answer of 4 tokens after 260 ms and one of 16 after 500 ms")


def test_text_that_comes_in_larger_pieces_at_its_own_speed_is_not_held_back() -> None:
    line = line_of("visible_text", Made(), Made(), asked("a", 200, 200, 20), asked("b", 260, 500, 20))

    assert line.status == "passed"


def test_a_short_answer_that_fits_into_one_chunk_is_not_held_back() -> None:
    """As of a server that sends 32 tokens at a time: longer answers come at the speed they are made."""
    line = line_of("visible_text", Made(), Made(), asked("a", 200, 200, 20), asked("b", 260, 500, 0.2))

    assert line.status == "passed"


def test_events_of_several_tokens_are_a_note() -> None:
    def in_one(line: Line, number: int) -> Line:
        text = "".join(words for _, _, words in line["events"])
        return line | {"events": [[0, "content", text[:20]], [9, "content", text[20:]]]}

    line = line_of("visible_text", Made(), Made(change=in_one))

    assert (line.status, line.sentence) == (
        "passed",
        "b sends about 5 tokens at a time and a 1: stalls are between events, not tokens",
    )


# What it says


def answering(say: Callable[[str, int], str], prompts: int = 12) -> Made:
    """What is said to a prompt for the nth time."""

    def change(line: Line, number: int) -> Line:
        prompt = f"short-{number % prompts:02d}"
        words = say(prompt, number // prompts).split()
        size = max(1, len(words) // len(line["events"]))
        texts = [" ".join(words[at : at + size]) + " " for at in range(0, size * len(line["events"]), size)]
        events = [[index, kind, text] for (index, kind, _), text in zip(line["events"], texts, strict=True)]
        return line | {"prompt_id": prompt, "events": events}

    return Made(tokens=20, change=change)


def words_of(seed: str, count: int = 60) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(3)) for _ in range(count)]


def model(weights: str, changed: float = 0.3) -> Callable[[str, int], str]:
    """Says much the same to a prompt each time, but for a share of the words that hangs on nonce and weights."""

    def say(prompt: str, time: int) -> str:
        draw, other = random.Random(f"{weights}/{prompt}/{time}"), words_of(f"{weights}/{prompt}/{time}")
        return " ".join(y if draw.random() < changed else x for x, y in zip(words_of(prompt), other, strict=True))

    return say


def test_other_weights_and_nonces_change_an_answer_and_that_is_honest() -> None:
    line = line_of("overlap", answering(model("4-bit")), answering(model("Q4_K_M")))

    assert (line.status, line.sentence) == ("passed", "")
    assert "in common with its own" in line.a


@pytest.mark.parametrize(
    "say",
    [
        lambda prompt, time: " ".join(words_of(f"{prompt}/{time}/anything")),
        lambda prompt, time: " ".join(words_of("one for all")),
        lambda prompt, time: " ".join(words_of(f"other {prompt}")),
    ],
    ids=["invented", "canned", "of other prompts"],
)
def test_answers_that_have_nothing_to_do_with_the_prompt_refuse_everything(say: Callable[[str, int], str]) -> None:
    line = line_of("overlap", answering(model("4-bit")), answering(say))

    assert (line.status, line.metrics) == ("failed", [])
    assert "a and b to the same prompt have" in line.sentence
    assert line.sentence.endswith("the two do not answer alike")


def test_answers_that_are_never_alike_tell_nothing() -> None:
    """As at a high temperature, or of a model with random weights."""
    line = line_of("overlap", answering(model("4-bit", 1.0)), answering(model("Q4_K_M", 1.0)))

    assert line.status == "unknown"


def test_identical_answers_pass_whatever_they_are() -> None:
    same = answering(lambda prompt, time: " ".join(words_of("one for all")))
    line = line_of("overlap", same, same)

    assert (line.status, line.a, line.b) == ("passed", "identical", "identical")


def test_one_prompt_alone_tells_nothing() -> None:
    line = line_of("overlap", answering(model("4-bit"), 1), answering(model("Q4_K_M"), 1))

    assert (line.status, line.sentence) == ("unknown", "")
