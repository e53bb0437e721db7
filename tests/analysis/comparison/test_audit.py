"""Each check of the audit, tripped: the comparison is refused, and the sentence says by what."""

import re
from typing import Any

import pytest

from lmx_loadgen.analysis.comparison.blocks import arm_of, figures_of
from lmx_loadgen.analysis.comparison.compare import compare
from lmx_loadgen.analysis.comparison.sides import Rules
from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.store.comparison import AuditLine, Comparison
from tests.helpers.made_sessions import PROFILE, Made, session
from tests.helpers.make_runs import calibration
from tests.helpers.snapshots import check_snapshot, numbers_in

TAILS = {"ttft_p95", "ttft_p99", "e2e_p95", "e2e_p99"}
BY_LENGTH = {"output_tok_s", "e2e_p50", "longest_stall_p50", "e2e_p95", "e2e_p99"}
OTHER_TEXT = "attention is a set of weights, one for each pair of words in a sentence, that says who listens to whom"
EVERYTHING = {"ttft_p50", "decode_tok_s_p50", "output_tok_s", "e2e_p50", "longest_stall_p50"} | TAILS


def compared(a: Made, b: Made, rules: Rules | None = None, **changes: Any) -> Comparison:
    log = session({"lmx": a, "ollama": b}, **changes)
    return compare(arm_of(MeasuredRun(log), "lmx"), arm_of(MeasuredRun(log), "ollama"), rules)


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

    unknown = {key for key in status if status[key] == "unknown"}

    # Made by hand: there is no calibration, and nothing was asked beside the load.
    assert unknown == {"tainted", "needle", "cache_same_nonce"}
    assert {status[key] for key in status if key not in unknown} == {"passed"}
    assert refused(comparison) == set()


def every_third(**changes: Any) -> Any:
    return lambda line, number: line | (changes if number % 3 == 0 else {})


def with_reasoning(line: dict[str, Any], number: int) -> dict[str, Any]:
    return line | {"events": [[index, "reasoning", text] for index, _, text in line["events"]]}


def without_text(line: dict[str, Any], number: int) -> dict[str, Any]:
    return line | {"events": [[index, kind, ""] for index, kind, _ in line["events"]], "usage": None}


def cached(line: dict[str, Any], number: int) -> dict[str, Any]:
    return line | {"usage": line["usage"] | {"prompt_tokens_details": {"cached_tokens": 63}}}  # 48 may be a template's


def failing(line: dict[str, Any], number: int) -> dict[str, Any]:
    lost = {"outcome": "http_error", "status": 503, "arrivals": [], "events": [], "finish_reason": None, "usage": None}
    return line | (lost if number % 4 == 0 else {})


def longer_prompts(line: dict[str, Any], number: int) -> dict[str, Any]:
    """No template: the longer the prompt, the more it adds."""
    return line | {"usage": line["usage"] | {"prompt_tokens": 46 + number % 8}}


def delayed(at_ms: float, length_ms: float, share: int) -> Any:
    """Every so many requests, the loop stood still from so long after the send on."""
    stall = [[round(at_ms * 1e6), round(length_ms * 1e6)]]
    return lambda line, number: line | {"stalls": stall if number % share == 0 else []}


# What differs on ollama's side; what the audit shows of both; and the numbers that its sentence names.
TRIPPED: dict[str, tuple[Made, str, str, set[float]]] = {
    "prompt_tokens": (Made(change=longer_prompts), "30 tokens", "49.5 tokens", {30, 49.5}),
    "coherence": (Made(text="the same"), "0 % degenerate", "100 % degenerate", {0, 100}),
    "reasoning": (Made(change=with_reasoning), "0 % with reasoning", "100 % with reasoning", {100}),
    "error_rate": (Made(change=failing), "0 % failed", "25 % failed", {0, 25}),
    "cache_new_nonce": (Made(change=cached), "unique", "unique, 50 % cached", {0, 50}),
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


# The same for what refuses only the figures that depend on the length of answers, or that it is about.
IN_PART: dict[str, tuple[Made, str, str, set[float], set[str]]] = {
    "output_length": (Made(tokens=9), "10 tokens", "9 tokens", {10, 9}, BY_LENGTH),
    "finish_reasons": (
        Made(change=every_third(finish_reason="stop")),
        "100 % length",
        "67 % length, 33 % stop",
        {100, 67, 33},
        BY_LENGTH,
    ),
    "tainted": (
        Made(change=delayed(180, 20, 1)),
        "clean",
        "tainted: TTFT, Decode tok/s",
        {5},
        {"ttft_p50", "ttft_p95", "ttft_p99", "decode_tok_s_p50"},
    ),
}


@pytest.mark.parametrize("key", IN_PART)
def test_a_check_refuses_only_the_figures_that_depend_on_what_it_checks(key: str) -> None:
    other, a, b, numbers, figures = IN_PART[key]
    comparison = compared(Made(), other)
    line = line_of(comparison, key)

    assert (line.status, line.a, line.b) == ("failed", a, b)
    assert numbers <= set(numbers_in(line.sentence))
    assert refused(comparison) == set(line.metrics) - {"goodput", "slo_share"} == figures  # no SLO is set


def test_snapshot_of_what_each_check_says() -> None:
    sides = {key: one[0] for key, one in TRIPPED.items()} | {key: one[0] for key, one in IN_PART.items()}
    said = [f"{key}: {line_of(compared(Made(), other), key).sentence}" for key, other in sides.items()]

    check_snapshot("audit.txt", "\n".join(said))


def test_requests_that_this_machine_delayed_are_counted_and_refuse_nothing() -> None:
    calibrated = {"instrument": {"loop": "uvloop", "stamps": "loop", "workers": 1, "calibration": calibration()}}
    comparison = compared(Made(), Made(change=delayed(0, 20, 24)), **calibrated)

    line = line_of(comparison, "tainted")
    assert (line.status, numbers_in(line.b)) == ("passed", [2, 48])
    assert refused(comparison) == set()


def test_another_chat_template_is_a_note() -> None:
    """It adds as many tokens to every prompt."""
    line = line_of(compared(Made(), Made(prompt=51)), "prompt_tokens")

    assert line.status == "passed"
    assert numbers_in(line.sentence) == [21]
    assert line_of(compared(Made(), Made(prompt=34)), "prompt_tokens").sentence == ""
    assert line_of(compared(Made(), Made(prompt=430)), "prompt_tokens").status == "failed"


@pytest.mark.parametrize("key", ["error_rate", "finish_reasons", "reasoning", "coherence"])
def test_what_chance_explains_is_not_known_and_refuses_nothing(key: str) -> None:
    """A few of nine requests are of the other kind."""
    changes: dict[str, Any] = {
        "error_rate": failing,
        "finish_reasons": lambda line, n: line | ({"finish_reason": "stop"} if n % 5 == 0 else {}),
        "reasoning": lambda line, n: with_reasoning(line, n) if n % 5 == 0 else line,
        "coherence": lambda line, n: line | ({"events": [[0, "content", "again " * 40]]} if n % 3 == 0 else {}),
    }
    comparison = compared(Made(), Made(change=changes[key]), blocks=3, requests=3)

    assert line_of(comparison, key).status == "unknown"
    assert not any(key in (found.reason or "") for found in comparison.levels[0].metrics.values())


def test_opta_lmx_against_ollama_of_one_model_is_not_refused() -> None:
    """MLX 4-bit against Q4_K_M: another template, chunks for tokens, `stop` at the limit, other words."""
    lmx = Made(dialect="lmx", finish="stop", model="mlx-community/Qwen2.5-7B-Instruct-4bit", prompt=12, text=OTHER_TEXT)
    ollama = Made(ttft=250, dialect="ollama", model="qwen2.5:7b-instruct-q4_K_M", prompt=38)
    comparison = compared(lmx, ollama)

    assert {line.key for line in comparison.audit if line.status == "failed"} == set()
    assert refused(comparison) == set()


def test_weights_of_different_bits_are_refused() -> None:
    comparison = compared(Made(server={"quantization": "Q8_0"}), Made(server={"quantization": "Q4_K_M"}))

    assert sides_of(comparison, "quantization") == ("failed", "8-bit", "4-bit")
    assert refused(comparison) == EVERYTHING


def test_prompts_that_were_repeats_are_refused() -> None:
    profile = PROFILE | {"prompts": {"cache": "repeat"}}
    comparison = compared(Made(), Made(), profile=profile)

    assert sides_of(comparison, "cache_new_nonce") == ("failed", "repeats", "repeats")
    assert "--cache unique" in line_of(comparison, "cache_new_nonce").sentence
    assert refused(comparison) == EVERYTHING


def test_runs_that_asked_for_different_things_are_refused() -> None:
    longer = PROFILE | {"request": PROFILE["request"] | {"max_tokens": 20}}
    a, b = session({"lmx": Made()}), session({"ollama": Made()}, run_id="4567cdef", profile=longer)
    comparison = compare(arm_of(MeasuredRun(a), "lmx"), arm_of(MeasuredRun(b), "ollama"))

    sentence = line_of(comparison, "settings").sentence
    assert line_of(comparison, "settings").status == "failed"
    assert "request.max_tokens" in sentence
    assert numbers_in(sentence) == [10, 20]
    assert refused(comparison) == EVERYTHING


@pytest.mark.parametrize(
    ("files", "hashes", "status", "named"),
    [
        (("a.jsonl", "a.jsonl"), ("1f", "1f"), "passed", "the same"),
        (("a.jsonl", "a.jsonl"), ("1f", "2e"), "failed", "the prompts' content"),
        (("a.jsonl", "copy/b.jsonl"), ("1f", "1f"), "passed", "the same"),
        (("a.jsonl", "copy/b.jsonl"), ("1f", "2e"), "failed", "prompts.file"),
        (("a.jsonl", "b.jsonl"), ("1f", None), "failed", "prompts.file"),
        (("a.jsonl", "a.jsonl"), (None, "1f"), "passed", "the same"),
    ],
)
def test_prompts_are_the_same_by_their_content_not_by_their_file_s_name(
    files: tuple[str, str], hashes: tuple[str | None, str | None], status: str, named: str
) -> None:
    a, b = (
        session(
            {name: Made()},
            run_id=run_id,
            profile=PROFILE | {"prompts": PROFILE["prompts"] | {"file": file}},
            going_on={"prints": {"prompts": content, "tokenizer": None}},
        )
        for name, run_id, file, content in zip(("lmx", "ollama"), ("0001aaaa", "0002aaaa"), files, hashes, strict=True)
    )
    line = line_of(compare(arm_of(MeasuredRun(a), "lmx"), arm_of(MeasuredRun(b), "ollama")), "settings")

    assert (line.status, line.a.split(":")[0]) == (status, named)


def test_equal_prompts_do_not_hide_another_setting() -> None:
    alike = {"going_on": {"prints": {"prompts": "1f", "tokenizer": None}}}
    other = PROFILE | {"prompts": PROFILE["prompts"] | {"cache": "repeat", "text": "?"}}
    a, b = session({"lmx": Made()}, **alike), session({"ollama": Made()}, run_id="4567cdef", profile=other, **alike)

    assert (
        line_of(compare(arm_of(MeasuredRun(a), "lmx"), arm_of(MeasuredRun(b), "ollama")), "settings").b
        == "prompts.cache: repeat"
    )


def test_lengths_of_the_models_own_choosing_leave_what_does_not_depend_on_length() -> None:
    """A longer answer spreads the wait for its first token over more tokens, and has more gaps to stall in."""
    comparison = compared(Made(finish="stop"), Made(finish="stop", tokens=14))

    assert sides_of(comparison, "output_length") == ("failed", "10 tokens", "14 tokens")
    assert refused(comparison) == BY_LENGTH


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


def test_prompts_that_both_servers_cut_by_a_tokenizer_s_count_are_not_compared() -> None:
    def counted(line: dict[str, Any], number: int) -> dict[str, Any]:
        return line | {"tokenizer_tokens": {"prompt": 8000, "output": 10}}

    cut, whole = (Made(prompt=prompt, change=counted) for prompt in (4096, 7900))
    line = line_of(compared(cut, cut), "prompt_tokens")

    assert (line.status, line.a, line.b) == ("failed", "cut", "cut")
    assert "prompts were cut: up to 8,000 tokens were sent by the tokenizer's count" in line.sentence
    assert line_of(compared(whole, whole), "prompt_tokens").status == "passed"


def test_one_answer_that_ends_otherwise_is_chance() -> None:
    one = Made(change=lambda line, number: line | ({"finish_reason": "stop"} if number == 0 else {}))

    assert line_of(compared(Made(), one, blocks=3, requests=5), "finish_reasons").status == "unknown"


def test_what_is_accepted_is_compared_and_the_reason_stands_beside_it() -> None:
    comparison = compared(Made(), Made(change=longer_prompts, ttft=260), Rules(accepted="templates differ on purpose"))

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
    line = line_of(compare(arm_of(MeasuredRun(a), "lmx"), arm_of(MeasuredRun(b), "ollama")), "cache_new_nonce")

    assert (line.status, line.a, line.b) == ("failed", "unique", "repeats")


def test_a_metric_s_tails_go_with_its_median_and_what_the_slo_counts_with_what_it_limits() -> None:
    assert figures_of("ttft") == ("ttft_p50", "ttft_p95", "ttft_p99", "goodput", "slo_share")
    assert figures_of("output_tok_s", "longest_stall") == ("output_tok_s", "longest_stall_p50")
