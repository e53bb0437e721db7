import pytest

from lmx_loadgen.analysis.records import Record
from lmx_loadgen.analysis.tokens import Basis
from lmx_loadgen.analysis.window import level_metrics, little_note, window_of
from tests.helpers.made_lines import MS, PROFILE, made, segment_line, steady, usage

EVENTS = Basis("events", False, False)


def stream(count: int, each: float = 100, tokens: int = 5, **changes: object) -> list[Record]:
    """`count` requests one after the other, each `each` ms long, a token every 20 ms, the last at its end."""
    reads = [(each - 20 * (tokens - 1 - place), ["content:x"]) for place in range(tokens)]
    return [made(reads, send=each * place, **changes) for place in range(count)]


def test_a_window_goes_from_the_ramps_end_to_the_drains_start() -> None:
    window = window_of([segment_line(1000, 4000, 5000), segment_line(6000, 7000, 9000, block=1)])

    assert dict(window.spans) == {0: (1000 * MS, 4000 * MS), 1: (6000 * MS, 7000 * MS)}
    assert window.seconds == 4


def test_an_interrupted_segment_was_full_to_its_end() -> None:
    assert window_of([segment_line(1000, None, 2500, stopped="interrupted")]).seconds == 1.5


@pytest.mark.parametrize("marks", [(None, 4000, 5000), (3000, 3000, 5000), (3000, 2000, 5000), (None, None, 5000)])
def test_a_load_that_was_never_full_has_no_window(marks: tuple[float | None, float | None, float]) -> None:
    found = level_metrics(window_of([segment_line(*marks)]), stream(5), EVENTS, PROFILE)

    assert [one.mean for one in found.values()] == [None] * 4
    assert all(one.reason and "too few requests" in one.reason for one in found.values())


def test_only_tokens_that_arrived_in_the_window_count() -> None:
    # two requests, tokens at 1200, 1220, 1240 and 1260, 1280, 1300 ms; the window is 1210 to 1270: three of them
    sent = [made(steady(3)), made(steady(3, first=260))]
    found = level_metrics(window_of([segment_line(1210, 1270, 1300)]), sent, EVENTS, PROFILE)

    assert found["output_tok_s"].mean == pytest.approx(3 / 0.060)
    assert found["output_tok_s"].n == 3
    assert found["output_tok_s"].percentiles == {}
    assert found["output_tok_s"].reason == "single value per level"


def test_an_answers_tokens_arrive_with_its_text_events() -> None:
    # twelve tokens in reads of one, one and two events: 3, 3 and 6; the window holds the last two reads
    one = made(
        [(200, ["content:a"]), (220, ["content:b"]), (240, ["content:c", "content:d"])],
        usage=usage(1, 12),
        finish_reason="length",
    )
    found = level_metrics(window_of([segment_line(1210, 1310, 1400)]), [one], Basis("usage", True, True), PROFILE)

    assert found["output_tok_s"].mean == pytest.approx(9 / 0.1)


def test_failed_answers_delivered_nothing_and_cancelled_ones_what_came() -> None:
    window = window_of([segment_line(1000, 2000, 2000)])

    def rate(outcome: str) -> float | None:
        return level_metrics(window, [made(steady(5), outcome=outcome)], EVENTS, PROFILE)["output_tok_s"].mean

    assert (rate("ok"), rate("cancelled"), rate("reset")) == (5, 5, 0)


def test_a_cancelled_answer_without_usage_counts_as_the_others_do() -> None:
    # the good answer has 3 tokens an event; so the cancelled one, with two events, adds 6
    sent = [made(steady(5), usage=usage(1, 15), finish_reason="length"), made(steady(2), outcome="cancelled")]
    found = level_metrics(window_of([segment_line(1000, 2000, 2000)]), sent, Basis("usage", True, True), PROFILE)

    assert found["output_tok_s"].mean == pytest.approx(15 + 6)


def test_requests_are_counted_where_they_end() -> None:
    # ten requests of 100 ms from 0: ends at 100, …, 1000; the window 250 to 750 holds 300 to 700
    found = level_metrics(window_of([segment_line(250, 750, 1000)]), stream(10), EVENTS, PROFILE)

    assert found["request_rate"].mean == pytest.approx(5 / 0.5)


def test_goodput_counts_those_that_kept_every_limit() -> None:
    sent = stream(5) + [made(steady(1, first=100), send=500 + 100 * place, outcome="reset") for place in range(2)]
    window = window_of([segment_line(50, 1050, 1100)])
    within = {"slo": {"ttft": None, "tpot": None, "e2e": 0.1}, "reading_tok_s": 5}
    beyond = {"slo": {"ttft": None, "tpot": None, "e2e": 0.09}, "reading_tok_s": 5}

    assert level_metrics(window, sent, EVENTS, within)["goodput"].mean == pytest.approx(5)
    assert level_metrics(window, sent, EVENTS, beyond)["goodput"].mean == 0
    without = level_metrics(window, sent, EVENTS, PROFILE)["goodput"]
    assert (without.mean, without.reason) == (None, "the profile sets no SLO")


def test_occupancy_is_time_in_flight_in_the_window() -> None:
    # in the window 1000 to 2000: 500 ms of the first (it began before), all 200 ms of the second, 300 ms of the third
    sent = [
        made([(900, ["content:a"])], send=600),
        made([(200, ["content:a"])], send=1200),
        made([(900, ["content:a"])], send=1700),
        made([(100, ["content:a"])], send=3000),
    ]
    found = level_metrics(window_of([segment_line(1000, 2000, 3000)]), sent, EVENTS, PROFILE)

    assert found["occupancy"].mean == pytest.approx(1.0)
    assert found["occupancy"].n == 3


def test_batches_have_their_mean_in_the_middle_of_the_interval() -> None:
    # 100 requests end evenly over 10 s: ten a batch of one second, no scatter
    found = level_metrics(window_of([segment_line(50, 10050, 10100)]), stream(101, each=100), EVENTS, PROFILE)

    assert found["request_rate"].ci95 == pytest.approx((10, 10))
    assert found["output_tok_s"].ci95 == pytest.approx((50, 50), rel=0.02)
    assert found["occupancy"].ci95 == pytest.approx((1, 1))


def test_the_interval_by_hand() -> None:
    # ten batches of 1 s: nine with 5 ends and one with 15, mean 6, s² = (9·1 + 81) ÷ 9 = 10, standard error 1;
    # t(0.975, 9) = 2.2622
    ends = [1000 * batch + 100 * (place + 1) for batch in range(9) for place in range(5)]
    ends += [9000 + 50 * (place + 1) for place in range(15)]
    sent = [made([(10, ["content:a"])], send=end - 10) for end in ends]
    found = level_metrics(window_of([segment_line(0, 10_000, 10_100)]), sent, EVENTS, PROFILE)

    assert found["request_rate"].mean == pytest.approx(6)
    assert found["request_rate"].ci95 == pytest.approx((6 - 2.2622, 6 + 2.2622), abs=1e-3)


def test_segments_of_different_length_share_the_batches() -> None:
    # 6 s at ten a second and 4 s at twenty: 14 a second in all, and so says the middle of the interval
    slow = [made([(100, ["content:a"])], send=100 * place) for place in range(60)]
    fast = [made([(50, ["content:a"])], send=20_000 + 50 * place, block=1) for place in range(80)]
    window = window_of([segment_line(50, 6050, 7000), segment_line(20_025, 24_025, 25_000, block=1)])
    found = level_metrics(window, slow + fast, EVENTS, PROFILE)["request_rate"]

    assert found.mean == pytest.approx(14)
    assert found.ci95 is not None
    assert sum(found.ci95) / 2 == pytest.approx(14)


def test_too_little_in_the_window_has_no_interval() -> None:
    found = level_metrics(window_of([segment_line(50, 4950, 5000)]), stream(49), EVENTS, PROFILE)

    assert found["request_rate"].ci95 is None
    assert found["output_tok_s"].ci95 is not None


def test_a_steady_load_obeys_littles_law() -> None:
    assert little_note(window_of([segment_line(50, 9950, 10_000)]), stream(100)) is None


def test_a_load_that_hangs_does_not() -> None:
    # One slot does 100 ms requests all the time, four others hang over the whole window and end after it: five in
    # flight, while 10/s × 0.1 s is one.
    stuck = [made([(20_000, ["content:a"])], send=0) for _ in range(4)]
    note = little_note(window_of([segment_line(50, 9950, 20_000)]), stream(100) + stuck)

    assert note is not None
    assert "5 requests in flight, but throughput × latency gives 1 " in note


def test_refused_requests_are_no_load_that_could_be_steady() -> None:
    refused = [made([], send=100 * place, end=100 * place + 1, outcome="http_error") for place in range(50)]
    stuck = [made([], send=0, end=20_000, outcome="timeout_first_token") for _ in range(4)]

    assert little_note(window_of([segment_line(50, 9950, 20_000)]), refused + stuck) is None


def test_a_window_in_which_nothing_was_in_flight_breaks_no_law() -> None:
    never_sent = [made([], send=None, end=500, outcome="connect_error") for _ in range(20)]

    assert little_note(window_of([segment_line(0, 1000, 1000)]), never_sent) is None
    assert little_note(window_of([segment_line(0, 1000, 1000)]), []) is None
