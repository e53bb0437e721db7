"""What counts the tokens of a plan's result, and that nothing is called tokens which is not."""

import json
from dataclasses import replace
from typing import Any

import pytest

from lmx_loadgen.analysis.measured_run import MeasuredRun
from lmx_loadgen.analysis.plan_counts import plan_result
from lmx_loadgen.analysis.summary import summarize
from lmx_loadgen.store.log_reader import LogContents
from lmx_loadgen.store.result import BenchmarkRunStats
from tests.helpers.made_lines import made_log, request_line, steady, usage

# Ten events of two tokens each, one every 20 ms; the third answer has eleven.
WORDS = "".join(f"w{place} " for place in range(10))


def log_of(
    whole: dict[str, Any] | None = None, dialect: str = "lmx", error: str | None = None, **line: Any
) -> LogContents:
    """Three answers, and what came of asking for the first of them again."""
    lines = [
        request_line(steady(10 + (place == 2)), id=place, nonce=f"n{place}", send=1000 * place + 1000, **line)
        for place in range(3)
    ]
    check = {"type": "check", "at_ns": 1, "target": "box", "check": "token_count", "latency_ns": 5}
    check |= {"asked": {"number": 0, "nonce": "n0", "prompt_id": "prompt"}, "answer": whole, "error": error}
    return replace(made_log(lines, dialect=dialect), checks=[check] if whole is not None or error else [])


def counted(log: LogContents) -> BenchmarkRunStats:
    found = plan_result(log)
    assert found is not None
    assert found.stats is not None
    return found.stats


def whole(prompt: Any = 30, output: Any = 20, text: str = WORDS, finish: str = "stop") -> dict[str, Any]:
    return {"text": text, "finish_reason": finish, "usage": usage(prompt, output)}


def test_streamed_usage_counts_where_it_is_exact() -> None:
    stats = counted(log_of(dialect="openai", usage=usage(12, 10)))

    assert (stats.token_counts, stats.prompt_tokens, stats.toks_per_sec_p50) == ("usage", 12, pytest.approx(50))


def test_a_tokenizer_counts_before_all_else() -> None:
    stats = counted(log_of(whole(), tokenizer_tokens={"prompt": 9, "output": 20}))

    assert (stats.token_counts, stats.prompt_tokens, stats.output_tokens) == ("tokenizer", 9, 20)


def test_one_answer_in_one_piece_counts_the_others_by_what_an_event_holds() -> None:
    stats = counted(log_of(whole()))

    assert (stats.token_counts, stats.prompt_tokens) == ("unstreamed", 30)
    assert (stats.output_token_count, stats.output_tokens) == (20, 21)  # 20, 20 and 22
    assert stats.toks_per_sec_p50 == pytest.approx(100)
    assert stats.ttft_p50_sec == pytest.approx(0.2)


def test_an_answer_that_came_out_otherwise_counts_them_by_their_characters() -> None:
    stats = counted(log_of(whole(output=40, text=WORDS * 2 + "x")))

    assert stats.token_counts == "unstreamed"
    assert stats.output_token_count == 20


def test_no_answer_has_more_tokens_than_it_may() -> None:
    stats = counted(log_of(whole(output=20, finish="length"), max_tokens=20))

    assert (stats.output_tokens, stats.completed_naturally) == (20, False)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        whole(output=10),  # words, as Opta-LMX's plain mlx-lm backend counts
        whole(output=9),  # fewer tokens than events
        *[whole(output=value) for value in (0, -1, None, "20", 2.5, True)],
        *[whole(prompt=None), whole(text=""), whole(text=" "), {"text": WORDS}, {"usage": 5}],
    ],
)
def test_chunks_are_never_called_tokens(answer: dict[str, Any] | None) -> None:
    stats = counted(log_of(answer, error="no answer" if answer is None else None))

    assert stats.token_counts == "unknown"
    of_tokens = ("toks_per_sec_p50", "toks_per_sec_p95", "toks_per_sec_mean", "output_tokens", "output_token_count")
    assert [getattr(stats, name) for name in (*of_tokens, "prompt_tokens")] == [None] * 6
    assert stats.ttft_p50_sec == pytest.approx(0.2)
    assert stats.output_text == WORDS


def test_an_answer_to_another_prompt_counts_nothing() -> None:
    log = log_of(whole())
    log.checks[0]["asked"]["nonce"] = "another"

    assert counted(log).token_counts == "unknown"


def test_without_an_answer_nothing_is_said_of_counts() -> None:
    assert counted(log_of(outcome="http_error", status=500)).token_counts is None


@pytest.mark.parametrize(
    ("words", "prompt", "output", "finish", "counts"),
    [
        # Recorded of Opta-LMX: vllm-mlx, its default backend, and then the plain mlx-lm one.
        ("dec metaclass following provideythonroughlocal\ufffd", 26, 8, "length", "unstreamed"),
        ("poour*,The>>> - instancesmm", 7, 3, "stop", "unknown"),
    ],
)
def test_recorded_answers_of_both_backends(words: str, prompt: int, output: int, finish: str, counts: str) -> None:
    log = log_of(whole(prompt, output, words, finish), max_tokens=8)

    assert counted(log).token_counts == counts


def test_the_key_is_in_no_other_result() -> None:
    log = log_of()

    assert "token_counts" not in json.dumps(summarize(MeasuredRun(log)).as_dict())
