"""Each check of the audit, tripped: the comparison is refused, and the sentence says by what."""

import re
from typing import Any

import pytest

from lmx_loadgen.analysis.comparison.blocks import arm_of
from lmx_loadgen.analysis.comparison.compare import compare
from lmx_loadgen.analysis.comparison.sides import Rules
from lmx_loadgen.store.comparison import AuditLine, Comparison
from tests.helpers.made_sessions import PROFILE, Made, session
from tests.helpers.snapshots import check_snapshot, numbers_in

EVERYTHING = {"ttft_p50", "decode_tok_s_p50", "output_tok_s", "e2e_p50", "longest_stall_p50"}


def compared(a: Made, b: Made, rules: Rules | None = None, **changes: Any) -> Comparison:
    log = session({"lmx": a, "ollama": b}, **changes)
    return compare(arm_of(log, "lmx"), arm_of(log, "ollama"), rules)


def line_of(comparison: Comparison, key: str) -> AuditLine:
    (line,) = [one for one in comparison.audit if one.key == key]
    return line


def sides_of(comparison: Comparison, key: str) -> tuple[str, str, str]:
    line = line_of(comparison, key)
    return line.status, line.a, line.b


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


# What differs on ollama's side; what the audit shows of both; and the numbers that its sentence names.
TRIPPED: dict[str, tuple[Made, str, str, set[float]]] = {
    "prompt_tokens": (Made(prompt=31), "30 tokens", "31 tokens", {30, 31}),
    "output_length": (Made(tokens=9), "10 tokens", "9 tokens", {10, 9}),
    "finish_reasons": (
        Made(change=every_third(finish_reason="stop")),
        "100 % length",
        "67 % length, 33 % stop",
        {100, 67, 33},
    ),
    "coherence": (Made(text="again"), "0 % degenerate", "100 % degenerate", {0, 100}),
    "reasoning": (Made(change=with_reasoning), "0 % with reasoning", "100 % with reasoning", {100}),
    "tainted": (Made(change=lagged), "clean", "tainted", {2.1, 50, 11}),
    "error_rate": (Made(change=failing), "0 % failed", "8.3 % failed", {0, 8.3}),
    "cache": (Made(change=cached), "unique", "unique, 50 % cached", {0, 50}),
    "model": (Made(model="qwen2.5:14b"), "qwen2.5:7b", "qwen2.5:14b", {7, 14}),
}


@pytest.mark.parametrize("key", TRIPPED)
def test_a_check_that_fails_refuses_every_figure_and_says_why(key: str) -> None:
    other, a, b, numbers = TRIPPED[key]
    comparison = compared(Made(), other)
    (level,) = comparison.levels
    line = line_of(comparison, key)

    assert (line.status, line.a, line.b) == ("failed", a, b)
    assert numbers <= set(numbers_in(line.sentence))
    assert "ollama" in line.sentence
    assert refused(comparison) == EVERYTHING
    for found in level.metrics.values():
        assert line.sentence in (found.reason or "")
        assert (found.ratio, found.ci95, found.p) == (None, None, None)
    (sentence,) = comparison.sentences
    assert level.metrics["ttft_p50"].reason in sentence


def test_snapshot_of_what_each_check_says() -> None:
    said = [line_of(compared(Made(), other), key).sentence for key, (other, *_) in TRIPPED.items()]

    check_snapshot("audit.txt", "\n".join(f"{key}: {sentence}" for key, sentence in zip(TRIPPED, said, strict=True)))


def test_weights_of_different_bits_are_refused() -> None:
    comparison = compared(Made(server={"quantization": "Q8_0"}), Made(server={"quantization": "Q4_K_M"}))

    assert sides_of(comparison, "quantisation") == ("failed", "8-bit", "4-bit")
    assert refused(comparison) == EVERYTHING


def test_prompts_that_were_repeats_are_refused() -> None:
    profile = PROFILE | {"prompts": {"cache": "repeat"}}
    comparison = compared(Made(), Made(), profile=profile)

    assert sides_of(comparison, "cache") == ("failed", "repeats", "repeats")
    assert "--cache unique" in line_of(comparison, "cache").sentence
    assert refused(comparison) == EVERYTHING


def test_runs_that_asked_for_different_things_are_refused() -> None:
    longer = PROFILE | {"request": PROFILE["request"] | {"max_tokens": 20}}
    a, b = session({"lmx": Made()}), session({"ollama": Made()}, run_id="4567cdef", profile=longer)
    comparison = compare(arm_of(a, "lmx"), arm_of(b, "ollama"))

    sentence = line_of(comparison, "settings").sentence
    assert line_of(comparison, "settings").status == "failed"
    assert "request.max_tokens" in sentence
    assert numbers_in(sentence) == [10, 20]
    assert refused(comparison) == EVERYTHING


def test_lengths_of_the_models_own_choosing_leave_what_does_not_depend_on_length() -> None:
    """A longer answer spreads the wait for its first token over more tokens, and has more gaps to stall in."""
    comparison = compared(Made(finish="stop"), Made(finish="stop", tokens=14))

    assert sides_of(comparison, "output_length") == ("failed", "10 tokens", "14 tokens")
    assert refused(comparison) == {"output_tok_s", "e2e_p50", "longest_stall_p50"}


def test_a_server_without_a_count_of_tokens_is_compared_in_characters() -> None:
    comparison = compared(Made(dialect="lmx", finish="stop"), Made(ttft=250))
    (level,) = comparison.levels

    assert line_of(comparison, "token_basis").sentence.startswith("lmx ")
    assert level.token_basis == "characters"
    assert level.metrics["decode_tok_s_p50"].unit == "characters/s"
    assert level.metrics["ttft_p50"].verdict == "worse"
    # Such a server also says `stop` whatever ended an answer.
    assert line_of(comparison, "finish_reasons").status == "unknown"
    assert line_of(comparison, "finish_reasons").sentence.startswith("lmx ")


def test_a_rate_in_characters_is_called_one_also_where_it_is_undecided() -> None:
    comparison = compared(Made(dialect="lmx", finish="stop"), Made(), noise=0.3)

    assert comparison.levels[0].metrics["output_tok_s"].verdict == "undecided"
    assert "characters per second" in comparison.sentences[2]
    assert not any("tokens per second" in sentence for sentence in comparison.sentences)


def test_with_nothing_to_count_on_both_sides_rates_are_refused() -> None:
    comparison = compared(Made(), Made(change=without_text))

    assert line_of(comparison, "token_basis").sentence.startswith("ollama ")
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

    assert sides_of(comparison, "reasoning") == ("failed", "0 % with reasoning", "100 % with reasoning")
    assert refused(comparison) == EVERYTHING
    assert line_of(compared(Made(change=with_reasoning), Made(change=change)), "reasoning").status == "passed"


def answered_by(*models: str) -> Any:
    return lambda line, number: line | {"model": models[number % len(models)]}


def test_a_server_that_answers_with_another_model_than_asked_is_refused() -> None:
    comparison = compared(Made(), Made(change=answered_by("qwen2.5:14b")))

    assert line_of(comparison, "model").status == "failed"
    assert line_of(comparison, "model").a == "qwen2.5:7b"
    assert set(re.findall(r"qwen2\.5:\w+", line_of(comparison, "model").b)) == {"qwen2.5:14b", "qwen2.5:7b"}
    assert refused(comparison) == EVERYTHING


def test_a_side_that_was_answered_by_two_models_is_refused() -> None:
    comparison = compared(Made(), Made(change=answered_by("qwen2.5:7b", "qwen2.5:14b")))

    assert sides_of(comparison, "model") == ("failed", "qwen2.5:7b", "qwen2.5:14b, qwen2.5:7b")


def test_a_server_that_does_not_say_who_answered_goes_by_what_was_asked() -> None:
    silent = Made(change=lambda line, number: line | {"model": None})

    assert line_of(compared(Made(), silent), "model").status == "passed"


def test_repeats_on_one_side_alone_are_named_on_that_side() -> None:
    repeated = PROFILE | {"prompts": PROFILE["prompts"] | {"cache": "repeat"}}
    a, b = session({"lmx": Made()}), session({"ollama": Made()}, run_id="4567cdef", profile=repeated)
    line = line_of(compare(arm_of(a, "lmx"), arm_of(b, "ollama")), "cache")

    assert (line.status, line.a, line.b) == ("failed", "unique", "repeats")
