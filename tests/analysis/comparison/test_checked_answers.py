"""The checks of the audit that go by answers to questions of their own: whole prompt, caches, settings, weights."""

from collections.abc import Sequence
from typing import Any

import pytest

from lmx_loadgen.analysis.comparison.blocks import arm_of, figures_of
from lmx_loadgen.analysis.comparison.compare import compare
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.store.comparison import AuditLine, Comparison
from tests.helpers.made_checks import LONG, check_line, needles, settings, timed, with_checks
from tests.helpers.made_sessions import PROFILE, Made, session

LENGTH = [*figures_of("output_tok_s", "e2e", "longest_stall")]
DRAWN = [*figures_of("decode_tok_s", "output_tok_s", "e2e", "longest_stall")]
OTHERS = ("quite another text, that has nothing of it", "and one more, which is as long as that one", "a third " * 8)


def compared(
    *lines: Sequence[dict[str, Any]], made: Made | None = None, other: Made | None = None, **changes: Any
) -> Comparison:
    run = MeasuredRun(with_checks(session({"a": made or Made(), "b": other or Made()}, **changes), *lines))
    return compare(arm_of(run, "a"), arm_of(run, "b"))


def line_of(key: str, *lines: Sequence[dict[str, Any]], **changes: Any) -> AuditLine:
    (line,) = [line for line in compared(*lines, **changes).audit if line.key == key]
    return line


# Is the whole prompt read?


@pytest.mark.parametrize(
    ("a", "b", "status"),
    [(4, 4, "passed"), (4, 0, "failed"), (0, 4, "failed"), (0, 0, "unknown"), (4, 1, "unknown"), (3, 4, "unknown")],
)
def test_codes_that_one_side_misses_tell_that_it_does_not_read_the_prompt(a: int, b: int, status: str) -> None:
    line = line_of("needle", needles("a", a), needles("b", b))

    assert (line.status, line.a, line.b) == (status, f"{a} of 4 codes found", f"{b} of 4 codes found")
    assert line.metrics == []


def test_who_misses_the_codes_is_named_with_what_it_says_it_has_read() -> None:
    line = line_of("needle", needles("a", 4), needles("b", 0, prompt=777))

    assert line.sentence == (
        "b finds 0 of 4 codes far from the end of a long prompt and a finds 4: b does not read the whole prompt, but "
        "reports 777 prompt tokens"
    )


@pytest.mark.parametrize("text", ["The code is kx 4107", "**KX–4107**", "KX-4107", "It is: K X 4 1 0 7"])
def test_a_code_counts_however_its_marks_are_written(text: str) -> None:
    of_a = [check_line("a", "needle", f"text-{n}", text, expects="KX-4107") for n in range(4)]

    assert line_of("needle", of_a, needles("b", 4)).status == "passed"


@pytest.mark.parametrize("kind", ["reasoning", "content"])
def test_a_thought_that_the_limit_cut_off_is_no_answer(kind: str) -> None:
    thinking = needles("b", 0)
    for line in thinking:
        line["answer"]["events"] = [[0, kind, "<think>The user asks for a code that"]]

    assert line_of("needle", needles("a", 4), thinking).status == "unknown"


def test_what_was_not_asked_is_not_known_and_says_nothing() -> None:
    for key in ("needle", "cache_same_nonce", "ignored_settings"):
        line = line_of(key)
        assert (line.status, line.a, line.sentence) == ("unknown", "not asked", "") or key == "ignored_settings"


# Do answers come out of a cache?


def pairs(target: str, new: Sequence[float], again: Sequence[float], kind: str = "new_nonce") -> list[dict[str, Any]]:
    return [*timed(target, "needle", new), *timed(target, kind, again)]


NEW = (500.0, 520.0, 510.0, 505.0)


@pytest.mark.parametrize(
    ("again", "status"),
    [
        ((505, 500, 515, 510), "passed"),
        ((20, 25, 22, 21), "failed"),
        ((20, 25, 22), "unknown"),  # three are in this order by chance in one of 35 sessions
        ((20, 25, 515, 22), "unknown"),  # three of four
        ((20, 510, 515, 505), "passed"),
        ((350, 360, 340, 355), "passed"),  # sooner, but that much comes of other things
        ((20, 25), "passed"),  # too few to tell
    ],
)
def test_a_body_that_comes_back_sooner_under_a_new_nonce_is_from_a_cache(again: Any, status: str) -> None:
    line = line_of("cache_new_nonce", pairs("a", NEW, NEW), pairs("b", NEW, again))

    assert line.status == status
    if status == "failed":
        assert line.metrics == []
        assert line.sentence == (
            "b answers a text it has answered before under a new nonce in 22 ms, and a new text in 508 ms: a cache "
            "that ignores the nonce answers the load"
        )


def test_a_ratio_of_times_near_the_clock_s_own_error_is_no_cache() -> None:
    fast = [6.0, 6.5, 6.2, 6.1]
    again = [2.0, 2.1, 1.9, 2.0]

    assert line_of("cache_new_nonce", pairs("a", fast, fast), pairs("b", fast, again)).status == "passed"


@pytest.mark.parametrize(
    ("prompt", "prompt_id", "status"),
    [
        (700, "turn 01-chat1", "failed"),
        (700, "turn 02-chat1", "passed"),  # its beginning was sent in the turn before
        (4000, "long-01", "passed"),  # what all have in common is little to so long a prompt
    ],
)
def test_prompts_that_a_cache_may_hold_or_that_are_far_longer_are_not_compared(
    prompt: int, prompt_id: str, status: str
) -> None:
    quick = Made(ttft=30, prompt=prompt, change=lambda line, number: {**line, "prompt_id": prompt_id})
    line = line_of("cache_new_nonce", timed("a", "needle", NEW), timed("b", "needle", NEW), made=quick)

    assert line.status == status


def test_prompts_of_the_load_that_come_sooner_a_token_than_a_new_text_are_from_a_cache() -> None:
    """Whatever the cache goes by: it knew them before."""
    quick = Made(ttft=30, prompt=700)
    line = line_of("cache_new_nonce", timed("a", "needle", NEW), timed("b", "needle", NEW), made=quick)

    assert line.status == "failed"
    assert "a answers the prompts of this run under a new nonce in 26 ms" not in line.sentence
    assert line.sentence.startswith(
        "a answers the prompts of this run under a new nonce in 34 ms, and a new text in 508"
    )


def test_short_prompts_of_the_load_tell_nothing_of_a_cache() -> None:
    line = line_of(
        "cache_new_nonce", timed("a", "needle", NEW), timed("b", "needle", NEW), made=Made(ttft=20, prompt=30)
    )

    assert line.status == "passed"


def test_a_prefix_cache_of_one_side_is_a_note_and_decides_only_where_prompts_are_repeats() -> None:
    sides = pairs("a", NEW, NEW, "same_nonce"), pairs("b", NEW, (20, 25, 22), "same_nonce")
    line = line_of("cache_same_nonce", *sides)

    assert (line.status, line.sentence) == (
        "passed",
        "only b has a prefix cache, which does not count here: every prompt begins with its own nonce",
    )
    repeats = PROFILE | {"prompts": {"lengths": ["short"], "cache": "repeat"}}
    line = line_of("cache_same_nonce", *sides, profile=repeats)
    assert (line.status, line.metrics) == ("failed", [*figures_of("ttft", "output_tok_s", "e2e")])


# Are settings kept?


SAME = (LONG, LONG[::-1], LONG.upper())


def test_answers_at_temperature_0_that_change_are_drawn_by_lot() -> None:
    line = line_of("ignored_settings", settings("a", first=SAME, again=SAME), settings("b", first=SAME, again=OTHERS))

    assert (line.status, line.metrics) == ("failed", DRAWN)
    assert line.sentence == (
        "b ignores temperature: 3 of 3 answers at temperature 0 are others when asked for again; a keeps it"
    )


def test_what_both_ignore_is_a_note() -> None:
    line = line_of("ignored_settings", *(settings(side, first=SAME, again=OTHERS) for side in "ab"))

    assert (line.status, line.sentence) == ("passed", "both ignore temperature")


def test_one_answer_of_three_that_changes_is_rounding() -> None:
    again = (SAME[0], SAME[1], OTHERS[0])
    line = line_of("ignored_settings", settings("a", first=SAME, again=SAME), settings("b", first=SAME, again=again))

    assert (line.status, line.sentence) == ("passed", "")


def drawn(target: str, temperature: float = 0.8, **texts: Sequence[str]) -> list[dict[str, Any]]:
    lines = settings(target, **texts)
    for line in lines:
        line["asked"] |= {"temperature": temperature, "seed": 43 if "other" in line["asked"]["prompt"] else 42}
    return lines


def test_a_seed_and_a_temperature_that_are_ignored_are_seen_by_other_draws() -> None:
    honest = drawn("a", first=SAME, again=SAME, other_seed=OTHERS)
    always_new = line_of("ignored_settings", honest, drawn("b", first=SAME, again=OTHERS, other_seed=OTHERS[::-1]))
    greedy = line_of("ignored_settings", honest, drawn("b", first=SAME, again=SAME, other_seed=SAME))

    assert (always_new.status, always_new.metrics) == ("failed", LENGTH)
    assert always_new.sentence.startswith("b ignores seed: 3 of 3 answers are others when drawn again with the same")
    assert (greedy.status, greedy.metrics) == ("failed", DRAWN)
    assert greedy.sentence.startswith("b ignores temperature: 3 of 3 answers at temperature 0.8 are the same")


def test_a_low_temperature_may_draw_the_same_words() -> None:
    of_a = drawn("a", 0.2, first=SAME, again=SAME, other_seed=OTHERS)
    of_b = drawn("b", 0.2, first=SAME, again=SAME, other_seed=SAME)

    assert line_of("ignored_settings", of_a, of_b).status == "passed"


def limited(target: str, tokens: int, limit: int = 4) -> list[dict[str, Any]]:
    return [
        check_line(target, "settings", f"short-{n}", tokens=tokens, max_tokens=limit, finish="stop") for n in range(3)
    ]


def test_answers_beyond_the_limit_or_long_before_it_ignore_it() -> None:
    natural = Made(tokens=6, finish="stop")
    beyond = line_of("ignored_settings", limited("a", 4), limited("b", 17), made=natural, other=natural)
    own_limit = Made(change=lambda line, number: line | {"max_tokens": 100})
    before = line_of("ignored_settings", limited("a", 4), made=own_limit)

    assert (beyond.status, beyond.metrics) == ("failed", LENGTH)
    assert beyond.sentence == "b ignores max_tokens: 3 of 3 answers that reach it go on; a keeps it"
    assert (before.status, before.metrics) == ("failed", LENGTH)
    assert before.sentence == (
        "a ignores max_tokens: 48 of 51 answers that it ended, as the server says, have 10 tokens; b keeps it"
    )


# The same weights?


def test_identical_answers_to_identical_requests_make_the_weights_the_same() -> None:
    same = line_of("quantization", settings("a", first=SAME, again=SAME), settings("b", first=SAME, again=SAME))
    other = (LONG, LONG[::-1], LONG.upper()[:-1] + "x")
    differing = line_of("quantization", settings("a", first=SAME), settings("b", first=other))

    assert (same.status, same.a, same.b) == ("passed", "unknown", "unknown")
    assert same.sentence == "both gave word for word the same answers to the same requests"
    assert differing.status == "unknown"


def test_requests_of_separate_runs_are_not_the_same() -> None:
    of_b = settings("b", first=SAME)
    for line in of_b:
        line["asked"]["nonce"] = "fedcba9876543210"

    assert line_of("quantization", settings("a", first=SAME), of_b).sentence.endswith("the bits of its weights")


@pytest.mark.parametrize("texts", [SAME[:2], ("Yes.", "No.", "Paris.")])
def test_few_or_short_answers_that_are_identical_tell_nothing_of_the_weights(texts: Sequence[str]) -> None:
    assert line_of("quantization", settings("a", first=texts), settings("b", first=texts)).status == "unknown"
