import pytest

from lmx_loadgen.analysis.metrics import METRICS, chunk_gaps, markdown_table
from lmx_loadgen.analysis.read_records import record
from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.slo import is_met
from lmx_loadgen.analysis.tokens import Basis
from tests.helpers.made_lines import PROFILE, failed_line, made, steady, usage

USAGE = Basis("usage", True, True)
EVENTS = Basis("events", False, False)

HIGHER_IS_BETTER = {
    "decode_tok_s",
    "prompt_tok_s",
    "output_tok_s",
    "request_rate",
    "goodput",
    "slo_share",
    "output_tokens",
    "occupancy",
}


def value(name: str, one: Record, basis: Basis = EVENTS, profile: object = PROFILE) -> float | None:
    of = METRICS[name].of
    assert of is not None
    return of(one, basis, profile)  # type: ignore[arg-type]


def test_ttft_is_from_send_to_the_first_text() -> None:
    one = made([(5, ["role"]), (250, ["content:a"])], intended_ns=900_000_000)

    assert value("ttft", one) == 0.25  # 1250 − 1000 ms
    assert value("ttft_response", one) == 0.35  # 1250 − 900 ms


def test_ttfo_waits_for_what_can_be_seen() -> None:
    one = made([(100, ["reasoning:hm"]), (400, ["content:Yes"])])

    assert value("ttft", one) == 0.1
    assert value("ttfo", one) == 0.4
    assert value("ttfo", made([(100, ["reasoning:hm"])])) is None


def test_e2e_ends_with_the_last_text_not_with_the_stream() -> None:
    one = made([(200, ["content:a"]), (300, ["content:b"]), (900, ["finish:stop", "usage", "done"])])

    assert value("e2e", one) == 0.3


def test_tpot_of_one_token_a_read() -> None:
    # five tokens 20 ms apart: 80 ms ÷ (5 − 1)
    assert value("tpot", made(steady(5))) == pytest.approx(0.020)
    assert value("decode_tok_s", made(steady(5))) == pytest.approx(50)


def test_tpot_spreads_the_servers_count_over_the_text_events() -> None:
    # 12 tokens in 4 events, 3 each; the first event takes 3 away: 60 ms ÷ (12 − 3)
    one = made(steady(4), usage=usage(1, 12))

    assert value("tpot", one, USAGE) == pytest.approx(0.060 / 9)


def test_tpot_takes_away_all_tokens_of_the_first_read() -> None:
    # three events in the first read, two after it, 20 ms apart: 40 ms ÷ (5 − 3)
    one = made([(200, ["content:a", "content:b", "content:c"]), (220, ["content:d"]), (240, ["content:e"])])

    assert value("tpot", one) == pytest.approx(0.020)
    # with ten tokens, two an event: 40 ms ÷ (10 − 6)
    assert value("tpot", made_again(one, 10), USAGE) == pytest.approx(0.010)


def made_again(one: Record, output: int) -> Record:
    reads = [((at - (one.send_ns or 0)) / 1e6, [f"content:{place}" for place in range(n)]) for at, n in one.text_reads]
    return made(reads, usage=usage(1, output), finish_reason="length")


def test_tpot_does_not_count_the_end_of_turn_token() -> None:
    # five texts and a usage of six at a natural stop: the sixth has no text; 80 ms ÷ (5 − 1)
    assert value("tpot", made(steady(5), usage=usage(1, 6)), USAGE) == pytest.approx(0.020)


@pytest.mark.parametrize("name", ["tpot", "decode_tok_s", "longest_stall", "below_reading_share"])
def test_one_read_of_text_has_no_rate_and_no_gap(name: str) -> None:
    assert value(name, made([(200, ["content:a"])])) is None
    assert value(name, made([(200, ["content:a", "content:b", "content:c"])])) is None
    assert value(name, made([])) is None


def test_gaps_are_between_reads_and_never_zero() -> None:
    one = made([(200, ["content:a", "content:b"]), (230, ["content:c", "content:d"]), (330, ["content:e"])])

    assert chunk_gaps(one) == pytest.approx([0.030, 0.100])
    assert value("longest_stall", one) == pytest.approx(0.100)


def test_a_ping_between_two_texts_does_not_split_the_gap() -> None:
    assert chunk_gaps(made([(200, ["content:a"]), (210, ["ping"]), (300, ["content:b"])])) == pytest.approx([0.1])


def test_a_reader_faster_than_the_server_waits_for_the_difference() -> None:
    # Five tokens a second are read, 200 ms each. Tokens come 300 ms apart: 200 ms reading, 100 ms waiting, each time.
    assert value("below_reading_share", made(steady(4, step=300))) == pytest.approx(1 / 3)
    # Tokens come 100 ms apart: never a wait.
    assert value("below_reading_share", made(steady(4, step=100))) == 0


def test_a_stall_is_bridged_by_what_is_still_unread() -> None:
    # Reads at 0, 100, 200 ms, then 1200 ms. At 200 ms three tokens have come (600 ms to read) and 200 ms are read: 400
    # ms left. The gap of 1000 ms is 600 ms of waiting, of 1200 ms in all.
    one = made([(0, ["content:a"]), (100, ["content:b"]), (200, ["content:c"]), (1200, ["content:d"])])

    assert value("below_reading_share", one) == pytest.approx(600 / 1200)


def test_more_tokens_an_event_last_the_reader_longer() -> None:
    # three tokens an event last 600 ms: gaps of 300 ms are no wait
    one = made(steady(4, step=300), usage=usage(1, 12), finish_reason="length")

    assert value("below_reading_share", one, USAGE) == 0


def test_prompt_speed_needs_an_exact_count_and_a_cold_prompt() -> None:
    cold = made(steady(first=200), usage=usage(400, 5, cached=20))

    assert value("prompt_tok_s", cold, USAGE) == pytest.approx(2000)  # 400 ÷ 0.2 s
    assert value("prompt_tok_s", cold, EVENTS) is None
    assert value("prompt_tok_s", made(steady(), usage=usage(400, 5, cached=200)), USAGE) is None
    assert value("prompt_tok_s", made(steady(), usage=usage(400, 5)), USAGE) == pytest.approx(2000)


def test_output_tokens_are_those_of_the_basis() -> None:
    one = made(steady(5), usage=usage(1, 12))

    assert value("output_tokens", one, USAGE) == 12
    assert value("output_tokens", one, EVENTS) == 5


def test_a_request_never_sent_has_no_latency() -> None:
    one = record(failed_line("connect_error", None, send_ns=None))

    assert [value(name, one) for name, metric in METRICS.items() if metric.of] == [None] * 10


@pytest.mark.parametrize(
    ("slo", "met"),
    [
        ({}, True),
        ({"ttft": 0.2, "tpot": 0.02, "e2e": 0.28}, True),  # exactly kept
        ({"ttft": 0.199}, False),
        ({"tpot": 0.0199}, False),
        ({"e2e": 0.279}, False),
    ],
)
def test_every_limit_must_be_kept(slo: dict[str, float], met: bool) -> None:
    limits = {"slo": {"ttft": None, "tpot": None, "e2e": None} | slo}

    assert is_met(made(steady(5)), EVENTS, limits) is met


def test_a_failed_request_misses_even_no_limit() -> None:
    assert not is_met(made(steady(5), outcome="reset"), EVENTS, PROFILE)


def test_every_metric_is_declared_whole() -> None:
    assert list(METRICS) == [
        *("ttft", "ttft_response", "ttfo", "e2e", "tpot", "decode_tok_s", "chunk_gap", "longest_stall"),
        *("below_reading_share", "prompt_tok_s", "output_tokens", "output_tok_s", "request_rate", "goodput"),
        *("slo_share", "occupancy"),
    ]
    assert {metric.name for metric in METRICS.values() if metric.better == "higher"} == HIGHER_IS_BETTER
    assert {metric.better for metric in METRICS.values()} == {"higher", "lower"}
    for metric in METRICS.values():
        assert (metric.of is not None) == (metric.scope == "request"), metric.name
        assert all([metric.title, metric.unit, metric.definition.endswith("."), metric.formula]), metric.name


def test_the_documentation_has_a_row_a_metric() -> None:
    rows = markdown_table().splitlines()

    assert len(rows) == len(METRICS) + 2
    assert len({row.replace("\\|", "").count("|") for row in rows}) == 1
    assert all(f"`{name}`" in row for name, row in zip(METRICS, rows[2:], strict=True))
