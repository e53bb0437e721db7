"""Each check of the audit, tripped: the comparison is refused, and the sentence says by what."""

from typing import Any

import pytest

from lmx_loadgen.analysis.comparison.blocks import arm_of
from lmx_loadgen.analysis.comparison.compare import Rules, compare
from lmx_loadgen.store.comparison import AuditLine, Comparison
from tests.helpers.made_sessions import PROFILE, Made, session

EVERYTHING = {"ttft_p50", "decode_tok_s_p50", "output_tok_s", "e2e_p50", "longest_stall_p50"}


def compared(a: Made, b: Made, rules: Rules | None = None, **changes: Any) -> Comparison:
    log = session({"lmx": a, "ollama": b}, **changes)
    return compare(arm_of(log, "lmx"), arm_of(log, "ollama"), rules)


def line_of(comparison: Comparison, key: str) -> AuditLine:
    (line,) = [one for one in comparison.audit if one.key == key]
    return line


def refused(comparison: Comparison) -> set[str]:
    (level,) = comparison.levels
    return {name for name, found in level.metrics.items() if found.verdict == "refused"}


def test_two_servers_that_did_the_same_work_pass_every_check() -> None:
    comparison = compared(Made(model="qwen2.5:7b-q4_0"), Made(ttft=250, model="Qwen2.5-7B-4bit"))
    status = {line.key: line.status for line in comparison.audit}

    assert status.pop("tainted") == "unknown"  # made by hand: there is no calibration
    assert set(status.values()) == {"passed"}
    assert refused(comparison) == set()


def every_third(**changes: Any) -> Any:
    return lambda line, number: line | (changes if number % 3 == 0 else {})


def with_reasoning(line: dict[str, Any], number: int) -> dict[str, Any]:
    return line | {"events": [[index, "reasoning", text] for index, _, text in line["events"]]}


def without_text(line: dict[str, Any], number: int) -> dict[str, Any]:
    return line | {"events": [[index, kind, ""] for index, kind, _ in line["events"]], "usage": None}


def cached(line: dict[str, Any], number: int) -> dict[str, Any]:
    return line | {"usage": line["usage"] | {"prompt_tokens_details": {"cached_tokens": 15}}}


def failing(line: dict[str, Any], number: int) -> dict[str, Any]:
    lost = {"outcome": "http_error", "status": 503, "arrivals": [], "events": [], "finish_reason": None, "usage": None}
    return line | (lost if number % 12 == 0 else {})


def lagged(line: dict[str, Any], number: int) -> dict[str, Any]:
    return line | {"lag_ns": 50_000_000 if number == 3 else 0}


TRIPPED = {
    "prompt_tokens": (
        Made(prompt=31),
        "prompts have 30 tokens on lmx and 31 tokens on ollama, over 2 % apart: a chat template or a system prompt "
        "differs",
    ),
    "output_length": (
        Made(tokens=9),
        "answers were meant to be of one length but have 10 tokens on lmx and 9 tokens on ollama, over 5 % apart",
    ),
    "finish_reasons": (
        Made(change=every_third(finish_reason="stop")),
        "answers end differently: 100 % length on lmx, 67 % length, 33 % stop on ollama",
    ),
    "coherence": (
        Made(text="again"),
        "100 % of ollama's answers are degenerate (repetitive or garbled), 0 % of lmx's: what is fast there is no "
        "answer",
    ),
    "reasoning": (
        Made(change=with_reasoning),
        "100 % of ollama's answers show reasoning and none of lmx's: switch thinking on or off on both",
    ),
    "tainted": (
        Made(change=lagged),
        "ollama was tainted by the instrument: 2.1% of the requests met an event-loop lag of over 10 ms (up to 50 ms; "
        "requests 11): something else kept this machine busy",
    ),
    "error_rate": (
        Made(change=failing),
        "0 % of the requests failed on lmx and 8.3 % on ollama: who turns work away is faster with the rest",
    ),
    "cache": (Made(change=cached), "of the prompts 0 % came from a cache on lmx and 50 % on ollama"),
    "model": (Made(model="qwen2.5:14b"), "the models differ: qwen2.5:7b on lmx, qwen2.5:14b on ollama"),
}  # fmt: skip


@pytest.mark.parametrize("key", TRIPPED)
def test_a_check_that_fails_refuses_every_figure_and_says_why(key: str) -> None:
    other, sentence = TRIPPED[key]
    comparison = compared(Made(), other)
    (level,) = comparison.levels

    assert line_of(comparison, key).status == "failed"
    assert line_of(comparison, key).sentence == sentence
    assert refused(comparison) == EVERYTHING
    for found in level.metrics.values():
        assert sentence in (found.reason or "")
        assert (found.ratio, found.ci95, found.p) == (None, None, None)
    assert comparison.sentences == [f"No verdict at concurrency 1: {level.metrics['ttft_p50'].reason}."]


def test_weights_of_different_bits_are_refused() -> None:
    comparison = compared(Made(server={"quantization": "Q8_0"}), Made(server={"quantization": "Q4_K_M"}))

    assert line_of(comparison, "quantisation").sentence == "the weights differ: 8-bit on lmx, 4-bit on ollama"
    assert refused(comparison) == EVERYTHING


def test_prompts_that_were_repeats_are_refused() -> None:
    profile = PROFILE | {"prompts": {"cache": "repeat"}}
    comparison = compared(Made(), Made(), profile=profile)

    assert line_of(comparison, "cache").sentence == (
        "the prompts were repeats, so that caches are compared and not servers: use --cache unique"
    )
    assert refused(comparison) == EVERYTHING


def test_runs_that_asked_for_different_things_are_refused() -> None:
    longer = PROFILE | {"request": PROFILE["request"] | {"max_tokens": 20}}
    a, b = session({"lmx": Made()}), session({"ollama": Made()}, run_id="4567cdef", profile=longer)
    comparison = compare(arm_of(a, "lmx"), arm_of(b, "ollama"))

    assert line_of(comparison, "settings").sentence == (
        "the runs did not ask for the same: request.max_tokens is 10 on lmx and 20 on ollama"
    )
    assert refused(comparison) == EVERYTHING


def test_lengths_of_the_models_own_choosing_leave_what_does_not_depend_on_length() -> None:
    """A longer answer spreads the wait for its first token over more tokens, and has more gaps to stall in."""
    comparison = compared(Made(finish="stop"), Made(finish="stop", tokens=14))

    assert line_of(comparison, "output_length").sentence == (
        "answers ended by themselves and have 10 tokens on lmx and 14 tokens on ollama, over 5 % apart"
    )
    assert refused(comparison) == {"output_tok_s", "e2e_p50", "longest_stall_p50"}


def test_a_server_without_a_count_of_tokens_is_compared_in_characters() -> None:
    comparison = compared(Made(dialect="lmx", finish="stop"), Made(ttft=250))
    (level,) = comparison.levels

    assert line_of(comparison, "token_basis").sentence == (
        "lmx gave no real count of tokens: rates are compared in characters per second (a tokenizer in the profile "
        "would count tokens)"
    )
    assert level.token_basis == "characters"
    assert level.metrics["decode_tok_s_p50"].unit == "characters/s"
    assert level.metrics["ttft_p50"].verdict == "worse"
    # Such a server also says `stop` whatever ended an answer.
    assert line_of(comparison, "finish_reasons").sentence == (
        "lmx never says that the limit ended an answer: lengths are compared instead"
    )


def test_a_rate_in_characters_is_called_one_also_where_it_is_undecided() -> None:
    comparison = compared(Made(dialect="lmx", finish="stop"), Made(), noise=0.3)

    assert comparison.levels[0].metrics["output_tok_s"].verdict == "undecided"
    assert "lmx or ollama delivers more characters per second in all at" in comparison.sentences[2]


def test_with_nothing_to_count_on_both_sides_rates_are_refused() -> None:
    comparison = compared(Made(), Made(change=without_text))

    assert line_of(comparison, "token_basis").sentence == (
        "ollama gave no real count of tokens, and no text that could be counted instead"
    )
    assert refused(comparison) == {"decode_tok_s_p50", "output_tok_s"}


def test_a_tokenizer_counts_both_sides_alike() -> None:
    def counted(line: dict[str, Any], number: int) -> dict[str, Any]:
        return line | {"tokenizer_tokens": {"prompt": 28, "output": 12}}

    comparison = compared(Made(dialect="lmx", finish="stop", change=counted), Made(change=counted))

    assert line_of(comparison, "token_basis").status == "passed"
    assert line_of(comparison, "prompt_tokens").a == "28 tokens"
    assert comparison.levels[0].token_basis == "tokenizer"


def test_one_answer_that_ends_otherwise_is_chance() -> None:
    one = Made(change=lambda line, number: line | ({"finish_reason": "stop"} if number == 0 else {}))

    assert line_of(compared(Made(), one, blocks=3, requests=5), "finish_reasons").status == "passed"


def test_what_is_accepted_is_compared_and_the_reason_stands_beside_it() -> None:
    comparison = compared(Made(), Made(prompt=40, ttft=260), Rules(accepted="templates differ on purpose"))

    assert comparison.accepted == "templates differ on purpose"
    assert line_of(comparison, "prompt_tokens").accepted
    assert refused(comparison) == set()
    assert comparison.levels[0].metrics["ttft_p50"].verdict == "worse"


def test_models_whose_names_tell_nothing_are_neither_the_same_nor_others() -> None:
    comparison = compared(Made(model="default"), Made(model="qwen2.5:7b"))

    assert line_of(comparison, "model").status == "unknown"
    assert line_of(compared(Made(model="m:7b"), Made(model="m")), "model").status == "unknown"


def thinking_aloud(line: dict[str, Any], number: int) -> dict[str, Any]:
    (index, _, text), *rest = line["events"]
    return line | {"events": [[index, "content", f"<think>{text}"], *rest]}


def thinking_that_the_template_began(line: dict[str, Any], number: int) -> dict[str, Any]:
    *before, (index, _, text) = line["events"]
    return line | {"events": [*before, [index, "content", f"</think>{text}"]]}


@pytest.mark.parametrize("change", [thinking_aloud, thinking_that_the_template_began])
def test_reasoning_in_tags_inside_the_answer_is_reasoning_too(change: Any) -> None:
    """Some servers split it off into a field of its own, others leave it in the content."""
    comparison = compared(Made(), Made(change=change))

    assert line_of(comparison, "reasoning").sentence == (
        "100 % of ollama's answers show reasoning and none of lmx's: switch thinking on or off on both"
    )
    assert refused(comparison) == EVERYTHING
    assert line_of(compared(Made(change=with_reasoning), Made(change=change)), "reasoning").status == "passed"


def answered_by(*models: str) -> Any:
    return lambda line, number: line | {"model": models[number % len(models)]}


def test_a_server_that_answers_with_another_model_than_asked_is_refused() -> None:
    comparison = compared(Made(), Made(change=answered_by("qwen2.5:14b")))

    assert line_of(comparison, "model").sentence == (
        "the models differ: qwen2.5:7b on lmx, qwen2.5:14b (asked for qwen2.5:7b) on ollama"
    )
    assert refused(comparison) == EVERYTHING


def test_a_side_that_was_answered_by_two_models_is_refused() -> None:
    comparison = compared(Made(), Made(change=answered_by("qwen2.5:7b", "qwen2.5:14b")))

    assert line_of(comparison, "model").sentence == (
        "several models answered on one side: qwen2.5:7b on lmx, qwen2.5:14b, qwen2.5:7b on ollama"
    )


def test_a_server_that_does_not_say_who_answered_goes_by_what_was_asked() -> None:
    silent = Made(change=lambda line, number: line | {"model": None})

    assert line_of(compared(Made(), silent), "model").status == "passed"


def test_repeats_on_one_side_alone_are_named_on_that_side() -> None:
    repeated = PROFILE | {"prompts": PROFILE["prompts"] | {"cache": "repeat"}}
    a, b = session({"lmx": Made()}), session({"ollama": Made()}, run_id="4567cdef", profile=repeated)
    line = line_of(compare(arm_of(a, "lmx"), arm_of(b, "ollama")), "cache")

    assert (line.status, line.a, line.b) == ("failed", "unique", "repeats")
