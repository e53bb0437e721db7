"""Chunks of several tokens, whose number the stream does not tell: the text's lengths do, nearly."""

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import mean

import pytest

from lmx_loadgen.analysis.metrics import METRICS
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis, read_tokens
from lmx_loadgen.analysis.window import level_metrics, window_of
from lmx_loadgen.decode.chat import StreamRules, read_answer
from lmx_loadgen.sim.text import ANSWER, BEGINNINGS
from tests.helpers.made_lines import MS, PROFILE, made, segment_line, usage
from tests.helpers.recorded import recorded

USAGE = Basis("usage", True, True)
STEP = 20.0


def streamed(begin: int, sizes: Sequence[int]) -> Record:
    """An answer of these many tokens a chunk; a token is made every 20 ms, a chunk sent with its last."""
    ends = list(accumulate(sizes))
    pieces = [ANSWER[(begin + place) % len(ANSWER)] for place in range(ends[-1])]
    reads = [
        (200 + STEP * (end - 1), ["content:" + "".join(pieces[end - size : end])])
        for end, size in zip(ends, sizes, strict=True)
    ]
    return made(reads, usage=usage(30, ends[-1]), finish_reason="length")


def stepwise(tokens: int, size: int = 4) -> list[int]:
    """The first token by itself, as a stream interval sends it, then chunks of `size`, and what is left."""
    whole, rest = divmod(tokens - 1, size)
    return [1, *[size] * whole, *([rest] if rest else [])]


def value(name: str, one: Record) -> float:
    of = METRICS[name].of
    assert of is not None
    found = of(one, USAGE, PROFILE)
    assert found is not None
    return found


@pytest.mark.parametrize(("tokens", "even"), [(24, 1.118), (64, 1.046)])
def test_tpot_of_chunks_of_four_is_right_within_a_percent(tokens: int, even: float) -> None:
    sizes = stepwise(tokens)
    errors = [value("tpot", streamed(begin, sizes)) / (STEP / 1e3) - 1 for begin in BEGINNINGS]

    assert abs(mean(errors)) < 0.01
    # what an even share would say, by hand: (n − 1) ÷ (n − n ÷ chunks)
    assert (tokens - 1) / (tokens - tokens / len(sizes)) == pytest.approx(even, abs=0.001)


@pytest.mark.parametrize("tokens", [24, 64])
def test_nor_does_it_matter_where_in_the_text_the_answer_begins(tokens: int) -> None:
    errors = [value("tpot", streamed(begin, stepwise(tokens))) / (STEP / 1e3) - 1 for begin in range(len(ANSWER))]

    assert abs(mean(errors)) < 0.015
    assert max(map(abs, errors)) < 3 / tokens


def test_speculative_decoding_accepts_now_more_now_fewer() -> None:
    """Drafts of one to five tokens, a chunk each; the chunk's time is its last token's."""
    draw, errors = random.Random(5), []
    for begin in range(len(ANSWER)):
        sizes = [draw.randint(1, 5) for _ in range(20)]
        truth = (sum(sizes) - sizes[0]) / ((sum(sizes) - sizes[0]) * STEP / 1e3)
        errors.append(value("decode_tok_s", streamed(begin, sizes)) / truth - 1)

    assert abs(mean(errors)) < 0.01


def test_as_many_tokens_as_events_are_one_each_whatever_their_length() -> None:
    one = made([(200, ["content:A"]), (220, ["content:longer"]), (240, ["content:b"])], usage=usage(1, 3))

    assert read_tokens(one, USAGE) == (1, 1, 1)


def test_a_read_has_its_share_of_the_characters() -> None:
    # 12 tokens over 24 characters
    one = made([(200, ["content:abcd"]), (220, ["content:abcdefgh"]), (240, ["tool:abcdefghijkl"])], usage=usage(1, 12))

    assert read_tokens(one, USAGE) == pytest.approx((2, 4, 6))


def test_an_event_holds_a_token_at_least() -> None:
    # 10 tokens over 40 characters, but the two of one character are a token each: 8 tokens over the other 38
    one = made(
        [(200, ["content:a", "content:b"]), (220, ["content:" + "c" * 19]), (240, ["content:" + "d" * 19])],
        usage=usage(1, 10),
    )

    assert read_tokens(one, USAGE) == pytest.approx((2, 4, 4))


def test_a_log_without_text_leaves_the_share_of_the_events() -> None:
    one = made([(200, ["content:"]), (220, ["content:", "content:"])], usage=usage(1, 6))

    assert read_tokens(one, USAGE) == (2, 4)


def test_a_window_counts_each_reads_own_tokens() -> None:
    one = streamed(0, stepwise(24))
    # from the first token's time on, without it: 23 tokens in 460 ms
    found = level_metrics(window_of([segment_line(1201, 1661, 1700)]), [one], USAGE, PROFILE)

    assert found["output_tok_s"].mean == pytest.approx(50, rel=0.02)


def test_a_reader_has_as_much_to_read_as_came() -> None:
    # 5 tokens a second: ten tokens last two seconds, one 0.2; 8 of 12 tokens come with the second read
    one = made([(0, ["content:ab"]), (1000, ["content:" + "c" * 16]), (2000, ["content:defghi"])], usage=usage(1, 12))

    # after the first read 1 token (0.2 s, 0.8 s of waiting), after the second 8 (1.6 s, none)
    assert value("below_reading_share", one) == pytest.approx(0.8 / 2)


RECORDED = [
    "llama-server/chat-stream-ignore_eos",
    "llama-server/concurrent-2-on-1-slot-a",
    "opta-lmx-vllm/conc-two-of-two-1",
]


@pytest.mark.parametrize("name", RECORDED)
def test_a_real_answer_in_chunks_of_four_has_the_rate_it_had_token_by_token(name: str) -> None:
    """Recorded with a token an event; its tokens are put together as a stream interval would, each chunk at the time
    of its last."""
    read = read_answer(recorded(name), "chat", StreamRules())
    tokens = [(read.arrivals[index][0] / MS, text) for index, kind, text in read.events if kind == "content"]
    ends = list(accumulate(stepwise(len(tokens))))
    chunks = [
        (tokens[end - 1][0], ["content:" + "".join(text for _, text in tokens[start:end])])
        for start, end in pairwise([0, *ends])
    ]
    truth = (tokens[-1][0] - tokens[0][0]) / 1e3 / (len(tokens) - 1)
    one = made(chunks, usage=usage(30, len(tokens)), finish_reason="length")

    assert value("tpot", one) == pytest.approx(truth, rel=0.02)
